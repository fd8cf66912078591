import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from client.evidence import weigh
from client.personal import FILE, SUPPORT, Fit, Personal, fit, read_personal, write_personal
from client.words import warnings
from common.errors import NonFiniteError, RunFolderError
from common.files import write_atomically
from common.personal.portfolio import Portfolio
from common.personal.starts import Start

Fitted = tuple[Personal, Fit]


def written(folder: Path, fitted: Fitted) -> Path:
    write_personal(folder, *fitted, card="<p>card</p>", onnx=b"onnx", about={"said": 1})
    return folder


def test_a_model_that_was_written_is_read_back_and_predicts_the_same(
    fitted: Fitted, tmp_path: Path
) -> None:
    found = read_personal(written(tmp_path / "personal", fitted))
    assert found.task == fitted[0].task
    assert found.coverage == 0.9
    assert torch.equal(found.x, fitted[0].x)
    again = fit(found)
    assert torch.equal(again.predictor(found.x), fitted[1].predictor(found.x))
    assert again.new == fitted[1].new


def test_only_what_is_needed_is_copied_and_the_model_folder_is_not_needed_any_more(
    personal: Callable[..., Personal], tmp_path: Path, model: Path
) -> None:
    one = personal(task="anaemia")
    folder = written(tmp_path / "personal", (one, fit(one)))
    model.rename(tmp_path / "gone")
    found = read_personal(folder)
    assert [s.name for s in found.portfolio.starts] == ["maml", "fedavg"]
    assert set(found.portfolio.rules) == {"new"}


def test_every_file_can_be_read_by_its_owner_alone(fitted: Fitted, tmp_path: Path) -> None:
    folder = written(tmp_path / "personal", fitted)
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o600, path


@pytest.mark.parametrize("name", [SUPPORT, "card.html", "study.toml", "model/portfolio.json"])
def test_a_changed_or_missing_file_is_refused_by_name(
    name: str, fitted: Fitted, tmp_path: Path
) -> None:
    folder = written(tmp_path / "personal", fitted)
    with (folder / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(RunFolderError, match=name):
        read_personal(folder)
    (folder / name).unlink()
    with pytest.raises(RunFolderError, match=name):
        read_personal(folder)


def test_the_list_of_files_is_written_last(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def note(path: Path, data: bytes) -> None:
        order.append(path.name)
        write_atomically(path, data)

    monkeypatch.setattr("client.personal.write_atomically", note)
    folder = written(tmp_path / "personal", fitted)
    assert order[-1] == FILE
    listed = json.loads((folder / FILE).read_text())["sha256"]
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(listed) == files - {FILE}


def test_an_existing_model_is_never_overwritten(fitted: Fitted, tmp_path: Path) -> None:
    folder = written(tmp_path / "personal", fitted)
    with pytest.raises(RunFolderError, match="already"):
        written(folder, fitted)


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 2}', "[1]"])
def test_a_folder_that_holds_no_model_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(RunFolderError, match="no personal model"):
        read_personal(tmp_path)
    with pytest.raises(RunFolderError, match="no personal model"):
        read_personal(tmp_path / "nowhere")


def with_bad_steps(personal: Personal) -> Personal:
    """A start whose own inner steps overflow."""
    first, *rest = personal.portfolio.starts
    settings = replace(first.learner.settings, inner_lr=1e30)
    bad = Start(first.name, replace(first.learner, settings=settings), first.meta, first.task)
    portfolio = Portfolio(
        [bad, *rest], personal.portfolio.studies, personal.portfolio.rules, "a test"
    )
    return replace(personal, portfolio=portfolio)


def test_a_candidate_that_overflows_is_struck_out_and_the_rest_predicts(
    personal: Callable[..., Personal],
) -> None:
    one = with_bad_steps(personal())
    found = fit(one)
    assert torch.isfinite(found.predictor(one.x)).all()
    rows = {row.name: row for row in weigh(one, found).candidates}
    assert rows["maml/steps/2"].struck == "its predictions are not finite"
    assert rows["maml/steps/2"].weight == 0
    said = [w for w in warnings(one, found, weigh(one, found)) if w.startswith("Struck out")]
    assert "maml/steps/2" in said[0]


def test_a_module_that_disagrees_with_the_gate_is_refused(
    personal: Callable[..., Personal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.personal.AGREE", 1e-12)
    with pytest.raises(NonFiniteError, match="not reproducible"):
        fit(personal())


def test_a_known_diagnosis_takes_its_own_start_and_gate(personal: Callable[..., Personal]) -> None:
    known, new = fit(personal()), fit(personal(task="anaemia"))
    assert [s.name for s in known.starts] == ["maml", "fedavg", "own"]
    assert not known.new
    assert [s.name for s in new.starts] == ["maml", "fedavg"]
    assert new.new
