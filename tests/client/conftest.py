"""A model folder that nobody trained, a hospital's table for it, and a ledger in use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from client.export import NotExportable
from client.ledger import Ledger
from client.own import find_task, read_labelled
from client.personal import Fit, Personal, fit
from common.learner import make_learner
from common.personal.candidates import panel
from common.personal.conformal import Reference
from common.personal.gate import Gate, Scale
from common.personal.portfolio import Kind, Portfolio, Rule, read_portfolio, write_portfolio
from common.personal.starts import Start
from common.privacy.cost import StudyCost
from common.randomness import generator
from common.study import Study, make_study
from tests.client.ledgers import cost_of, ledger_with, pay

Settings = dict[str, Any]


def clinic_settings() -> Settings:
    return {
        "name": "clinic",
        "features": [
            {"name": "age", "usual": [20, 80], "may_be_missing": False},
            {"name": "marker"},
            {"name": "sex", "kind": "category", "categories": ["F", "M"]},
        ],
        "tasks": [
            {"name": "gout", "column": "gout"},
            {"name": "anaemia", "column": "anaemia", "forbidden": ["sex"]},
        ],
        "model": {"hidden": 6},
        "algorithm": {"name": "maml", "inner_steps": 2},
    }


def patients(n: int = 40, seed: int = 0) -> pd.DataFrame:
    """Patients whose gout follows age and marker; the first is unlike all others."""
    rng = generator("clinic", seed)
    age, marker = rng.uniform(20, 80, n).round(), rng.standard_normal(n).round(3)
    logit = (age - 50) / 10 + 2 * marker
    return pd.DataFrame(
        {
            "patient_id": [f"p{i:03d}" for i in range(n)],
            "age": age,
            "marker": np.where(rng.random(n) < 0.1, np.nan, marker),
            "sex": rng.choice(["F", "M"], n),
            "gout": (logit + rng.logistic(size=n) > 0).astype(int),
            "anaemia": (marker + rng.logistic(size=n) > 0).astype(int),
        }
    )


def gate_of(starts: list[Start], ks: tuple[int, ...]) -> Gate:
    """A gate that weighs all candidates alike."""
    inputs = starts[0].learner.initial["0.weight"].shape[1]
    at = {}
    for k in ks:
        y = torch.arange(k)[None] % 2
        made = panel(starts, torch.ones(1, k, inputs), y, torch.ones(1, inputs))
        names = [c.name for c in made.candidates]
        at[k] = Scale(dict.fromkeys(names, 0.0), 0.1, 1.0, 0.0, 0.6)
    return Gate(at, 30)


@pytest.fixture
def clinic_study() -> Study:
    return make_study(clinic_settings(), where="test")


@pytest.fixture
def portfolio(clinic_study: Study) -> Portfolio:
    """Two starts for any diagnosis, one for gout alone, and gates for both kinds."""
    starts = []
    for seed, (name, task) in enumerate([("maml", ""), ("fedavg", ""), ("own", "gout")]):
        learner = make_learner(clinic_study, seed=seed)
        starts.append(Start(name, learner, learner.initial, task))
    quantiles = np.linspace(0.05, 0.95, 201)
    references = {k: Reference((quantiles, quantiles), 0.8) for k in (5, 20)}
    rules: dict[Kind, Rule] = {
        "known": Rule(gate_of(starts, (5, 20)), references),
        "new": Rule(gate_of(starts[:2], (5, 20)), references),
    }
    return Portfolio(starts, [clinic_study] * 3, rules, "a test")


@pytest.fixture
def model(portfolio: Portfolio, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    write_portfolio(folder, portfolio)
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Write a table of n patients, with columns replaced or dropped (None)."""

    def write(n: int = 40, *, name: str = "patients.csv", seed: int = 0, **columns: Any) -> Path:
        frame = patients(n, seed)
        for column, values in columns.items():
            frame = frame.drop(columns=column, errors="ignore")
            if values is not None:
                frame[column] = values
        frame.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return write


@pytest.fixture
def personal(model: Path, table: Callable[..., Path]) -> Callable[..., Personal]:
    def make(n: int = 20, *, task: str = "gout", **columns: Any) -> Personal:
        portfolio = read_portfolio(model)
        study = portfolio.studies[0]
        rule = find_task(study, task, where="test")
        own = read_labelled(table(n, name="own.csv", **columns), study, rule)
        return Personal(portfolio, study, rule, own.x, torch.from_numpy(own.y), 0.9)

    return make


@pytest.fixture
def fitted(personal: Callable[..., Personal]) -> tuple[Personal, Fit]:
    one = personal()
    return one, fit(one)


@pytest.fixture
def without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes seconds; most tests can do without."""

    def none(*_: object) -> bytes:
        raise NotExportable("not in this test")

    monkeypatch.setattr("client.adapting.export", none)


@pytest.fixture
def cost() -> StudyCost:
    return cost_of(rounds=6)


@pytest.fixture
def used(tmp_path: Path, cost: StudyCost) -> Ledger:
    """A ledger of five lines: open, reserve, three debits."""
    ledger = ledger_with(tmp_path, cost)
    for index in range(3):
        pay(ledger, cost, index)
    return ledger
