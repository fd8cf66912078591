"""Opens the site that a client stands for: a hospital's own patients, or a virtual one.

A hospital's node config names the node's folder, `node`, and nothing else; what is read and what is
allowed stands there, in site.toml, and never comes from the coordinator. A study is opened if the
gate admits it, and anew when the rules have changed.
"""

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from client.books import Books, open_books
from client.cells import names_of
from client.gate.gate import admit
from client.hospital import Hospital
from client.mapping.reading import read_patients
from client.site_file import SiteFile
from client.site_keys import site_key
from client.slots import IDLE, take_slots
from client.sources.opening import open_source
from client.table import patients_by_site
from common.crypto import ByteStream, fresh_key
from common.episodes import Site
from common.errors import SettingsError, TableError
from common.learner import Learner, make_learner
from common.patients import tasks_of
from common.privacy.cost import declared
from common.slots import with_slots
from common.sources import RunSettings, simulated_source
from common.study import Study, make_study

_Items = frozenset[tuple[str, str | int | float | bool]]


class Opened(NamedTuple):
    """A client's study, its site, and the learner; the learner's own theta is never used.

    books: a hospital's, where the study protects its patients. hospital: none of a virtual site.
    """

    study: Study
    site: Site
    learner: Learner
    books: Books | None = None
    hospital: Hospital | None = None


def open_site(node: RunSettings, run: RunSettings, study: str = "") -> Opened:
    """Return what this client stands for; opened once, then kept in memory.

    study: the id of the study that a hospital is asked about; a virtual site knows its own.

    Raises:
        Refusal: the hospital does not take part in this study.
        WardroundError: it does, and cannot.
    """
    if "partition-id" in node:
        return _virtual(int(node["partition-id"]), frozenset(run.items()))
    if not node.get("node"):
        raise SettingsError(
            "node is not set", where="node config", remedy="start it by `wardround node start`"
        )
    admitted = admit(Path(str(node["node"])), study)
    rules, text = admitted.hospital.rules.model_dump_json(by_alias=True), admitted.approval.study
    return _of_hospital(admitted.hospital.folder, rules, text)


@lru_cache(maxsize=4096)
def _virtual(partition: int, run_items: _Items) -> Opened:
    run, source = dict(run_items), simulated_source()
    study = source.study(run)
    site = with_slots(source.site(run, partition), study)
    return Opened(study, site, make_learner(study, seed=0))


@lru_cache(maxsize=16)
def _of_hospital(folder: Path, rules: str, text: str) -> Opened:
    """Return what a hospital stands for under these rules, in the study with this JSON."""
    hospital = Hospital(folder, SiteFile.model_validate_json(rules))
    study = make_study(json.loads(text), where="approval")
    learner, private = make_learner(study, seed=0), bool(study.privacy.noise_multiplier)
    site = (_private_site if private else _plain_site)(study, hospital)
    return Opened(study, site, learner, open_books(hospital.state) if private else None, hospital)


def _plain_site(study: Study, hospital: Hospital) -> Site:
    frame, where = own_table(hospital, study)
    name = hospital.name
    patients = patients_by_site(frame, study, where=where, site=name)[name]
    tasks = tasks_of(patients, study, [task.name for task in study.tasks])
    if not tasks:
        raise TableError(
            "no task has two patients of each class",
            where=where,
            remedy="add patients, or leave this study to other sites",
        )
    return Site(name, site_key(hospital.state), tasks)


def _private_site(study: Study, hospital: Hospital) -> Site:
    """Return the site with its patients in their slots; its tasks are those that it declared.

    Nothing about the table decides whether a task is offered: that would tell of its patients.
    """
    name, key, entry = hospital.name, site_key(hospital.state), declared(study, hospital.name)
    frame, where = own_table(hospital, study)
    patients = patients_by_site(frame, study, where=where, site=name)[name]
    names = entry.tasks or tuple(task.name for task in study.tasks)
    ids = names_of(frame[study.columns.patient], where=where).tolist()
    random = ByteStream(fresh_key())
    slots = take_slots(hospital.state, key, study.id, ids, slots=entry.patients, random=random)
    rows = np.flatnonzero(slots != IDLE)
    tasks = tasks_of(patients, study, names, rows=rows, min_per_class=0)
    placed = [replace(task, patient=slots[task.patient]) for task in tasks]
    return Site(name, key, placed, slots=entry.patients)


def own_table(hospital: Hospital, study: Study) -> tuple[pd.DataFrame, str]:
    """Return the hospital's patients in the study's columns, and where they come from.

    Raises:
        TableError: the source cannot be read, or rows do not fit and the rules refuse that.
    """
    rules = hospital.rules
    source = open_source(hospital.source, hospital.folder, timezone=rules.rows.timezone)
    return read_patients(source, rules, study).frame, source.where
