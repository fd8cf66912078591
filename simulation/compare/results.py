"""From the units' scores to one table: means, intervals, tests, harm. docs/results.md describes it.

A task of real data is the same in every seed: its values are averaged over seeds before anything
else. A generated task belongs to its seed's world. Sites (of a world) are the clusters.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import HIGHER_IS_BETTER
from simulation.compare.scoring import COVERAGE, GATED
from simulation.statistics import cluster_bootstrap, holm, paired_test, random_effects
from simulation.summary import ALL, MANY_SITES, bounded

Floats = NDArray[np.float64]
Key = tuple[str, str, str]
"""World (empty for real data), site, task."""
LOCAL = "local-logistic"
HARM = 0.02
"""A task is harmed if an arm's AUROC lies so far below the local logistic regression's."""
TESTED = ("auroc", "brier")
_SMALLEST = 1e-4


class Table:
    """All scores: (arm, k, metric) to task to (value, standard error), seeds averaged."""

    def __init__(self, units: Sequence[Mapping[str, Any]], *, generated: bool) -> None:
        found: dict[tuple[str, int, str], dict[Key, list[tuple[float, float]]]] = {}
        self.by_seed: dict[tuple[int, str, int, str], list[float]] = {}
        for unit in units:
            sites = {task["held_out"]: task["site"] for task in unit["tasks"]}
            world = str(unit["seed"]) if generated else ""
            for name, k, arm, metric, mean, error in unit["scores"]:
                key = (world, sites[name], name)
                found.setdefault((arm, k, metric), {}).setdefault(key, []).append((mean, error))
                self.by_seed.setdefault((unit["seed"], arm, k, metric), []).append(mean)
        self.at = {
            which: {key: _mean(values) for key, values in tasks.items()}
            for which, tasks in found.items()
        }
        self.ks = sorted({k for _, k, _ in self.at})
        every = [set(self.at[GATED, k, "auroc"]) for k in self.ks]
        self.complete = sorted(set.intersection(*every))

    def arms(self) -> list[str]:
        """Return the arms' names, in order."""
        return list(dict.fromkeys(arm for arm, _, _ in self.at))

    def column(self, arm: str, k: int, metric: str) -> dict[Key, tuple[float, float]]:
        """Return value and error of the tasks that are scored at every k."""
        tasks = self.at.get((arm, k, metric), {})
        return {key: tasks[key] for key in self.complete if key in tasks}


