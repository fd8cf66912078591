"""One simulated study from settings to a run folder: train, evaluate, report.

A run folder holds:

    run.json                     the settings of the command, for --resume
    run.log                      what the server and the sites logged, round by round
    study.toml                   the study
    state.safetensors            the checkpoint of the last round
    rounds.jsonl                 who took part in each round, and who was dropped and why
    initialization.safetensors   what was learned, under the model's parameter names
    history/                     the same after every tenth of the rounds
    fedavg/                      all of these for the FedAvg baseline
    metrics.json                 what the sites' votes said, if the study asks for votes
    results.json, report.html    written last, each whole or not at all
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from common.errors import RunFolderError, SettingsError
from common.files import write_atomically
from common.learner import ARITHMETICS, Arithmetic, make_learner
from common.sources import RunSettings
from common.study import Study
from server.state import STATE_FILE, load_state
from simulation.judge import Trained, judge
from simulation.measured import measured
from simulation.progress import Reporter
from simulation.report import report_html
from simulation.scoring import BASELINE, draw_tasks
from simulation.source import (
    DEFAULTS,
    ENGINE_DEFAULTS,
    Plan,
    make_plan,
    tailored,
    virtual_sites,
)
from simulation.training import ENGINES, Engine, EngineSettings, train
from simulation.workers import default_workers

RUN_FILE, LOG_FILE = "run.json", "run.log"
RESULTS_FILE, REPORT_FILE = "results.json", "report.html"
SNAPSHOTS = 10
"""So many points has the learning curve."""
MANY_SITES = 1000
"""From so many generated hospitals on, it is said that they are being drawn."""


def simulate_study(
    settings: RunSettings, folder: Path, *, resume: bool, reporter: Reporter, workers: int = 0
) -> dict[str, Any]:
    """Run the study that the settings describe and return the results.

    workers: processes of the vectorized engine and of the evaluation; 0 takes one a core. Their
    number changes no result.

    Raises:
        WardroundError: a setting, the data, the run folder or the training is at fault.
    """
    given = read_settings(folder) if resume else settings
    settings = DEFAULTS | ENGINE_DEFAULTS | dict(given)
    if not resume and folder.exists() and any(folder.iterdir()):
        raise RunFolderError(
            "the run folder exists", where=str(folder), remedy="choose another, or give --resume"
        )
    if int(settings["sites"]) >= MANY_SITES:  # which takes a while
        reporter.say(f"drawing {settings['sites']} hospitals ...")
    plan = make_plan(settings)
    study = tailored(plan, settings)
    engine = engine_of(settings, workers)
    # An unknown option is refused before anything is written.
    make_learner(study, seed=0, arithmetic=engine.arithmetic)
    tasks = draw_tasks(plan, study.evaluation, int(settings["seed"]))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / RUN_FILE, json.dumps(dict(settings), indent=1).encode())
    with _log_to(folder / LOG_FILE):
        trained = _train_all(plan, study, settings, folder, engine, reporter)
        number = workers or default_workers()
        results = judge(plan, trained, tasks, settings, reporter, number_of_workers=number)
        if told := measured(trained[0], virtual_sites(settings)):
            results["federated_metrics"] = told
    write_atomically(folder / RESULTS_FILE, results_json(results).encode())
    write_atomically(folder / REPORT_FILE, report_html(results).encode())
    return results


def engine_of(settings: RunSettings, workers: int) -> EngineSettings:
    """Return the engine that the settings name.

    Raises:
        SettingsError: there is no such engine or arithmetic.
    """
    for key, known in (("engine", ENGINES), ("arithmetic", ARITHMETICS)):
        if settings[key] not in known:
            raise SettingsError(
                f"there is no {key} {settings[key]!r}",
                where=key,
                remedy=f"choose from {', '.join(known)}",
            )
    name, arithmetic = settings["engine"], settings["arithmetic"]
    return EngineSettings(
        name=cast(Engine, name), arithmetic=cast(Arithmetic, arithmetic), workers=workers
    )


def _train_all(
    plan: Plan,
    study: Study,
    settings: RunSettings,
    folder: Path,
    engine: EngineSettings,
    reporter: Reporter,
) -> list[Trained]:
    """Return the study's algorithm trained, and the FedAvg baseline if it is another."""
    trained = [_train(study, settings, folder, engine, reporter)]
    if study.algorithm.name != BASELINE:
        plain = {"algorithm": BASELINE} | {
            key: DEFAULTS[key] for key in ("inner-lr", "inner-steps")
        }
        baseline = tailored(plan, dict(settings) | plain)
        plain_engine = replace(engine, arithmetic="auto")  # FedAvg may have no closed form
        trained.append(_train(baseline, settings, folder / BASELINE, plain_engine, reporter))
    return trained


def results_json(results: Mapping[str, Any]) -> str:
    """Return the results as JSON, a line for each key: of thousands of sites they are long."""
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in results.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


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


def _train(
    study: Study, settings: RunSettings, folder: Path, engine: EngineSettings, reporter: Reporter
) -> Trained:
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
            engine=engine,
            keep_every=max(1, rounds // SNAPSHOTS),
            on_round=lambda index: tick(f"round {index}") if index else None,
        )
    return Trained(study, learner, meta, folder)
