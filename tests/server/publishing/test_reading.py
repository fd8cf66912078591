"""Which runs can be exported: finished ones, of a study that is theirs, undamaged."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from common.errors import RunFolderError, SettingsError
from common.publication.checks import check_folder
from common.publication.manifest import CARD_PAGE, CARD_TEXT, MANIFEST, MODEL, TENSORS
from common.signed_study import seal_path
from common.study import study_toml
from server.control import STATUS_FILE
from server.publishing.exporting import export
from server.publishing.reading import open_run
from server.state import INITIALIZATION_FILE, STATE_FILE
from tests.publishing import NOISE, NOON, coordinator, holds, loaded, quick_run, study_of

pytestmark = pytest.mark.usefixtures("no_onnx")


def test_noise_is_called_private_of_a_signed_study_of_real_hospitals_only(tmp_path: Path) -> None:
    study = study_of(privacy=NOISE | {"profile": "masked"})
    folder = coordinator(tmp_path / "c", study)
    quick_run(tmp_path / "run", study)
    unsigned = open_run(tmp_path / "run")
    signed = open_run(tmp_path / "run", coordinator=folder)
    (tmp_path / "run" / "run.json").write_text("{}")
    simulated = open_run(tmp_path / "run", coordinator=folder)
    seal_path(folder.study).unlink()
    unsealed = open_run(tmp_path / "run", coordinator=folder)
    found = [given.private for given in (unsigned, signed, simulated, unsealed)]
    assert found == [False, True, False, False]


def test_a_study_that_somebody_else_has_signed_is_refused(tmp_path: Path) -> None:
    study = study_of()
    mine, other = coordinator(tmp_path / "c", study), coordinator(tmp_path / "d", study)
    quick_run(tmp_path / "run", study)
    beside = seal_path(tmp_path / "run" / "study.toml")
    beside.write_text(seal_path(other.study).read_text())
    with pytest.raises(SettingsError, match="another key"):
        open_run(tmp_path / "run", coordinator=mine)
    assert open_run(tmp_path / "run").signatures.seal  # whoever it is, the seal holds
    beside.write_text("nonsense")
    with pytest.raises(SettingsError, match="unreadable"):
        open_run(tmp_path / "run")


def test_a_run_without_its_study_is_refused(tmp_path: Path) -> None:
    quick_run(tmp_path / "run", study_of())
    (tmp_path / "run" / "study.toml").rename(tmp_path / "study.toml")
    with pytest.raises(SettingsError, match="study is not here"):
        open_run(tmp_path / "run")
    assert open_run(tmp_path / "run", study=tmp_path / "study.toml").finished
    (tmp_path / "study.toml").write_text(study_toml(study_of(purpose="another")))
    with pytest.raises(RunFolderError, match="another study"):
        open_run(tmp_path / "run", study=tmp_path / "study.toml")


def test_an_unfinished_run_is_refused_and_marked_everywhere_if_it_is_asked_for(
    tmp_path: Path,
) -> None:
    quick_run(tmp_path / "run", study_of(), stop_before=3)
    with pytest.raises(RunFolderError, match="has not finished: stopped, 2 of 4 rounds"):
        open_run(tmp_path / "run")
    export(open_run(tmp_path / "run", unfinished=True), tmp_path / "out", now=NOON)
    out = tmp_path / "out"
    assert holds(out)
    for name in (MANIFEST, MODEL, "privacy.json"):
        assert loaded(out / name)["finished"] is False, name
    for name in (CARD_TEXT, CARD_PAGE):
        text = (out / name).read_text()
        assert "UNFINISHED: the run is stopped, 2 of 4 rounds are done" in text
        assert "shared initialization (unfinished)" in text
    with safe_open(out / TENSORS, framework="np") as file:
        assert file.metadata()["finished"] == "false"
    assert check_folder(out)[0].found.startswith("UNFINISHED")
    assert any(note.startswith("UNFINISHED") for note in loaded(out / MANIFEST)["notes"])


@pytest.mark.parametrize("phase", ["paused", "failed", "below quorum", "stopped", "roll call"])
def test_all_rounds_are_not_enough_if_the_run_did_not_end_well(tmp_path: Path, phase: str) -> None:
    quick_run(tmp_path / "run", study_of())
    path = tmp_path / "run" / STATUS_FILE
    path.write_text(json.dumps(loaded(path) | {"phase": phase, "pid": 2**22 + 1}))
    with pytest.raises(RunFolderError, match=f"has not finished: {phase}"):
        open_run(tmp_path / "run")
    assert not open_run(tmp_path / "run", unfinished=True).finished


def test_finished_is_what_the_checkpoint_says_too(tmp_path: Path) -> None:
    quick_run(tmp_path / "run", study_of(), stop_before=3)
    path = tmp_path / "run" / STATUS_FILE
    path.write_text(json.dumps(loaded(path) | {"phase": "finished", "round_index": 4}))
    with pytest.raises(RunFolderError, match="2 of 4 rounds"):
        open_run(tmp_path / "run")


def test_a_run_under_way_is_never_exported(tmp_path: Path) -> None:
    quick_run(tmp_path / "run", study_of())
    path = tmp_path / "run" / STATUS_FILE
    path.write_text(json.dumps(loaded(path) | {"phase": "running"}))
    with pytest.raises(RunFolderError, match="under way"):
        open_run(tmp_path / "run", unfinished=True)


def test_what_is_no_run_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no folder of a run"):
        open_run(tmp_path)
    quick_run(tmp_path / "run", study_of())
    initialization = tmp_path / "run" / INITIALIZATION_FILE
    other = study_of(algorithm={"name": "maml", "inner_steps": 1})
    quick_run(tmp_path / "other", other, dropped={"Elm": "deadline"})
    content = bytearray(initialization.read_bytes())
    content[-1] ^= 1
    for changed in (bytes(content), b"nonsense"):
        initialization.write_bytes(changed)
        with pytest.raises(RunFolderError, match="not the checkpoint's"):
            open_run(tmp_path / "run")
    (tmp_path / "other" / STATE_FILE).write_bytes(b"")
    with pytest.raises(RunFolderError, match="damaged"):
        open_run(tmp_path / "other")
