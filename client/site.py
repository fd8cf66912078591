"""Opens the site that a client stands for: a hospital's own table, or a virtual one.

What a hospital's client reads is named in its own node config, never by the coordinator:

    study   path of the study.toml that this hospital agreed to
    data    path of its patient table, CSV or Parquet
    site    its name in the study's roster
    state   a folder of its own; the secret key of its draws is made there, mode 0600

    unprotected   true: take part in a study whose privacy profile is none, for public data
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from client.books import Books, open_books
from client.cells import names_of
from client.site_keys import site_key
from client.slots import IDLE, take_slots
from client.table import patients_by_site, read_table
from common.crypto import ByteStream, fresh_key
from common.episodes import Site
from common.errors import PrivacyError, SettingsError, TableError
from common.learner import Learner, make_learner
from common.patients import tasks_of
from common.privacy.cost import declared
from common.slots import with_slots
from common.sources import RunSettings, simulated_source
from common.study import Study, read_study

_Items = frozenset[tuple[str, str | int | float | bool]]


class Opened(NamedTuple):
    """A client's study, its site, and the learner; the learner's own theta is never used.

    books: a hospital's, where the study protects its patients; a virtual site has none.
    """

    study: Study
    site: Site
    learner: Learner
    books: Books | None = None


def open_site(node: RunSettings, run: RunSettings) -> Opened:
    """Return what this client stands for; opened once, then kept in memory."""
    return _open(frozenset(node.items()), frozenset(run.items()))


@lru_cache(maxsize=4096)
def _open(node_items: _Items, run_items: _Items) -> Opened:
    node, run = dict(node_items), dict(run_items)
    if "partition-id" in node:
        source = simulated_source()
        study = source.study(run)
        site = with_slots(source.site(run, int(node["partition-id"])), study)
        return Opened(study, site, make_learner(study, seed=0))
    return _hospital({key: str(value) for key, value in node.items()})


def _hospital(node: Mapping[str, str]) -> Opened:
    for key in ("study", "data", "site", "state"):
        if not node.get(key):
            raise SettingsError(
                f"{key} is not set", where="node config", remedy=f"start the node with {key}=..."
            )
    study = read_study(Path(node["study"]))
    _check_profile(study, node)
    learner, state = make_learner(study, seed=0), Path(node["state"])
    if study.privacy.noise_multiplier:
        return Opened(study, _private_site(study, node, state), learner, open_books(state))
    return Opened(study, _plain_site(study, node, state), learner)


def _plain_site(study: Study, node: Mapping[str, str], state: Path) -> Site:
    frame = read_table(Path(node["data"]))
    patients = patients_by_site(frame, study, where=node["data"], site=node["site"])[node["site"]]
    tasks = tasks_of(patients, study, [task.name for task in study.tasks])
    if not tasks:
        raise TableError(
            "no task has two patients of each class",
            where=node["data"],
            remedy="add patients, or leave this study to other sites",
        )
    return Site(node["site"], site_key(state), tasks)


def _private_site(study: Study, node: Mapping[str, str], state: Path) -> Site:
    """Return the site with its patients in their slots; its tasks are those that it declared.

    Nothing about the table decides whether a task is offered: that would tell of its patients.
    """
    name, key = node["site"], site_key(state)
    entry = declared(study, name)
    frame = read_table(Path(node["data"]))
    patients = patients_by_site(frame, study, where=node["data"], site=name)[name]
    names = entry.tasks or tuple(task.name for task in study.tasks)
    ids = names_of(frame[study.columns.patient], where=node["data"]).tolist()
    random = ByteStream(fresh_key())
    slots = take_slots(state, key, study.id, ids, slots=entry.patients, random=random)
    rows = np.flatnonzero(slots != IDLE)
    tasks = tasks_of(patients, study, names, rows=rows, min_per_class=0)
    placed = [replace(task, patient=slots[task.patient]) for task in tasks]
    return Site(name, key, placed, slots=entry.patients)


def _check_profile(study: Study, node: Mapping[str, str]) -> None:
    """Refuse a study without protection, unless the hospital itself has said otherwise."""
    if study.privacy.profile == "none" and node.get("unprotected") != "True":
        raise PrivacyError(
            "the study protects no patient: its privacy profile is none",
            where=node["study"],
            remedy="agree on profile masked or robust; for public data start with unprotected=true",
        )
    if study.privacy.profile == "none" and study.privacy.noise_multiplier:
        raise PrivacyError(
            "the study asks for noise that nobody would account for",
            where=node["study"],
            remedy="agree on profile masked or robust",
        )
