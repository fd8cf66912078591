"""`wardround bench`, on the smallest work; what it measures is nobody's concern here."""

import json
import os
import subprocess
import sys
import time

import pytest

from simulation.bench import measure
from simulation.bench.contest import row
from simulation.bench.contestants import Contestant, contestants
from simulation.bench.table import cores, ratios
from simulation.bench.work import Work, flops
from simulation.source import DEFAULTS, make_plan

WARDROUND = [sys.executable, "-c", "from common.cli import main; main()"]
ROW = {
    "engine", "sites", "inner_steps", "cpu_us_per_site", "wall_us_per_site", "cpu_us_low",
    "cpu_us_high", "peak_rss_mib", "share_of_peak",
}  # fmt: skip


def test_the_command_prints_rows_of_its_schema() -> None:
    options = (
        "--sites 10 --inner-steps 1 --repetitions 2 --engines torch-loop,ours-reference --json"
    )
    done = subprocess.run(
        [*WARDROUND, "bench", *options.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["schema"] == 1
    assert printed["machine"]["versions"]["torch"]
    rows = printed["rows"]
    assert {r["engine"] for r in rows} == {"torch-loop", "ours-reference"}
    for r in rows:
        assert set(r) >= ROW
        assert (r["sites"], r["inner_steps"]) == (10, 1)
        assert 0 < r["cpu_us_low"] <= r["cpu_us_per_site"] <= r["cpu_us_high"]
        assert 0 < r["share_of_peak"] < 1
    (judged,) = printed["evaluation"]
    assert (judged["engine"], judged["part"]) == ("ours-reference", "evaluation")
    assert judged["cpu_us_per_site"] > 0
    (split,) = [r["split_us"] for r in rows if r["part"] == "round" and r["workers"] == 1]
    assert set(split) == {"draw", "compute", "aggregate"}


def test_an_unknown_engine_is_refused_by_name() -> None:
    done = subprocess.run(
        [*WARDROUND, "bench", "--engines", "warp"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no engine 'warp'" in done.stderr
    assert "ours-reference" in done.stderr


def test_every_engine_of_the_comparison_has_its_place() -> None:
    names = {c.name for c in contestants()}
    assert names == {
        "torch-loop", "higher", "jax", "flower-ray", "pfl-loop", "pfl-ours",
        "ours-generic", "ours-compiled", "ours-reference",
    }  # fmt: skip
    assert len({c.key for c in contestants()}) == len(contestants())


def some_row(
    engine: str, cpu: list[float], workers: int = 1, **changes: object
) -> dict[str, object]:
    contestant = Contestant(name=engine, kind="round", open=lambda work: None, workers=workers)  # type: ignore[arg-type,return-value]
    results = [
        {"cpu_us": c, "wall_us": c / workers, "rss_mib": 1.0, "peak_flops": 1e11, "split": {}}
        for c in cpu
    ]
    return row(contestant, 100, 1, results) | changes


def test_a_ratio_is_of_medians_and_its_range_the_widest() -> None:
    rows = [
        some_row("flower-ray", [60.0, 90.0, 120.0]),
        some_row("ours-reference", [1.0, 2.0, 3.0]),
    ]
    (ratio,) = ratios(rows)
    assert (ratio["ratio"], ratio["low"], ratio["high"]) == (45.0, 20.0, 120.0)


def test_rows_of_other_work_are_not_compared() -> None:
    rows = [some_row("flower-ray", [60.0], sites=10), some_row("ours-reference", [1.0])]
    assert ratios(rows) == []


def test_the_gain_of_two_processes_is_in_wall_time() -> None:
    rows = [some_row("ours-reference", [4.0]), some_row("ours-reference", [5.0], workers=2)]
    (sentence,) = cores(rows)
    assert "2 processes are 1.60x as fast as one" in sentence


def test_the_flops_of_one_inner_step_by_hand() -> None:
    # Per episode: first layer and its gradient 2 * 25 * 32 * 64 = 102,400; Gram (100 + 150) * 32
    # = 8,000; step forward and back 9 * 10 * 64 * 2 = 11,520; query 3 * 15 * 64 * 2 = 5,760 and
    # 2 * 15 * 10 * 64 = 19,200: together 146,880 multiplications, for 8 episodes, twice.
    assert flops(1) == 2 * 8 * 146_880
    # Each further step adds 11,520 and two products 10 x 10 x 64.
    assert flops(5) - flops(1) == 2 * 8 * 4 * (11_520 + 12_800)


def test_the_noise_trains_as_many_sites_as_asked() -> None:
    for sites in (10, 24, 100):
        settings = DEFAULTS | {"dataset": "noise", "sites": sites}
        assert len(make_plan(settings).split.train) == sites


def test_the_chunks_hold_every_site_once() -> None:
    for sites in (10, 32, 100, 333):
        chunks = Work(sites=sites, inner_steps=1, seed=0).chunks()
        assert sum(len(chunk.support.weight) for chunk in chunks) == sites


def test_cpu_time_of_children_is_counted() -> None:
    busy = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
    with subprocess.Popen([sys.executable, "-c", busy]) as child:
        try:
            assert child.pid in measure.descendants(os.getpid())
            cost = measure.timed(lambda: time.sleep(0.5), family=True)
        finally:
            child.kill()
    assert cost.cpu > 0.1
    assert cost.wall == pytest.approx(0.5, abs=0.3)
