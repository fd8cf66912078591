"""`wardround compare` as its user types it, on a small federation."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.cli import main
from common.personal.portfolio import read_portfolio
from simulation.compare import run as matrix
from simulation.source import make_plan
from simulation.summary import ALL

Wards = Callable[..., dict[str, Any]]
Run = Callable[..., tuple[int, str, str]]
RUN_UNIT = "run_unit"
THREE = ("--held-out", "Cedar", "--held-out", "Elm", "--held-out", "Fir")
QUICK = ("--k", 0, "--k", 10, "--draws", 3, "--tasks", 2, "--min-per-class", 4, "--rounds", 3)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line; return exit code, stdout and stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        given = ["wardround", "compare", *map(str, (*QUICK, "--workers", 1, *arguments))]
        monkeypatch.setattr(sys, "argv", given)
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), *capsys.readouterr()

    return command


@pytest.fixture
def table(wards: Wards) -> list[object]:
    settings = wards()
    return ["--study", settings["study"], "--data", settings["data"]]


def row(results: dict[str, Any], **at: Any) -> dict[str, Any]:
    (found,) = [r for r in results["rows"] if all(r[key] == value for key, value in at.items())]
    return dict(found)


def test_all_arms_are_scored_on_a_table_that_anyone_may_bring(
    table: list[object], run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "compare"
    code, out, err = run(*table, *THREE, "--seeds", 1, "--output", folder, "--json")
    assert code == 0, err
    results = json.loads(out)
    assert results == json.loads((folder / "results.json").read_text())
    arms = {r["arm"] for r in results["rows"]}
    federated = ("fedavg", "fedavg-finetune", "fedprox", "ditto", "maml")
    assert {"gated", "local-logistic", "local-trees", "pooled-trees", *federated} <= arms
    assert {"fedavg-task", "fedavg-task-finetune", "ditto-task", "maml-task"} <= arms
    assert {"candidate:maml/full", "candidate:local", "candidate:fedavg-task/zero"} <= arms
    metrics = {r["metric"] for r in results["rows"] if r["arm"] == "gated"}
    wanted = ("auroc", "auprc", "brier", "calibration_slope", "ece")
    assert {*wanted, "harmed_rate", "worst_site_auroc"} <= metrics
    gate = row(results, held_out=ALL, arm="gated", metric="auroc", k=10)
    assert gate["low"] <= gate["mean"] <= gate["high"]
    assert gate["mean"] > 0.75
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_a_second_call_computes_nothing_and_says_the_same(
    table: list[object], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [*table, *THREE, "--seeds", 1, "--output", tmp_path, "--json"]
    first = run(*given)
    monkeypatch.setattr(matrix, RUN_UNIT, lambda *_: pytest.fail("computed again"))
    assert run(*given)[1] == first[1]


def test_what_was_done_before_a_crash_is_not_done_again(
    table: list[object], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [*table, *THREE, "--output", tmp_path, "--json"]
    run(*given, "--seeds", 1)
    seeds = []
    real = getattr(matrix, RUN_UNIT)

    def counted(settings: Any, *rest: Any) -> Any:
        seeds.append(settings["seed"])
        return real(settings, *rest)

    monkeypatch.setattr(matrix, RUN_UNIT, counted)
    code, out, _ = run(*given, "--seeds", 2)
    assert code == 0
    assert seeds == [1]
    assert {r["seed"] for r in json.loads(out)["by_seed"]} == {0, 1}


def test_the_model_folder_serves_a_diagnosis_that_was_trained(
    table: list[object], run: Run, tmp_path: Path
) -> None:
    run(*table, *THREE, "--seeds", 1, "--output", tmp_path)
    portfolio = read_portfolio(tmp_path / "model")
    starts, rule = portfolio.for_task("gout")
    assert {start.name for start in starts} == {"maml", "fedavg", "maml-task", "fedavg-task"}
    assert set(rule.gate.at) == {0, 10}
    assert set(rule.references) == {0, 10}


def test_labels_that_mean_nothing_teach_nothing(
    table: list[object], run: Run, tmp_path: Path
) -> None:
    given = [*table, *THREE, "--seeds", 3, "--output", tmp_path, "--json"]
    _, out, err = run(*given, "--shuffled-labels")
    results = json.loads(out)
    # 30 test patients a task, two tasks: one AUROC has a standard error of about 0.08.
    for arm in ("gated", "fedavg", "maml", "local-logistic", "pooled-logistic"):
        found = row(results, held_out=ALL, arm=arm, metric="auroc", k=10)
        assert abs(found["mean"] - 0.5) < 0.15, (arm, found, err)


def test_few_sites_are_held_out_in_turn(wards: Wards) -> None:
    plan = make_plan(wards())
    turns = matrix.choices(plan, ())
    assert turns == [(site,) for site in ("Ash", "Birch", "Cedar", "Elm", "Fir")]
    assert matrix.choices(plan, ("Ash", "Elm")) == [("Ash", "Elm")]
    assert matrix.choices(make_plan(wards(scenario="cross-domain")), ()) == [()]


def test_a_mistake_is_one_line(run: Run, tmp_path: Path) -> None:
    code, out, err = run("--dataset", "nothing", "--output", tmp_path)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "nothing" in err
