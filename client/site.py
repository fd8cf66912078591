"""Opens the site that a client stands for: a hospital's own table, or a virtual one.

What a hospital's client reads is named in its own node config, never by the coordinator:

    study   path of the study.toml that this hospital agreed to
    data    path of its patient table, CSV or Parquet
    site    its name in the study's roster
    state   a folder of its own; the secret key of its draws is made there, mode 0600

    unprotected   true: take part in a study whose privacy profile is none, for public data
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from client.table import patients_by_site, read_table
from common.episodes import Site
from common.errors import PrivacyError, SettingsError, TableError
from common.learner import Learner, make_learner
from common.patients import tasks_of
from common.slots import with_slots
from common.sources import RunSettings, simulated_source
from common.study import Study, read_study

KEY_FILE, KEY_BYTES = "site.key", 32
_Items = frozenset[tuple[str, str | int | float | bool]]


class Opened(NamedTuple):
    """A client's study, its site, and the learner; the learner's own theta is never used."""

    study: Study
    site: Site
    learner: Learner


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
    else:
        study, site = _hospital({key: str(value) for key, value in node.items()})
    return Opened(study, site, make_learner(study, seed=0))


def _hospital(node: Mapping[str, str]) -> tuple[Study, Site]:
    for key in ("study", "data", "site", "state"):
        if not node.get(key):
            raise SettingsError(
                f"{key} is not set", where="node config", remedy=f"start the node with {key}=..."
            )
    study = read_study(Path(node["study"]))
    _check_profile(study, node)
    frame = read_table(Path(node["data"]))
    patients = patients_by_site(frame, study, where=node["data"], site=node["site"])[node["site"]]
    tasks = tasks_of(patients, study, [task.name for task in study.tasks])
    if not tasks:
        raise TableError(
            "no task has two patients of each class",
            where=node["data"],
            remedy="add patients, or leave this study to other sites",
        )
    return study, Site(node["site"], site_key(Path(node["state"])), tasks)


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


def site_key(folder: Path, name: str = KEY_FILE) -> bytes:
    """Return a secret key of the site, made by the operating system's generator at first use.

    Raises:
        SettingsError: the file can be read by others, or does not hold a key.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
    if path.stat().st_mode & 0o077:
        raise SettingsError(
            "the site's key can be read by others", where=str(path), remedy=f"chmod 600 {path}"
        )
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise SettingsError(
            "the site's key is damaged", where=str(path), remedy="remove it; a new one is made"
        )
    return key
