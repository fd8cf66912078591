"""A portfolio is the same after it was written and read, and serves known and new diagnoses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import RunFolderError
from common.parameters import flatten, unflatten
from common.personal.candidates import panel
from common.personal.conformal import thresholds
from common.personal.gate import Gate, Scale, mix
from common.personal.portfolio import FILE, Portfolio, Rule
from common.personal.portfolio import read_portfolio as read
from common.personal.portfolio import write_portfolio as write
from common.personal.starts import Start
from common.study import Study
from tests.common.personal.rules import rule

MakeStart = Callable[..., Start]


def names(starts: list[Start]) -> list[str]:
    return [start.name for start in starts]


def test_a_portfolio_is_read_back_as_it_was_written(portfolio: Portfolio, folder: Path) -> None:
    found = read(folder)
    assert found.origin == "a simulation"
    assert list(found.studies) == list(portfolio.studies)
    for a, b in zip(found.starts, portfolio.starts, strict=True):
        assert (a.name, a.task) == (b.name, b.task)
        assert list(a.meta) == list(b.meta)
        assert all(torch.equal(p, b.meta[name]) for name, p in a.meta.items())
    assert set(found.rules) == {"known", "new"}
    for kind, given in portfolio.rules.items():
        assert found.rules[kind].gate == given.gate
        assert list(found.rules[kind].gate.at) == list(given.gate.at)
        for k, reference in given.references.items():
            back = found.rules[kind].references[k]
            assert back.familiar == reference.familiar
            # Six digits are written.
            np.testing.assert_allclose(back.scores, reference.scores, atol=6e-7)


@pytest.mark.parametrize("k", [0, 5])
def test_predictions_are_bit_for_bit_the_same_after_the_journey(
    k: int, portfolio: Portfolio, folder: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    x, others = torch.randn(2, k, 6, generator=generator), torch.randn(4, 6, generator=generator)
    y = (torch.arange(k) % 2).expand(2, -1)

    def predict(portfolio: Portfolio) -> tuple[torch.Tensor, ...]:
        starts, rule = portfolio.for_task("gout")
        found = panel(starts, x, y, others)
        return found.logits, *mix(rule.gate.for_patients(k), found, y.float())

    for a, b in zip(predict(portfolio), predict(read(folder)), strict=True):
        assert torch.equal(a, b)


def test_written_twice_the_folder_is_the_same_to_the_byte(
    portfolio: Portfolio, folder: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    write(again, read(folder))
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) == 9
    for path in files:
        assert (folder / path).read_bytes() == (again / path).read_bytes()


def test_parameters_that_are_parts_of_one_vector_can_be_written(
    make_start: MakeStart, ward_study: Study, tmp_path: Path
) -> None:
    start = make_start()
    meta = unflatten(flatten(start.meta), start.meta)
    parts = Start("maml", start.learner, meta)
    write(tmp_path, Portfolio([parts], [ward_study], {"new": rule(0)}, ""))
    assert torch.equal(flatten(read(tmp_path).starts[0].meta), flatten(meta))


def test_a_gate_that_is_no_number_is_not_written(
    make_start: MakeStart, ward_study: Study, tmp_path: Path
) -> None:
    gate = Gate({5: Scale({"prevalence": float("nan")}, 0.0, 1.0, 0.0, 0.0)}, 1)
    with pytest.raises(ValueError, match="JSON"):
        write(tmp_path, Portfolio([make_start()], [ward_study], {"new": Rule(gate, {})}, ""))
    assert not (tmp_path / FILE).exists()


def test_starts_of_the_same_name_are_kept_apart(
    make_start: MakeStart, ward_study: Study, tmp_path: Path
) -> None:
    starts = [make_start("expert", seed=n, task=task) for n, task in enumerate(["gout", "mumps"])]
    write(tmp_path, Portfolio(starts, [ward_study] * 2, {"known": rule(0)}, ""))
    for a, b in zip(read(tmp_path).starts, starts, strict=True):
        assert a.task == b.task
        assert torch.equal(flatten(a.meta), flatten(b.meta))


def test_a_diagnosis_that_was_trained_for_gets_its_own_starts_and_the_general_ones(
    portfolio: Portfolio,
) -> None:
    starts, found = portfolio.for_task("gout")
    assert names(starts) == ["maml", "reptile", "expert"]
    assert found is portfolio.rules["known"]


def test_a_new_diagnosis_gets_the_general_starts_alone(portfolio: Portfolio) -> None:
    starts, found = portfolio.for_task("anaemia")
    assert names(starts) == ["maml", "reptile"]
    assert found is portfolio.rules["new"]


def test_without_a_rule_for_known_diagnoses_all_are_new(portfolio: Portfolio) -> None:
    only = Portfolio(portfolio.starts, portfolio.studies, {"new": rule(1)}, "")
    starts, found = only.for_task("gout")
    assert names(starts) == ["maml", "reptile"]
    assert found is only.rules["new"]


def test_a_new_diagnosis_without_a_rule_for_it_is_refused(portfolio: Portfolio) -> None:
    only = Portfolio(portfolio.starts, portfolio.studies, {"known": rule(0)}, "")
    assert only.for_task("gout")[1] is only.rules["known"]
    with pytest.raises(RunFolderError, match="no gate for anaemia"):
        only.for_task("anaemia")


def test_limits_are_the_same_after_the_journey_to_six_digits(
    portfolio: Portfolio, folder: Path
) -> None:
    own_p, own_y = np.array([0.2, 0.7, 0.4]), np.array([0.0, 1.0, 1.0])
    a, b = (
        thresholds(whole.rules["new"].references[5], own_p, own_y, 0.9)
        for whole in (portfolio, read(folder))
    )
    np.testing.assert_allclose(a, b, atol=1e-6)
