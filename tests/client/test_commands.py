import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.commands import adapt, benefit, predict
from common.errors import RunFolderError, SettingsError
from common.study import Study, study_toml
from tests.importing import modules_after

Table = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("without_onnx")


def test_adapt_then_predict_say_all_on_stdout(
    model: Path, table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapt(model=model, data=table(20), task="gout", output=tmp_path / "p")
    said = capsys.readouterr().out
    for words in ("adapted", "zero-shot + intercept", "local-only", "Each of 20 labelled", "Card:"):
        assert words in said
    assert "No ONNX file: not in this test" in said
    assert max(map(len, said.split("Each of")[0].splitlines())) <= 80
    predict(model=tmp_path / "p", data=table(7, name="new.csv", seed=1))
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["patient"] for row in rows] == [f"p{i:03d}" for i in range(7)]
    assert all(0 <= float(row["probability"]) <= 1 for row in rows)


def test_json_has_a_schema_and_predictions_can_go_to_a_file(
    model: Path, table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapt(model=model, data=table(20), task="gout", output=tmp_path / "p", as_json=True)
    about = json.loads(capsys.readouterr().out)
    assert about["schema"] == 1
    assert about["patients"] == 20
    assert json.loads((tmp_path / "p" / "personal.json").read_text())["about"] == about
    file = tmp_path / "predictions.json"
    predict(model=tmp_path / "p", data=table(3, name="new.csv"), output=file, as_json=True)
    assert capsys.readouterr().out == ""
    assert len(json.loads(file.read_text())["predictions"]) == 3
    benefit(model=model, data=table(60), task="gout", k=[10], draws=20, as_json=True)
    assert json.loads(capsys.readouterr().out)["schema"] == 1


def test_benefit_says_a_sentence_for_each_k(
    model: Path, table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    benefit(model=model, data=table(60), task="gout", k=[5, 10], draws=20)
    said = capsys.readouterr().out
    assert "With 5 labelled patients: " in said
    assert "With 10 labelled patients: " in said
    assert "took part in training" in said


def test_adapt_takes_a_study_with_a_new_task_and_refuses_a_leaking_one(
    model: Path, table: Table, tmp_path: Path, clinic_study: Study
) -> None:
    new = clinic_study.tasks[0].model_copy(update={"name": "scurvy", "column": "scurvy"})
    study = tmp_path / "new.toml"
    study.write_text(study_toml(clinic_study.model_copy(update={"tasks": (new,)})))
    data = table(20, scurvy=[0, 1] * 10)
    adapt(model=model, data=data, task="scurvy", output=tmp_path / "p", study=study)
    assert json.loads((tmp_path / "p" / "personal.json").read_text())["about"]["new_diagnosis"]
    study.write_text(study.read_text().replace('column = "scurvy"', 'column = "marker"'))
    with pytest.raises(SettingsError, match="takes its label from a feature, marker"):
        adapt(model=model, data=data, task="scurvy", output=tmp_path / "q", study=study)
    assert not (tmp_path / "q").exists()


def test_a_failed_adapt_writes_nothing_and_an_old_model_stays(
    model: Path, table: Table, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError):
        adapt(model=model, data=table(20), task="scurvy", output=tmp_path / "p")
    assert not (tmp_path / "p").exists()
    adapt(model=model, data=table(20), task="gout", output=tmp_path / "p")
    with pytest.raises(RunFolderError, match="already"):
        adapt(model=model, data=table(20), task="gout", output=tmp_path / "p")


def test_importing_the_commands_imports_nothing_heavy() -> None:
    assert not {"torch", "numpy", "pandas", "pydantic", "flwr"} & modules_after(
        "import client.commands"
    )
