"""Hospitals with ledgers are asked for their votes: each pays once, a crash gains nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

import server.metrics
from client.budget import open_ledger
from common.study import Study
from server.metrics import METRICS_FILE
from tests.client.gate.conftest import PRIVACY as ROBUST
from tests.integration.test_private_hospitals import NAMES, ROUNDS, hospitals, masked_study, run

CLASSES = {"gout": [45, 45], "anaemia": [45, 45]}
SITES = [{"name": name, "patients": 90, "classes": CLASSES} for name in NAMES]


def study_of(releases: int = 2, **changes: Any) -> Study:
    measured = {"metric_releases": releases, "metric_std": 5.0}
    return masked_study(sites=SITES, evaluation=measured, **changes)


def metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run" / METRICS_FILE).read_text())  # type: ignore[no-any-return]


def debits(folder: Path, study: Study) -> list[tuple[int, int]]:
    ledgers = [open_ledger(folder / name / "state", lambda: 2e9) for name in NAMES]
    return [(one.debits(study.id, "gradient"), one.debits(study.id, "metric")) for one in ledgers]


def die_before_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the coordinator die when it knows the first sum and has not yet written it."""

    def killed(path: Path, data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server.metrics, "write_atomically", killed)


@pytest.mark.parametrize("changes", [{}, {"privacy": ROBUST}], ids=["masked", "robust"])
def test_a_measured_study_among_real_hospitals_and_each_has_paid(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    study = study_of(**changes)
    run(tmp_path, hospitals(tmp_path, study))
    found = metrics(tmp_path)
    assert not found["missing"]
    for number, task in enumerate(("gout", "anaemia"), start=1):
        about = found["tasks"][task]
        assert (about["release"], about["sites"]) == (number, list(NAMES))
        votes = sum(map(sum, about["counts"]))
        # 90 patients in slots at each of four; 80 noises of 5 have a standard deviation of 45.
        assert abs(votes - 360) < 5 * 45
        # Labels are drawn by a coin: no model knows them.
        if about["estimates"]:
            auroc = about["estimates"]["auroc"]
            assert abs(auroc["value"] - 0.5) < 4 * auroc["standard_error"]
    assert debits(tmp_path, study) == [(ROUNDS, 2)] * 4
    for name in NAMES:
        balance = open_ledger(tmp_path / name / "state", lambda: 2e9).balance("2026")
        assert balance.spent == pytest.approx(balance.reserved)


def test_a_coordinator_that_died_asks_again_and_nobody_pays_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(privacy=ROBUST)
    nodes = hospitals(tmp_path, study)
    die_before_writing(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, nodes)
    monkeypatch.undo()
    assert debits(tmp_path, study) == [(ROUNDS, 1)] * 4
    run(tmp_path, nodes, number=2, resume=True)
    assert debits(tmp_path, study) == [(ROUNDS, 2)] * 4
    first = metrics(tmp_path)
    (tmp_path / "run" / METRICS_FILE).unlink()
    run(tmp_path, nodes, number=3, resume=True)
    assert metrics(tmp_path) == first
    assert debits(tmp_path, study) == [(ROUNDS, 2)] * 4


@pytest.mark.parametrize(("releases", "missing"), [(3, []), (2, ["anaemia"])])
def test_a_sum_that_died_with_its_coordinator_is_drawn_anew_and_paid_anew(
    releases: int, missing: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under masks the old vectors may lie open in another sum: a spare release stands for it."""
    study = study_of(releases)
    nodes = hospitals(tmp_path, study)
    die_before_writing(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, nodes)
    monkeypatch.undo()
    assert (tmp_path / "run" / "initialization.safetensors").exists()
    run(tmp_path, nodes, number=2, resume=True)
    assert debits(tmp_path, study) == [(ROUNDS, releases)] * 4
    found = metrics(tmp_path)
    assert list(found["missing"]) == missing
    assert list(found["tasks"]) == [t for t in ("gout", "anaemia") if t not in missing]
    if missing:
        assert "error-2 PrivacyError" in found["missing"]["anaemia"]


def test_no_name_of_a_patient_and_no_clear_count_is_in_what_the_coordinator_keeps(
    tmp_path: Path,
) -> None:
    study = study_of()
    run(tmp_path, hospitals(tmp_path, study))
    for path in (p for p in (tmp_path / "run").rglob("*") if p.is_file()):
        assert b"secret-" not in path.read_bytes(), path
    assert set(metrics(tmp_path)["tasks"]["gout"]) == {
        *("release", "sites", "dropped", "declared", "counts"),
        *("informative", "estimates", "calibration"),
    }
