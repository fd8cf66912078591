import numpy as np
import pytest
import torch

from common.episodes import Site, Task
from common.privacy.groups import Drawn
from common.slots import gather, slotted, with_slots
from common.study import Study, make_study


def task(name: str, patients: list[int], y: list[int]) -> Task:
    x = np.array([[p, p + 0.5] for p in patients], dtype=np.float32)
    return Task(name, x, np.array(y), np.array(patients))


def site(slots: int = 7) -> Site:
    """Slots 0 to 5 are taken, 6 is absent; patient 5 has no label for task b."""
    a = task("a", [0, 1, 2, 3, 4, 5], [0, 1, 0, 1, 0, 1])
    b = task("b", [0, 1, 2, 3, 4], [1, 1, 1, 0, 0])
    return Site("s", bytes(32), [a, b], slots=slots)


def drawn(slots: list[list[int]], tasks: list[int]) -> Drawn:
    return Drawn(np.array(slots), np.array(tasks))


def test_a_group_is_split_by_position_and_takes_its_tasks_labels() -> None:
    table = slotted(site(), size=3, coin=1.0)
    (support, query), owner = gather([table], [drawn([[4, 0, 2]], [1])], support=1)
    assert support.x.tolist() == [[[4.0, 4.5]]]
    assert query.x.tolist() == [[[0.0, 0.5], [2.0, 2.5]]]
    assert (support.y.tolist(), query.y.tolist()) == ([[0]], [[1, 1]])
    assert owner.tolist() == [0]


def test_a_group_with_an_absent_slot_contributes_nothing() -> None:
    table = slotted(site(), size=3, coin=1.0)
    episodes, owner = gather([table], [drawn([[6, 0, 2], [1, 3, 4]], [0, 0])], support=1)
    assert owner.tolist() == [0]
    assert episodes.support.x.tolist() == [[[1.0, 1.5]]]


def test_an_unknown_label_weighs_nothing_and_shows_no_value() -> None:
    table = slotted(site(), size=3, coin=1.0)
    (_, query), _ = gather([table], [drawn([[0, 5, 2]], [1])], support=1)
    assert query.weight.tolist() == [[0.0, 1.0]]
    assert query.x[0, 0].tolist() == [0.0, 0.0]
    nothing, _ = gather([table], [drawn([[5, 0, 2]], [1])], support=1)
    assert len(nothing.support.x) == 0, "a support without a label makes no episode"


def test_groups_of_many_sites_know_their_owner() -> None:
    table = slotted(site(), size=3, coin=1.0)
    groups = [drawn([[0, 1, 2], [3, 4, 5]], [0, 0]), drawn([[6, 1, 2]], [0])]
    groups.append(drawn([[0, 1, 2]], [1]))
    episodes, owner = gather([table] * 3, groups, support=2)
    assert owner.tolist() == [0, 0, 2]
    assert episodes.query.x.shape == torch.Size([3, 1, 2])


def study(noise: float, patients: int = 0) -> Study:
    settings = {
        "name": "s",
        "features": [{"name": "f"}],
        "tasks": [{"name": "a", "column": "a"}, {"name": "b", "column": "b"}],
        "sites": [{"name": "s", "patients": patients}],
        "privacy": {"clip_norm": 1.0, "noise_multiplier": noise},
    }
    return make_study(settings, where="test")


def test_a_virtual_sites_patients_move_up_to_the_first_slots() -> None:
    sparse = Site("s", bytes(32), [task("a", [3, 9, 20], [0, 1, 0]), task("b", [9, 31], [1, 0])])
    compact = with_slots(sparse, study(1.0))
    assert compact.slots == 4
    assert [t.patient.tolist() for t in compact.tasks] == [[0, 1, 2], [1, 3]]
    assert with_slots(sparse, study(0.0)) is sparse


@pytest.mark.parametrize(("declared", "kept"), [(3, [[0, 1, 2], [1]]), (6, [[0, 1, 2], [1, 3]])])
def test_a_site_has_the_slots_that_it_declared(declared: int, kept: list[list[int]]) -> None:
    sparse = Site("s", bytes(32), [task("a", [3, 9, 20], [0, 1, 0]), task("b", [9, 31], [1, 0])])
    site = with_slots(sparse, study(1.0, declared))
    assert site.slots == declared
    assert [t.patient.tolist() for t in site.tasks] == kept
