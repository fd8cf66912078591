"""One simulated study from settings to a run folder: train, evaluate, report.

A run folder holds:

    run.json                     the settings of the command, for --resume
    run.log                      what the server and the sites logged, round by round
    study.toml                   the study
    state.safetensors            the checkpoint of the last round
    initialization.safetensors   what was learned, under the model's parameter names
    history/                     the same after every tenth of the rounds
    fedavg/                      all of these for the FedAvg baseline
    results.json, report.html    written last, each whole or not at all
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import RunFolderError
from common.files import write_atomically
from common.learner import make_learner
from common.sources import RunSettings
from common.study import Study
from server.state import STATE_FILE, load_state
from simulation.judge import HeldOutTasks, Trained, draw_tasks, judge
from simulation.progress import Reporter
from simulation.report import report_html
from simulation.source import DEFAULTS, Plan, make_plan, tailored
from simulation.training import train

RUN_FILE, LOG_FILE = "run.json", "run.log"
RESULTS_FILE, REPORT_FILE = "results.json", "report.html"
BASELINE = "fedavg"
SNAPSHOTS = 10
"""So many points has the learning curve."""


def simulate_study(
    settings: RunSettings, folder: Path, *, resume: bool, reporter: Reporter
) -> dict[str, Any]:
    """Run the study that the settings describe and return the results.

    Raises:
        WardroundError: a setting, the data, the run folder or the training is at fault.
    """
    settings = DEFAULTS | dict(read_settings(folder) if resume else settings)
    if not resume and folder.exists() and any(folder.iterdir()):
        raise RunFolderError(
            "the run folder exists", where=str(folder), remedy="choose another, or give --resume"
        )
    plan = make_plan(settings)
    study = tailored(plan, settings)
    make_learner(study, seed=0)  # an unknown option is refused before anything is written
    tasks = draw_tasks(plan, study.evaluation, int(settings["seed"]))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / RUN_FILE, json.dumps(dict(settings), indent=1).encode())
    with _log_to(folder / LOG_FILE):
        results = _train_and_judge(plan, study, tasks, settings, folder, reporter)
    write_atomically(folder / RESULTS_FILE, json.dumps(results, indent=1).encode())
    write_atomically(folder / REPORT_FILE, report_html(results).encode())
    return results


def _train_and_judge(
    plan: Plan,
    study: Study,
    tasks: HeldOutTasks,
    settings: RunSettings,
    folder: Path,
    reporter: Reporter,
) -> dict[str, Any]:
    trained = [_train(study, settings, folder, reporter)]
    if study.algorithm.name != BASELINE:
        plain = {"algorithm": BASELINE} | {
            key: DEFAULTS[key] for key in ("inner-lr", "inner-steps")
        }
        baseline = tailored(plan, dict(settings) | plain)
        trained.append(_train(baseline, settings, folder / BASELINE, reporter))
    return judge(plan, trained, tasks, settings, reporter)


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Send what server and sites log to a file, and keep it off the terminal."""
    logger, handler = logging.getLogger("wardround"), logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(level)
        logger.propagate = propagate


def read_settings(folder: Path) -> RunSettings:
    """Return the settings that a run folder was made with."""
    path = folder / RUN_FILE
    try:
        settings: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunFolderError(
            "no run to resume", where=str(path), remedy="start anew without --resume"
        ) from error
    return settings


def _train(study: Study, settings: RunSettings, folder: Path, reporter: Reporter) -> Trained:
    """Train, or go on from the folder's checkpoint, and return what was learned."""
    rounds, name = study.server.rounds, study.algorithm.name
    learner = make_learner(study, seed=int(settings["seed"]))
    resumed = (folder / STATE_FILE).exists()
    done = load_state(folder, study, learner).round_index if resumed else 0
    title = f"{name}: {len(study.sites)} sites, {rounds} rounds"
    with reporter.stage(title, rounds - done) as tick:
        meta = train(
            study,
            settings,
            folder,
            keep_every=max(1, rounds // SNAPSHOTS),
            on_round=lambda index: tick(f"round {index}") if index else None,
        )
    return Trained(study, learner, meta, folder)
