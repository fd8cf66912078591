import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from common.errors import SettingsError, TableError
from common.features import input_names
from simulation.datasets import load_dataset, uci_heart
from simulation.datasets.base import Dataset

FAKE = {
    "Cleveland": (
        "63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,0.0,6.0,0",
        "67.0,1.0,4.0,160.0,286.0,0.0,2.0,108.0,1.0,1.5,2.0,3.0,3.0,2",
    ),
    "VA Long Beach": (
        "44,0,4,0,0,?,1,?,?,?,?,?,?,4",
        "44,0,4,0,0,?,1,?,?,?,?,?,?,4",  # a row that stands twice is two patients
        "60,1,3,120,200,1,0,120,1,-.5,?,?,?,0",
    ),
}
FILE_NAMES = {"Cleveland": "processed.cleveland.data", "VA Long Beach": "processed.va.data"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small files in the format of the originals, and a digest table that expects them."""
    folder = tmp_path / "uci_heart4"
    folder.mkdir()
    for site, rows in FAKE.items():
        (folder / FILE_NAMES[site]).write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(uci_heart, "FILES", tuple(expected(folder, site) for site in FAKE))
    return folder


def expected(folder: Path, site: str, **others: int) -> uci_heart.HeartFile:
    data = (folder / FILE_NAMES[site]).read_bytes()
    rows = [row for row in data.decode().splitlines() if row]
    counts = {"rows": len(rows), "positives": sum(not row.endswith(",0") for row in rows)}
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return uci_heart.HeartFile(site, FILE_NAMES[site], len(data), md5, **(counts | others))


@pytest.fixture(scope="module")
def original() -> Dataset:
    data = Path(os.environ.get("WARDROUND_DATA", ""))
    first = uci_heart.FILES[0].name
    if not (data / first).exists() and not (data / uci_heart.FOLDER / first).exists():
        pytest.skip("WARDROUND_DATA names no folder with the UCI heart files")
    return load_dataset("uci-heart", data=data, seed=0)


def column(dataset: Dataset, site: str, name: str) -> list[float]:
    values: list[float] = (
        dataset.patients[site].x[:, input_names(dataset.study.features).index(name)].tolist()
    )
    return values


@pytest.mark.parametrize("up", [False, True])
def test_the_folder_or_its_parent_can_be_named(folder: Path, up: bool) -> None:
    dataset = uci_heart.load(folder.parent if up else folder)
    assert {site: len(p) for site, p in dataset.patients.items()} == {
        "Cleveland": 2,
        "VA Long Beach": 3,
    }


def test_any_narrowed_vessel_is_the_disease(folder: Path) -> None:
    dataset = uci_heart.load(folder)
    assert dataset.patients["Cleveland"].labels.tolist() == [[0], [1]]
    assert dataset.patients["VA Long Beach"].labels.tolist() == [[1], [1], [0]]


def test_question_marks_and_impossible_zeros_are_missing(folder: Path) -> None:
    dataset = uci_heart.load(folder)
    for name in ("chol", "trestbps", "thalach"):
        assert column(dataset, "VA Long Beach", f"{name} measured") == [0, 0, 1]
        assert column(dataset, "VA Long Beach", name)[:2] == [0, 0]
    assert column(dataset, "Cleveland", "ca measured") == [1, 1]  # 0 vessels is a finding
    assert column(dataset, "Cleveland", "thal = 6") == [1, 0]
    assert column(dataset, "VA Long Beach", "thal = 6") == [0, 0, 0]


def test_groups_are_by_age_and_sex(folder: Path) -> None:
    groups = uci_heart.load(folder).patients["VA Long Beach"].group.tolist()
    assert groups == ["age < 55, male = no"] * 2 + ["age >= 55, male = yes"]


def test_a_copy_with_zeros_for_question_marks_is_refused(folder: Path) -> None:
    path = folder / "processed.va.data"
    path.write_text(path.read_text().replace("?", "0"))
    with pytest.raises(TableError, match="tampered") as caught:
        uci_heart.load(folder)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("wrong", [{"rows": 4}, {"positives": 3}])
def test_a_file_with_other_counts_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, int]
) -> None:
    monkeypatch.setattr(uci_heart, "FILES", (expected(folder, "VA Long Beach", **wrong),))
    with pytest.raises(TableError, match="3 patients, 2 of them with the disease"):
        uci_heart.load(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "processed.va.data").unlink()
    with pytest.raises(TableError, match="cannot be read: No such file"):
        uci_heart.load(folder)


def test_without_a_folder_the_download_is_named() -> None:
    with pytest.raises(SettingsError, match=r"doi 10\.24432/C52P4X"):
        load_dataset("uci-heart", data=None, seed=0)


def test_the_originals_have_the_published_counts(original: Dataset) -> None:
    counts = {s: (len(p), int(p.labels.sum())) for s, p in original.patients.items()}
    assert counts == {
        "Cleveland": (303, 139),
        "Hungary": (294, 106),
        "Switzerland": (123, 115),
        "VA Long Beach": (200, 149),
    }


@pytest.mark.parametrize(
    ("site", "name", "missing"),
    [
        ("Switzerland", "chol", 123),
        ("Hungary", "chol", 23),
        ("VA Long Beach", "chol", 56),
        ("VA Long Beach", "trestbps", 57),
        ("Cleveland", "chol", 0),
        ("Cleveland", "ca", 4),
    ],
)
def test_the_originals_miss_what_they_are_known_to_miss(
    original: Dataset, site: str, name: str, missing: int
) -> None:
    measured = np.array(column(original, site, f"{name} measured"))
    assert int((measured == 0).sum()) == missing


def test_only_a_hospital_of_both_classes_is_held_out(original: Dataset) -> None:
    for site in original.held_out_sites:
        positives = int(original.patients[site].labels.sum())
        assert min(positives, len(original.patients[site]) - positives) >= 50
