"""Four hospitals with tables, ledgers and identities of their own, in a masked study."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from flwr.app import Context, RecordDict

from client.app import app as client_app
from client.budget import open_ledger
from client.identity import read_identity
from common.crypto import SigningKey
from common.learner import make_learner
from common.parameters import flatten
from common.study import Study, make_study
from server.app import app as server_app
from server.state import load_state, read_records
from simulation.grid import InProcessGrid
from tests.conftest import ward_settings
from tests.hospital import Node, hospital, ward, write_roster

NAMES = ("Ash", "Birch", "Cedar", "Elm")
ROUNDS = 2


def masked_study(**changes: Any) -> Study:
    settings = ward_settings() | {
        "sites": [{"name": name, "patients": 90} for name in NAMES],
        "server": {
            "rounds": ROUNDS,
            "optimizer": "sgd",
            "meta_lr": 0.1,
            "attempts": 1,
            "deadline_s": 5,
        },
        "privacy": {
            "profile": "masked",
            "clip_norm": 0.5,
            "noise_multiplier": 5.0,
            "coin": 1.0,
            "delta": 1e-3,
        },
    }
    return make_study(settings | changes, where="test")


@pytest.fixture
def study() -> Study:
    return masked_study()


def table(seed: int) -> pd.DataFrame:
    return ward(f"secret-{seed}", seed=seed)


@pytest.fixture
def nodes(tmp_path: Path, study: Study) -> dict[str, Node]:
    return hospitals(tmp_path, study)


def hospitals(tmp_path: Path, study: Study) -> dict[str, Node]:
    """Set up all four, and the roster that they have signed; return the node configs."""
    for i, name in enumerate(NAMES):
        hospital(tmp_path / name, study, table(i), name=name)
    keys = {n: SigningKey(read_identity(tmp_path / n / "state")) for n in NAMES}
    for name in NAMES:
        write_roster(tmp_path / name / "roster.json", keys)
    return {name: {"node": str(tmp_path / name)} for name in NAMES}


def run(tmp_path: Path, nodes: dict[str, Node], *, number: int = 1, resume: bool = False) -> None:
    """Run or resume the study; number: Flower's own of the run, a new one at every start."""
    config: dict[str, str | int | float | bool] = {
        "study": str(tmp_path / "Ash" / "study.toml"),
        "output": str(tmp_path / "run"),
        "roster": str(tmp_path / "Ash" / "roster.json"),
        "resume": resume,
        "keep-every": 0,
        "seed": 0,
    }
    (tmp_path / "run").mkdir(exist_ok=True)
    contexts = {
        i: Context(
            run_id=number, node_id=i, node_config=dict(node), state=RecordDict(), run_config={}
        )
        for i, node in enumerate(nodes.values(), start=1)
    }
    grid = InProcessGrid(client_app, contexts, serialise=True)
    context = Context(
        run_id=number, node_id=9, node_config={}, state=RecordDict(), run_config=config
    )
    server_app(grid, context)


def test_a_masked_study_runs_among_real_hospitals_and_each_has_paid(
    tmp_path: Path, study: Study, nodes: dict[str, Node]
) -> None:
    run(tmp_path, nodes)
    learner = make_learner(study, seed=0)
    records = read_records(tmp_path / "run", study, learner)
    assert [(r.closed, r.accepted) for r in records] == [(True, NAMES)] * ROUNDS
    state = load_state(tmp_path / "run", study, learner)
    # 4 sites of 9 groups: noise .5 * 5 / 9 / 2 in each entry of the mean, steps of .1, twice.
    moved = (state.meta - flatten(learner.initial)).std()
    assert float(moved) == pytest.approx(0.1 * 2**0.5 * 0.5 * 5 / 9 / 2, rel=0.3)
    for name in NAMES:
        ledger = open_ledger(tmp_path / name / "state", lambda: 2e9)
        assert ledger.debits(study.id, "gradient") == ROUNDS
        assert 0 < ledger.balance("2026").spent <= ledger.balance("2026").reserved


def test_a_hospital_whose_ledger_was_edited_sends_nothing_and_the_others_go_on(
    tmp_path: Path, study: Study, nodes: dict[str, Node]
) -> None:
    path = tmp_path / "Elm" / "state" / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b"20.0", b"99.0", 1))
    run(tmp_path, nodes)
    records = read_records(tmp_path / "run", study, make_learner(study, seed=0))
    assert all(record.closed and "Elm" not in record.accepted for record in records)


def test_no_name_of_a_patient_is_in_any_file_but_the_tables(
    tmp_path: Path, study: Study, nodes: dict[str, Node]
) -> None:
    run(tmp_path, nodes)
    for path in (p for p in tmp_path.rglob("*") if p.is_file() and p.name != "patients.csv"):
        assert b"secret-" not in path.read_bytes(), path
    lines = (tmp_path / "Ash" / "state" / "ledger.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds == ["open", "open", "reserve", "gradient", "gradient"]
    assert torch.isfinite(
        load_state(tmp_path / "run", study, make_learner(study, seed=0)).meta
    ).all()
