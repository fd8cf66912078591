"""The matrix of a comparison: its units, kept on disk, and what they say together.

An output folder holds:

    units/HASH.json     a unit's scores; the hash is that of all that it depends on
    model/              the first unit's starts and gates, for `wardround adapt`
    results.json, report.html
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from common.errors import SettingsError
from common.files import write_atomically
from common.personal.portfolio import Portfolio, write_portfolio
from common.privacy.profiles import privacy_statement
from common.sources import RunSettings
from simulation.compare import results
from simulation.compare.report import report_html
from simulation.compare.unit import run_unit
from simulation.compare.validation import Judging
from simulation.judge import versions
from simulation.progress import Reporter
from simulation.run import REPORT_FILE, RESULTS_FILE, results_json
from simulation.scenarios import MANY_SITES
from simulation.source import DEFAULTS, Plan, make_plan, tailored
from simulation.workers import default_workers, workers

UNITS, MODEL = "units", "model"
SOURCES = ("client", "common", "server", "simulation")


@dataclass(frozen=True)
class Unit:
    """One cell of the matrix."""

    settings: RunSettings
    held_out: tuple[str, ...]
    judging: Judging

    @property
    def name(self) -> str:
        """What the progress bar says."""
        return f"seed {self.settings['seed']}" + "".join(f", without {h}" for h in self.held_out)

    def key(self) -> str:
        """Return the hash of all that the unit's scores depend on, the program among it."""
        parts = [sorted(self.settings.items()), self.held_out, asdict(self.judging), _program()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


@lru_cache
def _program() -> str:
    """Return the digest of the packages' own sources: a changed program computes anew."""
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for path in sorted(p for name in SOURCES for p in (root / name).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compare(
    given: RunSettings,
    held_out: Sequence[str],
    seeds: Sequence[int],
    judging: Judging,
    folder: Path,
    *,
    number_of_workers: int,
    reporter: Reporter,
) -> dict[str, Any]:
    """Run what is missing of the matrix and return the results.

    Raises:
        WardroundError: a setting or the data are at fault, or a training fails.
    """
    first = {**DEFAULTS, **given, "seed": seeds[0]}
    plan = make_plan(first)
    tailored(plan, first)  # an unknown algorithm or option is refused before anything is written
    turns = choices(plan, held_out)
    units = [
        Unit({**first, "seed": seed, "held-out": ""}, turn, judging)
        for seed in seeds
        for turn in turns
    ]
    (folder / UNITS).mkdir(parents=True, exist_ok=True)
    _run(units, folder, number_of_workers or default_workers(), reporter)
    found = [json.loads(_path(folder, unit).read_text()) for unit in units]
    if not any(unit["tasks"] for unit in found):
        why = next(iter(found[0]["not_scored"].values()), "there is none")
        raise SettingsError(
            f"no held-out task can be scored: {why}",
            where=f"scenario {plan.scenario}",
            remedy="hold out larger sites, groups or diagnoses, or lower --min-per-class",
        )
    whole = _results(found, plan, first, seeds, judging)
    write_atomically(folder / RESULTS_FILE, results_json(whole).encode())
    write_atomically(folder / REPORT_FILE, report_html(whole).encode())
    return whole


def choices(plan: Plan, held_out: Sequence[str]) -> list[tuple[str, ...]]:
    """Return what is held out, one after the other: each site in turn where sites are few."""
    if held_out:
        return [tuple(held_out)]
    if plan.scenario == "few-shot" and len(plan.dataset.patients) < MANY_SITES:
        return [(site,) for site in plan.dataset.patients]
    return [()]


def _path(folder: Path, unit: Unit) -> Path:
    return folder / UNITS / f"{unit.key()}.json"


def _run(units: Sequence[Unit], folder: Path, number: int, reporter: Reporter) -> None:
    """Run the units that are not on disk yet; each is kept as soon as it is done."""
    missing = [unit for unit in units if not _path(folder, unit).exists()]
    if len(missing) < len(units):
        reporter.say(f"{len(units) - len(missing)} of {len(units)} units are on disk")

    def job(place: int) -> str:
        unit = missing[place]
        scores, portfolio = _attempt(unit)
        if unit == units[0] and portfolio:
            write_portfolio(folder / MODEL, portfolio)
        write_atomically(_path(folder, unit), json.dumps(scores).encode())
        return unit.name

    with reporter.stage("comparing", len(missing)) as tick, workers(job, number) as run:
        for name in run(range(len(missing))):
            tick(name)


def _attempt(unit: Unit) -> tuple[dict[str, Any], Portfolio | None]:
    """Return a unit's scores; a site that leaves nobody to train or to judge on is listed."""
    try:
        return run_unit(unit.settings, unit.held_out, unit.judging)
    except SettingsError as error:
        if not unit.held_out or len(unit.held_out) > 1:
            raise
        empty = ("tasks", "validation", "choices", "weights", "scores", "sets")
        body: dict[str, Any] = {key: [] for key in empty}
        body |= {"seed": unit.settings["seed"], "held_out": list(unit.held_out)}
        return body | {"not_scored": {unit.held_out[0]: error.what}}, None


def _results(
    units: Sequence[Mapping[str, Any]],
    plan: Plan,
    settings: RunSettings,
    seeds: Sequence[int],
    judging: Judging,
) -> dict[str, Any]:
    table = results.Table(units, generated=plan.dataset.probabilities is not None)
    head = {"dataset": plan.dataset.name, "scenario": plan.scenario}
    study = tailored(plan, settings)
    return {
        "schema": 1,
        "command": "compare",
        "study": study.model_dump(mode="json", by_alias=True) | {"id": study.id},
        "settings": dict(settings) | {"seeds": list(seeds)} | asdict(judging),
        "versions": versions("scikit-learn"),
        **head,
        "note": plan.dataset.note,
        "privacy": privacy_statement(study, private=False),
        "units": [_described(unit) for unit in units],
        "compared": results.compared(table),
        "sets": results.sets(units),
        "new_site": results.new_site(table),
        "tests": results.tests(table, seeds[0]),
        "by_seed": results.by_seed(table),
        "rows": list(results.rows(table, head, seeds[0])),
    }


def _described(unit: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in unit.items() if key not in ("scores", "sets")}
