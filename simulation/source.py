"""From run settings to a data set, a scenario and a study: what the virtual sites are.

Everything here is a function of the settings, so that every process of a run, whichever engine
started it, finds the same sites.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from common.algorithms.base import Algorithm, find_algorithm
from common.crypto import SigningKey
from common.episodes import Site, Task
from common.errors import SettingsError
from common.privacy.histograms import FEWEST_PER_CLASS
from common.privacy.masking.roster import (
    Roster,
    SignedRoster,
    lasting_sites,
    roster_text,
    sign_roster,
)
from common.randomness import derived_key
from common.sources import RunSettings, virtual_identity
from common.study import Study, make_study, read_study
from simulation.datasets import load_dataset
from simulation.datasets.base import Dataset
from simulation.datasets.table import load_table
from simulation.protection import protect
from simulation.scenarios import SCENARIOS, Scenario, Split, split

DEFAULTS: dict[str, str | int | float | bool] = {
    "study": "",
    "dataset": "thyroid",
    "data": "",
    "scenario": "few-shot",
    "held-out": "",
    "sites": 0,
    "seed": 0,
    "algorithm": "",
    "rounds": 0,
    "inner-steps": -1,
    "inner-lr": -1.0,
    "support": 0,
    "query": 0,
    "profile": "",
    "epsilon": 0.0,
    "metric-releases": 0,
    "metric-std": 0.0,
}
ENGINE_DEFAULTS = {"engine": "vectorized", "arithmetic": "auto"}
"""Settings of `wardround simulate` alone: Flower's runtime is an engine of its own."""
_PLAN_KEYS = ("study", "dataset", "data", "scenario", "held-out", "sites", "seed")


@dataclass(frozen=True)
class Plan:
    """A data set and how its patients are divided."""

    dataset: Dataset
    scenario: Scenario
    split: Split


class SimulatedSource:
    """The source of virtual sites that server and client find by its entry point."""

    def study(self, settings: RunSettings) -> Study:
        """Return the study at `settings["study"]`, else one built from the other settings."""
        given = DEFAULTS | dict(settings)
        if given["study"]:
            return read_study(Path(str(given["study"])))
        return tailored(make_plan(given), given)

    def site(self, settings: RunSettings, index: int) -> Site:
        """Return virtual site `index`; its key derives from the seed, so every engine agrees."""
        names = list(make_plan(settings).split.train)
        if not 0 <= index < len(names):
            raise SettingsError(
                f"there is no virtual site {index}",
                where="partition-id",
                remedy=f"start {len(names)} nodes",
            )
        return virtual_site(settings, names[index])

    def roster(self, settings: RunSettings) -> str:
        """Return the roster of the study's sites, signed by all; it never expires.

        Raises:
            SettingsError: the study names no sites.
        """
        study, seed = self.study(settings), int(settings["seed"])
        if not study.sites:
            raise SettingsError(
                "the study names no sites", where=study.name, remedy="list them: [[sites]]"
            )
        keys = {
            site.name: SigningKey(virtual_identity(derived_key(seed, "site", site.name)))
            for site in study.sites
        }
        sites = lasting_sites(keys, {site.name: site.weight for site in study.sites})
        roster = Roster(federation=study.name, epoch=1, sites=sites)
        signatures = {name: sign_roster(roster, key) for name, key in keys.items()}
        return roster_text(SignedRoster(roster=roster, signatures=signatures))


def virtual_sites(settings: RunSettings) -> list[Site]:
    """Return all sites that train, in the order of their partitions; keys derive from the seed."""
    return [virtual_site(settings, name) for name in make_plan(settings).split.train]


def virtual_site(settings: RunSettings, name: str) -> Site:
    """Return the site of this name; its key derives from the seed."""
    key = derived_key(int(settings["seed"]), "site", name)
    return Site(name, key, make_plan(settings).split.train[name])


def make_plan(settings: RunSettings) -> Plan:
    """Return the data set and division that the settings name; made once a process.

    Raises:
        SettingsError: a setting is unknown. TableError: the data cannot be used.
    """
    given = DEFAULTS | dict(settings)
    if given["dataset"] != "table":
        given["study"] = ""  # only a table is read through it; the data are loaded once, not thrice
    return _plan(*(given[key] for key in _PLAN_KEYS))


