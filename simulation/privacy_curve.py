"""What differential privacy costs in what the federation learns: the epsilon-utility curve.

    python -m simulation.privacy_curve --seeds 3

A generated world of 50 hospitals of 2,000 patients: 30 train, 8 tune, 12 test. For each epsilon
(replace-one, delta 1e-5) the noise is calibrated to the plan of rounds; server rate and rounds are
chosen on validation hospitals, test hospitals are only reported. Score: AUROC after adaptation to
k = 10 labelled patients of a test hospital, mean over tasks. What is kept of the gain is

    (score(epsilon) - score(untrained)) / (score(no privacy) - score(untrained))

with everything, the untrained network too, adapted by the same inner loop. The private runs are
tuned on validation data of virtual hospitals; tuning on real ones would cost epsilon of its own.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from common.learner import make_learner
from common.personal.tunable import Tunable
from common.privacy.accounting import noise_multiplier_for
from common.study import Study, make_study
from simulation.datasets.synthetic import SyntheticSettings, generate
from simulation.draws import DrawnTask, draw_some
from simulation.evaluation import adaptation_curves
from simulation.scenarios import split
from simulation.training import train_in_memory

WORLD = SyntheticSettings(sites=50, patients=2000)
EPSILONS = (8.0, 4.0, 2.0, 1.0)
ALGORITHMS = ("maml", "fedavg")
CLIP_NORM, COIN, DELTA, SUPPORT, QUERY, K = 0.2, 0.1, 1e-5, 5, 5, 10
PLAIN_GRID = ((400, 0.003), (400, 0.01), (1200, 0.003))
PRIVATE_GRID = ((100, 1.0), (200, 0.5), (200, 1.0), (200, 2.0))
"""(rounds, server rate): of Adam without privacy; of plain SGD under noise, which Adam inflates."""


@dataclass(frozen=True)
class Hospitals:
    """A world, divided: tasks of training sites, drawn tasks for tuning and for the report."""

    base: Study
    train: dict[str, Any]
    validation: Sequence[DrawnTask]
    test: Sequence[DrawnTask]


@dataclass(frozen=True)
class Point:
    """One trained initialization: its settings, and its scores."""

    rounds: int
    meta_lr: float
    noise_multiplier: float
    validation: float
    test: float


def hospitals(seed: int) -> Hospitals:
    """Return the world of a seed."""
    world = generate(WORLD, seed)
    parts = split(world, "few-shot", held_out=(), seed=seed)
    validation, _ = draw_some(parts.validation, 24, 10, min_per_class=20, seed=seed)
    test, _ = draw_some(parts.test, 60, 10, min_per_class=20, seed=seed)
    return Hospitals(world.study, parts.train, validation, test)


def study_of(base: Study, sites: Sequence[str], algorithm: str, **sections: Any) -> Study:
    """Return the study of one run; sections: settings of `server`, `episodes` and `privacy`."""
    dump = base.model_dump(mode="json", by_alias=True)
    dump["algorithm"] |= {"name": algorithm, "inner_steps": 1}
    dump["sites"] = [{"name": name, "patients": WORLD.patients} for name in sites]
    for name, values in sections.items():
        dump[name] |= values
    return make_study(dump, where="privacy curve")


@lru_cache(maxsize=64)
def calibrated(epsilon: float, rounds: int) -> float:
    """Return the noise multiplier that keeps a plan within epsilon."""
    return noise_multiplier_for(epsilon, coin=COIN, rounds=rounds, delta=DELTA)


def best(world: Hospitals, seed: int, algorithm: str, epsilon: float | None) -> Point:
    """Return the run that validation hospitals choose; without epsilon, without privacy."""
    grid = PLAIN_GRID if epsilon is None else PRIVATE_GRID
    points = [trained(world, seed, algorithm, epsilon, *setting) for setting in grid]
    return max(points, key=lambda point: point.validation)


def trained(
    world: Hospitals, seed: int, algorithm: str, epsilon: float | None, rounds: int, meta_lr: float
) -> Point:
    """Train once and return the scores."""
    plain = algorithm != "maml" and epsilon is None  # FedAvg's own server takes steps near 1
    optimizer = "adam" if epsilon is None and not plain else "sgd"
    server = {
        "rounds": rounds, "meta_lr": meta_lr * (100 if plain else 1), "optimizer": optimizer,
    }  # fmt: skip
    privacy: dict[str, float] = {}
    episodes = {"support": 10, "query": 15, "meta_batch": 20}
    if epsilon is not None:
        noise = calibrated(epsilon, rounds)
        privacy = {"clip_norm": CLIP_NORM, "noise_multiplier": noise, "coin": COIN, "delta": DELTA}
        episodes = {"support": SUPPORT, "query": QUERY}
    study = study_of(
        world.base, list(world.train), algorithm, server=server, privacy=privacy, episodes=episodes
    )
    learner, meta = train_in_memory(study, world.train, seed)
    tunable = Tunable(learner, meta)
    noise = privacy.get("noise_multiplier", 0.0)
    scores = [mean_auroc(tunable, tasks) for tasks in (world.validation, world.test)]
    return Point(rounds, meta_lr, noise, *scores)


def mean_auroc(start: Tunable, tasks: Sequence[DrawnTask]) -> float:
    """Return the mean AUROC after adaptation to K patients."""
    return float(np.nanmean(adaptation_curves(start, tasks, [K])))


def untrained(world: Hospitals, seed: int) -> float:
    """Return the test score of the network as it was initialized."""
    learner = make_learner(study_of(world.base, list(world.train), "maml"), seed=seed)
    return mean_auroc(Tunable(learner, learner.initial), world.test)


def rows_of_seed(seed: int, epsilons: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Yield a row for each algorithm and epsilon; None is training without privacy."""
    world = hospitals(seed)
    start = untrained(world, seed)
    for algorithm in ALGORITHMS:
        whole = 0.0
        for epsilon in (None, *epsilons):
            point = best(world, seed, algorithm, epsilon)
            whole = point.test if epsilon is None else whole
            kept = (point.test - start) / (whole - start)
            yield {
                "seed": seed, "algorithm": algorithm, "epsilon": epsilon, "untrained": start,
                "auroc": point.test, "kept": kept, "rounds": point.rounds,
                "meta_lr": point.meta_lr, "noise_multiplier": point.noise_multiplier,
            }  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the means over seeds as a Markdown table, with the lowest and the highest seed."""
    lines = ["| algorithm | epsilon | AUROC at k = 10 | gain kept | rounds, rate, noise (seeds) |"]
    lines.append("|---|---|---|---|---|")
    for key in dict.fromkeys((row["algorithm"], row["epsilon"]) for row in rows):
        own = [row for row in rows if (row["algorithm"], row["epsilon"]) == key]
        auroc, kept = ([row[name] for row in own] for name in ("auroc", "kept"))
        chosen = "; ".join(
            f"{r['rounds']}, {r['meta_lr']:g}, {r['noise_multiplier']:.2f}" for r in own
        )
        spread = f"{np.mean(kept):.0%} ({min(kept):.0%} to {max(kept):.0%})"
        lines.append(
            f"| {key[0]} | {key[1] or 'none'} | {np.mean(auroc):.3f} | {spread} | {chosen} |"
        )
    start = np.mean([row["untrained"] for row in rows])
    return "\n".join([*lines, "", f"Untrained, adapted: {start:.3f}."])


def main() -> None:
    """Print the table, and the rows as JSON lines with --json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epsilons", type=float, nargs="+", default=EPSILONS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    for seed in range(given.seeds):
        for row in rows_of_seed(seed, given.epsilons):
            sys.stderr.write(json.dumps(row) + "\n")
            rows.append(row)
    text = "\n".join(map(json.dumps, rows)) if given.json else table(rows)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