def _mean(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the mean over seeds; seeds share their patients, so the error does not shrink."""
    means, errors = np.array(values).T
    return float(means.mean()), float(np.sqrt((errors**2).mean()))


def rows(table: Table, head: Mapping[str, str], seed: int) -> Iterator[dict[str, Any]]:
    """Yield one row a task, k, arm and metric, and rows over all tasks."""
    for (arm, k, metric), tasks in table.at.items():
        for (world, _, name), (mean, error) in tasks.items():
            low, high = bounded(metric, mean - 1.96 * error, mean + 1.96 * error)
            held = f"{name} (seed {world})" if world else name
            yield _row(head, held, k, arm, metric, mean, low, high, 1)
        own = table.column(arm, k, metric)
        if own:
            values, errors = np.array(list(own.values())).T
            reach = cluster_bootstrap(values, _clusters(list(own)), errors=errors, seed=seed)
            low, high = bounded(metric, *reach)
            yield _row(head, ALL, k, arm, metric, float(values.mean()), low, high, len(own))
        if metric == "auroc" and own:
            yield from _harm(table, head, arm, k, own, seed)


def _harm(
    table: Table,
    head: Mapping[str, str],
    arm: str,
    k: int,
    own: Mapping[Key, tuple[float, float]],
    seed: int,
) -> Iterator[dict[str, Any]]:
    by_site = _by_site(own)
    worst = min(by_site, key=lambda site: by_site[site][0])
    mean, error = by_site[worst]
    low, high = bounded("auroc", mean - 1.96 * error, mean + 1.96 * error)
    yield _row(head, ALL, k, arm, "worst_site_auroc", mean, low, high, len(own))
    local = table.column(LOCAL, k, "auroc")
    harmed = np.array([float(v < local[key][0] - HARM) for key, (v, _) in own.items()])
    low, high = cluster_bootstrap(harmed, _clusters(list(own)), seed=seed)
    yield _row(head, ALL, k, arm, "harmed_rate", float(harmed.mean()), low, high, len(own))


def _row(
    head: Mapping[str, str],
    held: str,
    k: int,
    arm: str,
    metric: str,
    mean: float,
    low: float,
    high: float,
    tasks: int,
) -> dict[str, Any]:
    at = {"held_out": held, "k": k, "arm": arm, "metric": metric}
    numbers = {"mean": round(mean, 6), "low": round(low, 6), "high": round(high, 6)}
    return {**head, **at, **numbers, "tasks": tasks}


def _clusters(keys: Sequence[Key]) -> list[str]:
    """Return the cluster of each task: its site, or itself where sites are few."""
    sites = [f"{world}/{site}" for world, site, _ in keys]
    if len(set(sites)) >= MANY_SITES:
        return sites
    return ["/".join(key) for key in keys]


def _by_site(own: Mapping[Key, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Return each site's mean over its tasks, and that mean's standard error."""
    found: dict[str, list[tuple[float, float]]] = {}
    for (world, site, _), value in own.items():
        found.setdefault(f"{world}/{site}" if world else site, []).append(value)
    means = {site: np.array(values) for site, values in found.items()}
    return {
        site: (float(v[:, 0].mean()), float(np.sqrt((v[:, 1] ** 2).sum())) / len(v))
        for site, v in means.items()
    }


def tests(table: Table, seed: int) -> list[dict[str, Any]]:
    """Return the gate against every other arm, paired over sites: Wilcoxon, Holm over arms."""
    found: list[dict[str, Any]] = []
    for metric in TESTED:
        for k in table.ks:
            gate = table.column(GATED, k, metric)
            others = [arm for arm in table.arms() if arm not in (GATED, "truth")]
            made = [_paired(table, gate, arm, k, metric, seed) for arm in others]
            made = [one for one in made if one]
            adjusted = holm(np.array([one["p"] for one in made]))
            found += [{**one, "p_holm": float(p)} for one, p in zip(made, adjusted, strict=True)]
    return found


def _paired(
    table: Table,
    gate: Mapping[Key, tuple[float, float]],
    arm: str,
    k: int,
    metric: str,
    seed: int,
) -> dict[str, Any]:
    other = table.column(arm, k, metric)
    differences = {key: (gate[key][0] - other[key][0], 0.0) for key in gate if key in other}
    if not differences:
        return {}
    values = np.array([d for d, _ in differences.values()])
    low, high = _interval(values, _clusters(list(differences)), seed)
    sites = np.array([mean for mean, _ in _by_site(differences).values()])
    shift, p = paired_test(sites)
    at = {"k": k, "arm": GATED, "minus": arm, "metric": metric, "mean": float(values.mean())}
    return {**at, "low": low, "high": high, "shift": shift, "p": p, "sites": len(sites)}


def _interval(
    values: Floats, clusters: Sequence[str], seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Return the bootstrap interval; one cluster says nothing of how clusters differ."""
    return cluster_bootstrap(values, clusters, seed=seed) if len(set(clusters)) > 1 else (None,) * 2


def new_site(table: Table) -> list[dict[str, Any]]:
    """Return where a new hospital's AUROC would lie: random effects over sites."""
    found = []
    for arm in (GATED, LOCAL, "fedavg", "fedavg-finetune"):
        for k in table.ks:
            own = table.column(arm, k, "auroc")
            if own:
                values, errors = np.array(list(_by_site(own).values())).T
                mean, error, tau, reach = random_effects(values, np.maximum(errors, _SMALLEST))
                low, high = bounded("auroc", *reach) if reach else (None, None)
                found.append(
                    {
                        "arm": arm,
                        "k": k,
                        "mean": mean,
                        "error": error,
                        "tau": tau,
                        "low": low,
                        "high": high,
                        "sites": len(values),
                    }
                )
    return found


def by_seed(table: Table) -> list[dict[str, Any]]:
    """Return the mean over all scored tasks of each seed."""
    return [
        {"seed": seed, "arm": arm, "k": k, "metric": metric, "mean": round(float(np.mean(v)), 6)}
        for (seed, arm, k, metric), v in table.by_seed.items()
        if metric in TESTED
    ]


def sets(units: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the coverage of prediction sets and the share abstained, mean over tasks, per k."""
    lines = [line for unit in units for line in unit["sets"]]
    found = []
    for k in sorted({line["k"] for line in lines}):
        own = [line for line in lines if line["k"] == k]
        keys = [key for key in own[0] if key not in ("held_out", "k")]
        means = {key: round(float(np.mean([line[key] for line in own])), 4) for key in keys}
        found.append({"k": k, "nominal": COVERAGE, **means, "tasks": len(own)})
    return found


def compared(table: Table) -> list[dict[str, Any]]:
    """Return the gate beside the best other arm of a federation, per metric and k."""
    found = []
    for metric in TESTED:
        sign = 1 if HIGHER_IS_BETTER[metric] else -1
        for k in table.ks:
            means = {
                arm: float(np.mean([v for v, _ in own.values()]))
                for arm in table.arms()
                if (own := table.column(arm, k, metric))
            }
            gate = means.pop(GATED)
            usable = {a: m for a, m in means.items() if a != "truth" and "pooled" not in a}
            baselines = {a: m for a, m in usable.items() if not a.startswith("candidate:")}
            at = {"metric": metric, "k": k, "gated": gate}
            for name, arms in (("best", usable), ("best_baseline", baselines)):
                best = max(arms, key=lambda a: sign * arms[a])
                at |= {name: best, f"{name}_mean": arms[best], f"{name}_ahead": gate - arms[best]}
            found.append(at)
    return found