@lru_cache(maxsize=8)
def _plan(
    study: str, dataset: str, data: str, scenario: str, held_out: str, sites: int, seed: int
) -> Plan:
    if scenario not in SCENARIOS:
        raise SettingsError(
            f"there is no scenario {scenario!r}",
            where="scenario",
            remedy=f"choose from {', '.join(SCENARIOS)}",
        )
    folder = Path(data) if data else None
    if dataset == "table":
        if not (folder and study):
            raise SettingsError(
                "a table needs a file and a study",
                where="dataset table",
                remedy="give --data FILE and --study study.toml",
            )
        loaded = load_table(folder, read_study(Path(study)))
    else:
        loaded = load_dataset(dataset, data=folder, seed=seed, sites=sites)
    names = [name.strip() for name in held_out.split(";") if name.strip()]
    return Plan(loaded, scenario, split(loaded, scenario, held_out=names, seed=seed))


def tailored(
    plan: Plan,
    settings: RunSettings,
    *,
    given: Algorithm | None = None,
    sections: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Study:
    """Return the data set's study with the settings applied and the training sites listed.

    given: an algorithm that need not be installed. sections: the study's sections, which come
    before the other settings; any setting of a section can be given.
    """
    study = _base_study(plan, str(settings["study"]))
    dump = study.model_dump(mode="json", by_alias=True)
    algorithm = given or find_algorithm(str(settings["algorithm"]) or study.algorithm.name)
    if given or study.algorithm.name != algorithm.name:
        dump["server"] |= {"optimizer": algorithm.optimizer, "meta_lr": algorithm.meta_lr}
        dump["algorithm"] |= {"name": algorithm.name, "options": {}}
    for section, values in sections.items():
        dump[section] = {**dump.get(section, {}), **values}
    dump["algorithm"] |= _given(settings, inner_steps="inner-steps", inner_lr="inner-lr")
    dump["episodes"] |= _given(settings, support="support", query="query")
    dump["server"] |= _given(settings, rounds="rounds")
    measured = {"metric_releases": "metric-releases", "metric_std": "metric-std"}
    dump["evaluation"] |= _given(settings, **measured)
    listed = {site["name"]: site for site in dump["sites"]}
    dump["sites"] = [listed.get(name, {"name": name}) for name in plan.split.train]
    patients = {name: _num_patients(tasks) for name, tasks in plan.split.train.items()}
    if settings["profile"] or settings["epsilon"]:
        profile, epsilon = str(settings["profile"]), float(settings["epsilon"])
        protect(dump, patients, profile=profile, epsilon=epsilon)
    measures = dump["evaluation"]["metric_releases"] > 0
    for site in dump["sites"]:
        if dump["privacy"]["noise_multiplier"] or measures:
            site["patients"] = site.get("patients") or patients[site["name"]]
        if measures:
            site["classes"] = site.get("classes") or _classes(plan.split.train[site["name"]])
    return make_study(dump, where="settings")


def _num_patients(tasks: Sequence[Task]) -> int:
    """Return the number of patients that any of the tasks has."""
    return len(np.unique(np.concatenate([task.patient for task in tasks])))


def _classes(tasks: Sequence[Task]) -> dict[str, list[int]]:
    """Return what a virtual site declares, which is the truth, of tasks large enough to measure."""
    sizes = {task.name: np.bincount(task.y, minlength=2).tolist() for task in tasks}
    enough = {name: own for name, own in sizes.items() if min(own) >= FEWEST_PER_CLASS}
    return enough or sizes


def _base_study(plan: Plan, path: str) -> Study:
    """Return the study to start from: the one at `path`, which must fit the data, or the set's."""
    own = plan.dataset.study
    study = read_study(Path(path)) if path else own
    if (study.features, study.tasks, study.groups) != (own.features, own.tasks, own.groups):
        raise SettingsError(
            f"the study has other features, tasks or groups than {plan.dataset.name}",
            where=path,
            remedy="start from the study.toml of a run on this data set",
        )
    return study


def _given(settings: RunSettings, **names: str) -> dict[str, Any]:
    """Return the settings that were given: those that differ from their default."""
    return {field: settings[key] for field, key in names.items() if settings[key] != DEFAULTS[key]}
