import numpy as np

from common.patients import MISSING, Patients, tasks_of
from common.study import Study


def patients(labels: list[list[int]], inputs: int = 6) -> Patients:
    n = len(labels)
    x = np.arange(n * inputs, dtype=np.float32).reshape(n, inputs) + 1
    return Patients("Ash", x, np.array(labels), np.array([""] * n))


def test_a_task_leaves_out_patients_without_its_label_and_keeps_their_numbers(
    ward_study: Study,
) -> None:
    found = tasks_of(
        patients([[0, MISSING], [1, 0], [MISSING, 1], [1, 1], [0, 0]]), ward_study, ["gout"]
    )
    assert [task.name for task in found] == ["gout"]
    assert found[0].patient.tolist() == [0, 1, 3, 4]
    assert found[0].y.tolist() == [0, 1, 1, 0]


def test_a_task_with_too_few_of_a_class_is_not_offered(ward_study: Study) -> None:
    rows = patients([[0, 0], [0, 1], [1, 0], [0, 1]])
    names = ["gout", "anaemia"]
    assert [t.name for t in tasks_of(rows, ward_study, names)] == ["anaemia"]
    assert len(tasks_of(rows, ward_study, names, min_per_class=1)) == 2


def test_forbidden_features_are_blank_in_their_task_only(ward_study: Study) -> None:
    # anaemia forbids sex, the last two of the six inputs.
    gout, anaemia = tasks_of(
        patients([[0, 0], [1, 1]]), ward_study, ["gout", "anaemia"], min_per_class=1
    )
    assert (gout.x != 0).all()
    assert (anaemia.x[:, 4:] == 0).all()
    assert (anaemia.x[:, :4] == gout.x[:, :4]).all()


def test_taking_rows_keeps_everything_aligned() -> None:
    rows = patients([[0, 0], [1, 1], [0, 1]]).take(np.array([2, 0]))
    assert rows.labels.tolist() == [[0, 1], [0, 0]]
    assert rows.x[:, 0].tolist() == [13, 1]
    assert len(rows) == 2


def test_tasks_of_the_same_patients_share_the_arrays_of_the_site(ward_study: Study) -> None:
    study = ward_study.model_copy(
        update={"tasks": tuple(t.model_copy(update={"forbidden": ()}) for t in ward_study.tasks)}
    )
    rows = patients([[0, 0], [1, 1], [0, 1], [1, 0]])
    gout, anaemia = tasks_of(rows, study, ["gout", "anaemia"])
    assert gout.x is anaemia.x is rows.x
    assert gout.patient is anaemia.patient
    assert all(np.shares_memory(task.y, rows.labels) for task in (gout, anaemia))
    # Some of the patients: one copy for both.
    some = np.array([0, 1, 3])
    gout, anaemia = tasks_of(rows, study, ["gout", "anaemia"], rows=some, min_per_class=1)
    assert gout.x is anaemia.x
    assert not np.shares_memory(gout.x, rows.x)


def test_tasks_that_forbid_features_or_lack_labels_have_their_own_inputs(ward_study: Study) -> None:
    rows = patients([[0, 0], [1, 1], [0, 1], [1, 0]])  # anaemia forbids sex
    gout, anaemia = tasks_of(rows, ward_study, ["gout", "anaemia"])
    assert gout.x is rows.x
    assert (rows.x != 0).all(), "blanking one task's inputs leaves the site's alone"
    rows = patients([[0, 0], [1, 1], [MISSING, 1], [1, 0]])
    gout, anaemia = tasks_of(rows, ward_study, ["gout", "anaemia"], min_per_class=1)
    assert (len(gout.x), len(anaemia.x)) == (3, 4)


def test_chosen_patients_keep_their_numbers(ward_study: Study) -> None:
    rows = patients([[0, 0], [1, 0], [MISSING, 1], [1, 1], [0, 0]])
    (gout,) = tasks_of(rows, ward_study, ["gout"], rows=np.array([1, 2, 4]), min_per_class=1)
    assert gout.patient.tolist() == [1, 4]
    assert gout.y.tolist() == [1, 0]
    assert gout.x.tolist() == rows.x[[1, 4]].tolist()
