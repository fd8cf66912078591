"""What of a run goes out, and that neither secrets nor small numbers of patients do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from common.errors import RunFolderError
from common.publication.manifest import CARD_TEXT, MANIFEST, TENSORS
from common.signed_study import seal_path
from common.study import read_study
from server.control import STATUS_FILE
from server.metrics import METRICS_FILE
from server.publishing import exporting
from server.publishing.exporting import write_folder
from server.state import INITIALIZATION_FILE, RECORDS_FILE
from tests.coordinating import make_folder
from tests.publishing import (
    CANARY,
    NAMES,
    NOISE,
    coordinator,
    everything,
    holds,
    loaded,
    publish,
    quick_run,
    simulated_run,
    study_of,
)

pytestmark = pytest.mark.usefixtures("no_onnx")


def test_a_simulated_run_goes_out_and_agrees_with_its_folder(tmp_path: Path) -> None:
    study, run = simulated_run(tmp_path / "a"), tmp_path / "a" / "run"
    out = publish(run, tmp_path / "out")
    assert holds(out)
    learned = load_file(run / INITIALIZATION_FILE)
    assert {n: p.tolist() for n, p in load_file(out / TENSORS).items()} == {
        n: p.tolist() for n, p in learned.items()
    }
    assert (out / "rounds.jsonl").read_bytes() == (run / RECORDS_FILE).read_bytes()
    assert read_study(out / "study.toml").id == study.id
    told, known = loaded(out / "metrics.json"), loaded(run / METRICS_FILE)
    for task, one in told["tasks"].items():
        assert one["estimates"] == known["tasks"][task]["estimates"]
        assert not {"counts", "declared"} & set(one)
    privacy = loaded(out / "privacy.json")
    assert not privacy["private"]
    assert privacy["epsilon"] == {}  # no site lets it be shown
    assert privacy["at_most"]["replace_one"] > 0
    assert "whoever knows the seed" in privacy["basis"]
    assert not (out / "benefit.json").exists()  # the folder has no results of a simulation


def test_of_a_simulations_results_only_means_over_tasks_go_out(tmp_path: Path) -> None:
    study = study_of()
    quick_run(tmp_path / "run", study)
    row = {"k": 5, "arm": "maml", "metric": "auroc", "mean": 0.7, "low": 0.6, "high": 0.8}
    results: dict[str, Any] = {"study": {"id": study.id}, "dataset": "x", "scenario": "y"}
    results |= {"rows": [row | {"held_out": "all", "tasks": 3, "patients": CANARY}]}
    results["rows"].append(row | {"held_out": CANARY, "tasks": 1})
    results |= {"differences": [row | {"minus": "fedavg", "tasks": 3}], "tasks": [CANARY]}
    path = tmp_path / "run" / "results.json"
    path.write_text(json.dumps(results))
    out = publish(tmp_path / "run", tmp_path / "out")
    assert CANARY.encode() not in everything(out)
    assert loaded(out / "benefit.json")["rows"] == [row | {"tasks": 3}]
    assert "AUROC: maml" in (out / CARD_TEXT).read_text()
    path.write_text(json.dumps(results | {"rows": [1]}))
    with pytest.raises(RunFolderError, match=r"benefit\.json is made from is damaged"):
        publish(tmp_path / "run", tmp_path / "b")


def test_without_the_extra_the_manifest_says_why_there_is_no_file(tmp_path: Path) -> None:
    quick_run(tmp_path / "run", study_of())
    out = publish(tmp_path / "run", tmp_path / "out")
    assert "network.onnx: not in this test" in loaded(out / MANIFEST)["notes"]
    assert "network.onnx: not in this test" in (out / CARD_TEXT).read_text()


def test_with_the_coordinators_folder_it_is_signed_and_sealed(tmp_path: Path) -> None:
    study = study_of(privacy=NOISE | {"profile": "masked"})
    folder = coordinator(tmp_path / "c", study)
    quick_run(tmp_path / "run", study)
    (tmp_path / "run" / "study.toml").unlink()  # a federation's run folder holds none
    out = publish(tmp_path / "run", tmp_path / "out", folder=folder)
    assert holds(out, folder.signer().public.hex())
    assert seal_path(out / "study.toml").read_text() == seal_path(folder.study).read_text()
    assert loaded(out / "privacy.json")["private"]


def test_a_coordinator_without_a_seal_of_this_study_says_so(tmp_path: Path) -> None:
    quick_run(tmp_path / "run", study_of())
    out = publish(tmp_path / "run", tmp_path / "out", folder=make_folder(tmp_path / "c"))
    assert holds(out)
    assert not (out / "study.toml.sig").exists()
    assert any("no signature here" in note for note in loaded(out / MANIFEST)["notes"])


def test_a_folder_that_is_there_is_left_alone_and_half_a_folder_is_never_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_run(tmp_path / "run", study_of())
    place = tmp_path / "place"
    (place / "out").mkdir(parents=True)
    with pytest.raises(RunFolderError, match="the folder exists"):
        publish(tmp_path / "run", place / "out")
    (place / "out" / "mine").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_folder(place / "out", {"a": b""})
    assert [p.name for p in place.rglob("*")] == ["out", "mine"]

    def crash(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("server.publishing.exporting.os.fsync", crash)
    with pytest.raises(RunFolderError, match="No space left"):
        publish(tmp_path / "run", place / "other")
    assert [p.name for p in place.rglob("*")] == ["out", "mine"]


def test_metrics_of_another_initialization_or_study_stay_out(tmp_path: Path) -> None:
    study = study_of()
    quick_run(tmp_path / "run", study)
    path = tmp_path / "run" / METRICS_FILE
    path.write_text(json.dumps({"study": study.id, "theta_sha256": "0" * 64}))
    out = publish(tmp_path / "run", tmp_path / "out")
    assert not (out / METRICS_FILE).exists()
    assert any("another initialization" in note for note in loaded(out / MANIFEST)["notes"])
    path.write_text(json.dumps({"study": "0" * 64}))
    assert not (publish(tmp_path / "run", tmp_path / "b") / METRICS_FILE).exists()


def test_no_secret_no_comment_and_no_words_of_a_site_are_in_any_file(tmp_path: Path) -> None:
    study = study_of(privacy=NOISE | {"profile": "masked"})
    folder = coordinator(tmp_path / "c", study)
    dropped = {"Elm": f"error-2 <b>{CANARY}</b>"}
    quick_run(tmp_path / "run", study, dropped=dropped, comment=f"# {CANARY}\n")
    (tmp_path / "run" / "run.log").write_text(CANARY)
    status = tmp_path / "run" / STATUS_FILE
    status.write_text(json.dumps(loaded(status) | {"why": CANARY}))
    whole = everything(publish(tmp_path / "run", tmp_path / "out", folder=folder))
    assert CANARY.encode() not in whole
    for secret in ("coordinator.key", "superexec.secret", "ca.key", "server.pem"):
        content = (folder.path / secret).read_bytes()
        assert content not in whole
        assert content.hex().encode() not in whole
    for place in (tmp_path, Path(exporting.__file__).parents[2]):
        assert str(place).encode() not in whole
    assert b'"Elm":"other"' in whole


@pytest.mark.parametrize("patients", [13, 400])
def test_a_small_number_of_patients_is_in_no_file(tmp_path: Path, patients: int) -> None:
    sites = [{"name": n, "patients": 400, "classes": {"gout": [300, 100]}} for n in NAMES[:3]]
    small = {"name": "Elm", "patients": patients, "classes": {"gout": [patients - 13, 13]}}
    measured = {"metric_releases": 1}
    study = study_of(sites=[*sites, small], evaluation=measured, privacy=NOISE)
    quick_run(tmp_path / "run", study)
    folder = coordinator(tmp_path / "c", study)
    out = publish(tmp_path / "run", tmp_path / "out", folder=folder)
    assert holds(out)
    assert not list(out.glob("study.*"))
    assert any("below 20" in note for note in loaded(out / MANIFEST)["notes"])
    card = (out / CARD_TEXT).read_text()
    assert ("| &lt;20 |" in card) == (patients == 13)
    for path in out.iterdir():
        if path.name not in ("sbom.cdx.json", TENSORS):
            text = path.read_text()
            assert not re.search(r"(?<![\w.])13(?![\w.])", text), path.name
