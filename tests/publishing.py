"""Runs to be published: a real one of virtual hospitals, and quick ones that learn nothing."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from common.aggregation import weighted_sum
from common.learner import make_learner
from common.publication.checks import check_folder
from common.publication.manifest import MANIFEST, METRICS, SIGNATURE, Manifest, entries, sign
from common.signed_study import seal_path, seal_study
from common.study import Study, make_study, read_study, study_toml
from server.coordinator.folder import CoordinatorFolder
from server.publishing.documents import theta_digest
from server.publishing.exporting import export
from server.publishing.reading import open_run
from server.rounds import Answers
from server.run import Assembled, RunOptions, run_study
from server.state import ServerState, load_state
from simulation.run import RUN_FILE
from simulation.source import DEFAULTS, make_plan, tailored
from simulation.training import EngineSettings, train
from tests.conftest import ward_settings, ward_table
from tests.coordinating import make_folder

NOON = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMES = ("Ash", "Birch", "Cedar", "Elm")
NOISE = {"clip_norm": 0.05, "noise_multiplier": 1.0, "coin": 1.0, "delta": 1e-3}
CANARY = "CANARY-4711"


def simulated_run(folder: Path) -> Study:
    """Run two rounds of virtual hospitals with noise and votes; return the study."""
    folder.mkdir(parents=True)
    nested = ward_settings()
    nested["server"] |= {"rounds": 2}
    nested["privacy"] = NOISE | {"profile": "robust", "aggregation": "median"}
    nested["evaluation"] |= {"metric_releases": 2, "metric_std": 1.0}
    table, file = folder / "wards.csv", folder / "wards.toml"
    ward_table(patients=200).to_csv(table, index=False)
    file.write_text(study_toml(make_study(nested, where="test")))
    paths = {"dataset": "table", "study": str(file), "data": str(table)}
    settings = DEFAULTS | paths
    study = tailored(make_plan(settings), settings)
    (folder / "run").mkdir()
    (folder / "run" / RUN_FILE).write_text("{}")
    train(study, settings, folder / "run", engine=EngineSettings(workers=1))
    return study


def study_of(**changes: Any) -> Study:
    """Return a study of four wards, changed by section."""
    sites = [{"name": n, "patients": 400, "show_epsilon": n == "Ash"} for n in NAMES]
    nested = ward_settings() | {"sites": sites} | changes
    return make_study(nested, where="test")


def quick_run(
    folder: Path,
    study: Study,
    *,
    dropped: Mapping[str, str] | None = None,
    stop_before: int = 0,
    comment: str = "",
) -> None:
    """Run a study without hospitals; stop_before: a round that a person interrupts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(comment + study_toml(study))
    learner, out = make_learner(study, seed=0), dict(dropped or {})

    def ask(state: ServerState, cohort: Any) -> Answers:
        if state.round_index + 1 == stop_before:
            raise KeyboardInterrupt
        there = tuple(name for name in cohort if name not in out)
        noise = torch.randn(learner.dim, generator=torch.Generator().manual_seed(state.round_index))
        return Answers(weighted_sum([(1.0, noise)], learner.dim), there, out)

    def run() -> None:
        names = [site.name for site in study.sites]
        run_study(study, learner, lambda: Assembled(names, ask), RunOptions(folder=folder))

    if not stop_before:
        run()
        return
    try:
        run()
    except KeyboardInterrupt:
        return


def with_metrics_of(run: Path, other: Path) -> None:
    """Give a quick run the metrics of another one, as if they were of its own initialization."""
    study = read_study(run / "study.toml")
    meta = load_state(run, study, make_learner(study, seed=0)).meta
    about = json.loads((other / METRICS).read_text()) | {"theta_sha256": theta_digest(meta)}
    (run / METRICS).write_text(json.dumps(about))


def coordinator(path: Path, study: Study) -> CoordinatorFolder:
    """Return a coordinator's folder that has signed the study and serves it."""
    folder = make_folder(path)
    folder.study.write_text(study_toml(study))
    seal_path(folder.study).write_text(seal_study(study, folder.signer()).text + "\n")
    return folder


def publish(run: Path, output: Path, *, folder: CoordinatorFolder | None = None) -> Path:
    export(open_run(run, coordinator=folder), output, now=NOON)
    return output


def remade(
    folder: Path,
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda dump: dump,
    *,
    key: Any = None,
) -> None:
    """Write the manifest anew for what lies in the folder, as a forger would; key: signs it."""
    old = Manifest.read((folder / MANIFEST).read_bytes())
    names = {p.name for p in folder.iterdir()} - {MANIFEST, SIGNATURE}
    listed = entries({name: (folder / name).read_bytes() for name in names})
    dump = old.model_dump() | {"files": listed, "signer": key.public.hex() if key else ""}
    new = Manifest.model_validate(change(dump)).sealed()
    (folder / MANIFEST).write_bytes(new.text)
    (folder / SIGNATURE).unlink(missing_ok=True)
    if key:
        (folder / SIGNATURE).write_bytes(sign(new, key))


def holds(folder: Path, key: str = "") -> bool:
    """Whether a published folder passes all checks."""
    return all(check.holds for check in check_folder(folder, key=key))


def loaded(path: Path) -> Any:
    return json.loads(path.read_text())


def everything(folder: Path) -> bytes:
    """Return the bytes of all files, one after the other."""
    return b"\n".join(p.read_bytes() for p in sorted(folder.iterdir()))
