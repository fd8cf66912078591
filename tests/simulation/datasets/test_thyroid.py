import csv
import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from common.errors import SettingsError, TableError
from common.features import input_names
from common.patients import tasks_of
from simulation.datasets import thyroid
from simulation.datasets.base import Dataset


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return thyroid.load()


def records() -> list[dict[str, str]]:
    with thyroid._path().open(newline="") as file:
        return list(csv.DictReader(file))


def letters_of(record: dict[str, str]) -> str:
    return record["target"].split("|")[-1]


def count(rows: list[dict[str, str]]) -> dict[str, int]:
    return {
        name: sum(any(letter in letters_of(row) for letter in letters) for row in rows)
        for name, letters in thyroid.LETTERS.items()
    }


def first_of_each_patient() -> list[dict[str, str]]:
    """The same rule once more, in a plain loop over the file."""
    kept, before = [], None
    for row in records():
        source = row["referral_source"].replace("WEST", "other")
        key = (row["patient_id"][:-3], row["age"], row["sex"], source)
        if key != before:
            kept.append(row | {"referral_source": source})
        before = key
    return kept


def test_the_file_has_the_published_number_of_comments() -> None:
    assert len(records()) == 9172
    assert sum(row["target"] == "-" for row in records()) == 6771
    assert list(count(records()).values()) == [228, 659, 414, 573, 116, 129, 110, 197, 85]


def test_counts_agree_with_a_plain_recount(dataset: Dataset) -> None:
    rows = first_of_each_patient()
    assert len(rows) == 8767
    sites = Counter(row["referral_source"] for row in rows)
    assert {site: len(p) for site, p in dataset.patients.items()} == sites
    for site, patients in dataset.patients.items():
        expected = count([row for row in rows if row["referral_source"] == site])
        assert patients.labels.sum(axis=0).tolist() == list(expected.values())


def test_the_study_has_nine_diagnoses_and_22_features(dataset: Dataset) -> None:
    assert [task.name for task in dataset.study.tasks] == list(thyroid.LETTERS)
    assert len(dataset.study.features) == 22
    assert "antithyroid treatment is left out" in dataset.note.lower()
    assert "not hospitals" in dataset.note
    assert "CC BY 4.0" in dataset.note


def test_the_second_letter_of_an_uncertain_comment_counts() -> None:
    frame = pd.DataFrame(records()).astype({"patient_id": int})
    cleaned = thyroid.clean(frame)
    uncertain = cleaned[cleaned["target"] == "C|I"]
    assert len(uncertain) > 0
    assert uncertain["binding protein"].all()
    assert not uncertain["hyperthyroid"].any()


def test_only_consecutive_records_of_one_day_are_one_patient() -> None:
    same = {"age": 50, "sex": "F", "referral_source": "SVI", "target": "-"}
    other_age = same | {"age": 51}
    rows = [(same, 840801001), (same, 840801002), (other_age, 840801003)]
    rows += [(same, 840801004), (same, 840802001), (same | {"sex": None}, 840802002)]
    rows += [(same | {"sex": None, "target": "A"}, 840802003)]
    frame = pd.DataFrame([row | {"patient_id": number} for row, number in rows])
    kept = thyroid.clean(frame)["patient_id"].tolist()
    assert kept == [840801001, 840801003, 840801004, 840802001, 840802002]


@pytest.mark.parametrize(
    ("task", "feature"), [(t, f) for t, fs in thyroid.FORBIDDEN.items() for f in fs]
)
def test_a_forbidden_feature_is_blank_in_its_task_and_in_no_other(
    dataset: Dataset, task: str, feature: str
) -> None:
    names = input_names(dataset.study.features)
    hidden = [i for i, name in enumerate(names) if name in (feature, f"{feature} measured")]
    other = dataset.patients["other"]
    (leaky,) = tasks_of(other, dataset.study, [task])
    (free,) = tasks_of(other, dataset.study, ["hypothyroid"])
    assert not leaky.x[:, hidden].any()
    assert np.array_equal(free.x, other.x)
    assert np.array_equal(np.delete(leaky.x, hidden, 1), np.delete(other.x, hidden, 1))


def test_raised_tbg_would_be_told_by_its_mask_alone(dataset: Dataset) -> None:
    # Why TBG is forbidden: it was measured in every patient who got the comment.
    mask = input_names(dataset.study.features).index("TBG measured")
    other = dataset.patients["other"]
    raised = other.labels[:, list(thyroid.LETTERS).index("raised TBG")] == 1
    assert other.x[raised, mask].all()
    assert other.x[~raised, mask].mean() < 0.05


def test_impossible_ages_are_missing_and_no_patient_is_lost(dataset: Dataset) -> None:
    measured = input_names(dataset.study.features).index("age measured")
    missing = [p.x[:, measured] == 0 for p in dataset.patients.values()]
    assert sum(int(m.sum()) for m in missing) == 4
    groups = np.concatenate([p.group for p in dataset.patients.values()])
    assert sum(name.startswith("age unknown") for name in groups) == 4
    assert "age >= 60, sex = F" in groups


def test_indicators_stand_where_something_is_missing_and_only_there(dataset: Dataset) -> None:
    names = input_names(dataset.study.features)
    x = np.concatenate([p.x for p in dataset.patients.values()])
    masks = {name: x[:, i] for i, name in enumerate(names) if name.endswith(" measured")}
    assert set(masks) == {f"{name} measured" for name in ("age", *(a.name for a in thyroid.ASSAYS))}
    assert all(mask.min() == 0 and mask.max() == 1 for mask in masks.values())


def test_the_middle_patient_of_each_assay_is_inside_its_usual_range(dataset: Dataset) -> None:
    # A range in another unit than the file's would push a whole assay to one side.
    names = input_names(dataset.study.features)
    x = np.concatenate([p.x for p in dataset.patients.values()])
    for assay in thyroid.ASSAYS:
        i = names.index(assay.name)
        measured = x[x[:, i + 1] == 1, i]
        assert abs(np.median(measured)) < 2
        assert (np.abs(measured) < 4).mean() > 0.8


def test_a_tampered_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "thyroidDF.csv"
    copy.write_bytes(thyroid._path().read_bytes().replace(b"840801013", b"840801012"))
    monkeypatch.setattr(thyroid, "_path", lambda: copy)
    with pytest.raises(TableError, match="tampered"):
        thyroid.load()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install 'wardround\[demo\]'"):
        thyroid.load()
