"""From a federation's published folder to a hospital's own model."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.commands import adapt, benefit, predict
from client.own import find_task, read_labelled
from common.errors import RunFolderError
from common.publication.manifest import STUDY, TENSORS
from common.study import Study, make_study, study_toml
from tests.client.conftest import clinic_settings
from tests.publishing import publish, quick_run

Table = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("without_onnx")
SITES = [{"name": name, "patients": 400} for name in ("Ash", "Birch")]


def study_of_two(**changes: object) -> Study:
    settings = clinic_settings() | {"sites": SITES, "server": {"rounds": 2}}
    return make_study(settings | changes, where="test")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    quick_run(tmp_path / "run", study_of_two())
    return publish(tmp_path / "run", tmp_path / "published")


def test_a_hospital_adapts_and_predicts_from_a_published_folder_alone(
    published: Path, table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapt(model=published, data=table(20), task="gout", output=tmp_path / "p", as_json=True)
    about = json.loads(capsys.readouterr().out)
    assert (about["validation_tasks"], about["new_diagnosis"]) == (0, False)
    assert "2 of 2 rounds, finished, signed by nobody" in about["origin"]
    assert any("No validation task has taught the gate" in text for text in about["warnings"])
    assert not any("far from" in text for text in about["warnings"])
    for folder in (published,):
        for path in folder.iterdir():
            path.unlink()
    predict(model=tmp_path / "p", data=table(30, name="new.csv", seed=1), as_json=True)
    rows = json.loads(capsys.readouterr().out)["predictions"]
    assert len(rows) == 30
    assert not any(row["abstain"] for row in rows)


def test_benefit_weighs_a_published_folder_too(
    published: Path, table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    benefit(model=published, data=table(60), task="gout", k=[10], draws=20)
    assert "With 10 labelled patients: " in capsys.readouterr().out


def test_a_diagnosis_that_the_federation_did_not_train_is_a_new_one(
    published: Path, table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = clinic_settings()
    settings["tasks"] = [{"name": "anaemia at last", "column": "anaemia"}]
    own = tmp_path / "own.toml"
    own.write_text(study_toml(make_study(settings, where="test")))
    given = {"model": published, "data": table(20), "task": "anaemia at last", "study": own}
    adapt(**given, output=tmp_path / "p", as_json=True)  # type: ignore[arg-type]
    about = json.loads(capsys.readouterr().out)
    assert about["new_diagnosis"]
    assert any("New diagnosis" in text for text in about["warnings"])


def test_a_folder_that_verify_would_refuse_is_not_adapted(
    published: Path, table: Table, tmp_path: Path
) -> None:
    data = bytearray((published / TENSORS).read_bytes())
    data[-1] ^= 1
    (published / TENSORS).write_bytes(data)
    with pytest.raises(RunFolderError, match=r"hashes: not as the manifest says"):
        adapt(model=published, data=table(20), task="gout", output=tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_without_the_study_nobody_knows_what_the_inputs_mean(table: Table, tmp_path: Path) -> None:
    few = [{"name": "Ash", "patients": 400}, {"name": "Birch", "patients": 12}]
    quick_run(tmp_path / "run", study_of_two(sites=few))
    folder = publish(tmp_path / "run", tmp_path / "published")
    assert not (folder / STUDY).exists()
    with pytest.raises(RunFolderError, match="the study is not published"):
        adapt(model=folder, data=table(20), task="gout", output=tmp_path / "p")


def test_the_card_says_that_nobody_taught_the_weights(
    published: Path, table: Table, tmp_path: Path
) -> None:
    adapt(model=published, data=table(20), task="gout", output=tmp_path / "p")
    card = (tmp_path / "p" / "card.html").read_text()
    assert "Nobody has taught the weights" in card
    assert "learned on 0" not in card


def test_a_task_with_a_label_of_few_patients_leaves_it_in_every_set(
    published: Path, table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = study_of_two()
    own = read_labelled(table(12), study, find_task(study, "gout", where="test"))
    few = 1 if own.y.sum() < 9 else 0
    adapt(model=published, data=table(12), task="gout", output=tmp_path / "p")
    capsys.readouterr()
    predict(model=tmp_path / "p", data=table(40, name="new.csv", seed=2), as_json=True)
    names = {"yes", "yes or no"} if few else {"no", "yes or no"}
    rows = json.loads(capsys.readouterr().out)["predictions"]
    assert {row["prediction_set"] for row in rows} <= names
