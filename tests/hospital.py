"""Hospital nodes for tests: a folder with rules, patients, keys and an approved study."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w

import client.site
from client.budget import open_cohort
from client.gate.approvals import approved_studies
from client.gate.proposal import approve, weigh
from client.hospital import Hospital, open_hospital
from client.lines import LEDGER_BOOK
from client.site import Opened, open_site
from client.site_file import SITE_FILE, STATE
from common.crypto import SigningKey
from common.privacy.masking.roster import Roster, RosterSite, SignedRoster, roster_text, sign_roster
from common.signed_study import seal_path, seal_study
from common.study import Study, study_toml

COORDINATOR = SigningKey(b"coordinator's key for the tests.")
COHORT = "2026"
Node = dict[str, Any]
"""Flower's node config of a hospital."""


def ward(name: str, *, seed: int = 0) -> pd.DataFrame:
    """Return 100 made-up patients of the wards' study, named `name-0`, `name-1`, ..."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "patient_id": [f"{name}-{i}" for i in range(100)],
            "age": rng.uniform(20, 80, 100),
            "marker": rng.standard_normal(100),
            "sex": rng.choice(["F", "M"], 100),
            "gout": rng.integers(0, 2, 100),
            "anaemia": rng.integers(0, 2, 100),
        }
    )


def write_study(path: Path, study: Study, *, bundle: bytes | None = None) -> Path:
    """Write a study and its coordinator's seal."""
    path.write_text(study_toml(study))
    seal_path(path).write_text(seal_study(study, COORDINATOR, bundle=bundle).text)
    return path


def write_rules(folder: Path, name: str, **sections: Any) -> Hospital:
    """Write site.toml, each section as given or its default, for a table beside it."""
    folder.mkdir(exist_ok=True, parents=True)
    rules = {
        "schema": 1,
        "site": name,
        "source": {"kind": "file", "path": "patients.csv"},
        "coordinator": {"key": COORDINATOR.public.hex()},
    }
    (folder / SITE_FILE).write_text(tomli_w.dumps(rules | sections))
    return open_hospital(folder)


def write_roster(
    path: Path, keys: Mapping[str, SigningKey], weights: Sequence[float] = (), *, epoch: int = 1
) -> Path:
    """Write the roster of sites with these keys, signed by all of them."""
    sites = tuple(
        RosterSite(
            name=name,
            public_key=key.public.hex(),
            weight=weight,
            not_before=date(2020, 1, 1),
            not_after=date(2099, 1, 1),
        )
        for (name, key), weight in zip(keys.items(), weights or [1.0] * len(keys), strict=True)
    )
    roster = Roster(federation="wards", epoch=epoch, sites=sites)
    signatures = {name: sign_roster(roster, key) for name, key in keys.items()}
    path.write_text(roster_text(SignedRoster(roster=roster, signatures=signatures)))
    return path


def hospital(
    folder: Path,
    study: Study,
    table: pd.DataFrame,
    *,
    name: str,
    cap: float = 20.0,
    approved: bool = True,
    bundle: bytes | None = None,
    **limits: Any,
) -> Node:
    """Set a hospital up, up to its approval of the study; return its node config.

    limits: as in site.toml; loose ones where not given.
    """
    loose = {
        "unprotected": True,
        "min_cohort": 3,
        "min_patients": 1,
        "max_epsilon": 100.0,
        "metrics": True,
    }
    made = write_rules(folder, name, limits=loose | limits)
    table.to_csv(folder / "patients.csv", index=False)
    path = write_study(folder / "study.toml", study, bundle=bundle)
    if study.privacy.noise_multiplier and not (folder / STATE / "ledger.jsonl").exists():
        ledger = open_cohort(folder / STATE, lambda: 1e9, cohort="all", cap=cap)
        ledger.open_cohort(COHORT, cap=cap, delta=1e-2)
    if approved:
        approve(weigh(made, path, cohort=COHORT), now=time.time())
    return {"node": str(folder)}


def state_of(node: Node) -> Path:
    return Path(str(node["node"])) / STATE


def open_node(node: Node) -> Opened:
    """Open the node's site for the one study that it has approved."""
    (study,) = approved_studies(state_of(node))
    return open_site(node, {}, study)


def reopen_node(node: Node) -> Opened:
    """Open it as after a restart."""
    client.site._of_hospital.cache_clear()
    return open_node(node)


def debits(node: Node, kind: str) -> int:
    """Return how many releases of a kind, gradient or metric, the node's ledger has paid for."""
    lines = (state_of(node) / LEDGER_BOOK.file).read_text().splitlines()
    return sum(json.loads(line)["kind"] == kind for line in lines)


def debits_at_draws(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, node: Node, kind: str
) -> list[int]:
    """Return a list that notes how many debits there are whenever `module` draws noise anew."""
    seen: list[int] = []

    def key() -> bytes:
        seen.append(debits(node, kind))
        return bytes(range(32))

    monkeypatch.setattr(module, "fresh_key", key)
    return seen
