"""`wardround simulate` as its user types it, on a small federation."""

import html
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import load_file

from common.cli import main
from common.metrics import METRICS
from simulation.federation import run_on_grid
from simulation.scenarios import SCENARIOS
from simulation.training import train

Wards = Callable[..., dict[str, Any]]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line; return exit code, stdout and stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wardround", "simulate", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        code = end.value.code
        return int(code or 0), *capsys.readouterr()

    return command


def table_options(settings: dict[str, Any]) -> list[object]:
    return ["--dataset", "table", "--study", settings["study"], "--data", settings["data"]]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_use_runs_from_table_to_report(
    scenario: str, wards: Wards, run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    options = [*table_options(wards()), "--scenario", scenario, "--output", folder]
    code, out, err = run(*options, "--json")
    assert code == 0, err
    results = json.loads(out)
    assert results == json.loads((folder / "results.json").read_text())
    assert results["scenario"] == scenario
    arms = {row["arm"] for row in results["rows"]}
    assert arms == {"local-logistic", "local-network", "fedavg", "fedavg-finetune", "maml"}
    assert {row["k"] for row in results["rows"]} == {0, 5, 10}
    assert all(r["low"] <= r["mean"] <= r["high"] for r in results["rows"])
    below = {r["metric"] for r in results["rows"] if r["low"] < 0}
    assert below <= {"calibration_slope", "calibration_intercept"}
    assert {r["metric"] for r in results["rows"]} == set(METRICS)
    assert len([r for r in results["rounds"] if r["closed"]]) == 4
    for name in ("study.toml", "state.safetensors", "initialization.safetensors", "report.html"):
        assert (folder / name).stat().st_size > 0
    for row in results["held_out"]:
        assert html.escape(row["held_out"]) in (folder / "report.html").read_text()


def test_the_same_command_gives_the_same_numbers(wards: Wards, run: Run, tmp_path: Path) -> None:
    options = table_options(wards())
    rows = []
    for name in ("a", "b"):
        code, out, _ = run(*options, "--output", tmp_path / name, "--json")
        assert code == 0
        rows.append(json.loads(out)["rows"])
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    "algorithm",
    ["fomaml", "anil", "meta-sgd", "multi-step", "reptile", "per-fedavg", "fedprox", "fedavg"],
)
def test_every_algorithm_runs(algorithm: str, wards: Wards, run: Run, tmp_path: Path) -> None:
    options = [*table_options(wards()), "--algorithm", algorithm, "--rounds", 2]
    code, out, err = run(*options, "--output", tmp_path / "run", "--json")
    assert code == 0, err
    assert algorithm in {row["arm"] for row in json.loads(out)["rows"]}


def test_a_run_that_was_killed_goes_on_to_the_very_same_initialization(
    wards: Wards, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = table_options(wards())
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(*options, "--output", whole)[0] == 0

    class Kill(BaseException):
        pass

    calls = []

    def dies_in_round_three(*args: Any, **kwargs: Any) -> Any:
        def fault(round_index: int, node: int) -> None:
            calls.append(node)
            if round_index == 3 and node == 2:
                raise Kill

        return train(*args, **kwargs | {"engine": partial(run_on_grid, fault=fault)})

    with monkeypatch.context() as patch:
        patch.setattr("simulation.run.train", dies_in_round_three)
        with pytest.raises(Kill):
            run(*options, "--output", killed)
    assert not (killed / "results.json").exists()
    code, _, err = run("--output", killed, "--resume")
    assert code == 0, err
    a, b = (load_file(f / "initialization.safetensors") for f in (whole, killed))
    assert all((a[name] == b[name]).all() for name in a)
    rows = [json.loads((f / "results.json").read_text())["rows"] for f in (whole, killed)]
    assert rows[0] == rows[1]


def spoil(settings: dict[str, Any], change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    table = pd.read_csv(settings["data"], dtype=str)
    change(table).to_csv(settings["data"], index=False)


def with_value(column: str, value: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(**{column: [value, *table[column][1:]]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="marker"), "marker"),
        (lambda t: t[:0], "no rows"),
        (with_value("age", "48-secret"), "age"),
        (with_value("patient_id", "Ash-1"), "patient"),
        (lambda t: t.assign(gout=0), "gout"),
        (lambda t: t.groupby("site").head(3), "no training task"),
    ],
)
def test_a_bad_table_is_one_line_and_leaves_nothing_behind(
    change: Callable[[pd.DataFrame], pd.DataFrame],
    said: str,
    wards: Wards,
    run: Run,
    tmp_path: Path,
) -> None:
    settings = wards()
    spoil(settings, change)
    code, out, err = run(*table_options(settings), "--output", tmp_path / "run")
    assert code == 1
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert "secret" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dataset", "moon"], "moon"),
        (["--algorithm", "magic"], "magic"),
        (["--dataset", "table"], "--study"),
        (["--dataset", "uci-heart"], "uci-heart"),
        (["--dataset", "synthetic", "--sites", 8, "--held-out", "nowhere"], "nowhere"),
    ],
)
def test_a_bad_setting_is_one_line(
    options: list[object], said: str, run: Run, tmp_path: Path
) -> None:
    code, _, err = run(*options, "--output", tmp_path / "run")
    assert code == 1
    assert err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["--rounds", "--support", "--inner-steps"])
def test_a_setting_out_of_range_is_refused(option: str, run: Run, tmp_path: Path) -> None:
    code, _, err = run(option, -3, "--output", tmp_path / "run")
    assert code == 2
    assert option in err


def test_an_existing_run_folder_and_a_damaged_checkpoint_are_refused(
    wards: Wards, run: Run, tmp_path: Path
) -> None:
    folder, options = tmp_path / "run", table_options(wards())
    assert run(*options, "--output", folder)[0] == 0
    code, _, err = run(*options, "--output", folder)
    assert (code, err.count("\n")) == (1, 1)
    assert "exists" in err
    (folder / "state.safetensors").write_bytes(b"damaged")
    code, _, err = run("--output", folder, "--resume")
    assert code == 1
    assert "damaged" in err.splitlines()[-1]
    code, _, err = run("--output", tmp_path / "nowhere", "--resume")
    assert code == 1
    assert "no run to resume" in err


def test_an_explosion_in_training_is_one_line_that_names_the_reason(
    wards: Wards, run: Run, tmp_path: Path
) -> None:
    # Each local step multiplies w - theta by 1 - 10 * 1000: it overflows within a round.
    exploding = {"name": "fedprox", "inner_lr": 10.0, "options": {"mu": 1000.0, "epochs": 20.0}}
    settings, folder = wards(algorithm=exploding), tmp_path / "run"
    options = [*table_options(settings), "--output", folder]
    code, out, err = run(*options)
    assert code == 1
    assert out == ""
    assert "NonFiniteError" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert "lower inner_lr" in (folder / "run.log").read_text()
    assert not (folder / "results.json").exists()


def test_an_install_without_the_demo_extra_says_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "simulation.run", None)  # what a missing module looks like
    code, _, err = run("--output", tmp_path / "run")
    assert code == 1
    assert "wardround[demo]" in err


def test_ctrl_c_says_how_to_go_on(
    wards: Wards, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("simulation.run.train", interrupted)
    code, _, err = run(*table_options(wards()), "--output", tmp_path / "run")
    assert code == 130
    assert "--resume" in err.splitlines()[-1]
