from pathlib import Path

import pytest

from common.errors import TableError
from common.study import Feature, Study, TaskRule
from simulation.datasets.table import load_table


def study(*tasks: str) -> Study:
    return Study(
        name="s",
        features=(Feature(name="age"),),
        tasks=tuple(TaskRule(name=task, column=task) for task in tasks),
    )


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["patient_id,site,age,flu,cold", *rows]) + "\n")
    return path


def test_the_last_site_and_the_last_task_are_held_out(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "1,b,1,0,1", "2,a,2,1,0", "3,a,3,0,1")
    dataset = load_table(path, study("flu", "cold"))
    assert {site: len(p) for site, p in dataset.patients.items()} == {"a": 2, "b": 1}
    assert dataset.held_out_sites == ("b",)
    assert dataset.held_out_tasks == ("cold",)
    assert dataset.validation_tasks == ()
    assert dataset.probabilities is None
    assert "t.csv: 3 patients" in dataset.note


def test_a_single_task_is_not_held_out(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "1,b,1,0,1", "2,a,2,1,0")
    assert load_table(path, study("flu")).held_out_tasks == ()


def test_a_table_of_one_site_is_no_federation(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "1,a,1,0,1", "2,a,2,1,0")
    with pytest.raises(TableError, match="column site holds one site only"):
        load_table(path, study("flu"))
