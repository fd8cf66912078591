"""What the parts of a comparison's report share: its arms, tasks, sites, seeds and pairs."""

from collections.abc import Iterable, Mapping
from typing import Any

from common.pages import number
from simulation.compare.arms import POOLED
from simulation.compare.cast import OWN
from simulation.compare.results import LOCAL
from simulation.compare.scoring import GATED
from simulation.evaluation import TRUTH
from simulation.summary import ALL
from simulation.verdict import main_arm

Results = Mapping[str, Any]
Row = Mapping[str, Any]

CANDIDATE = "candidate:"
FINETUNE = "-finetune"
APART = (*POOLED, TRUTH)
"""Arms that nobody could use instead of the gate: they compete for nothing."""
NO_FEDERATION = "of all patients in one place: no federation has that"


def arms(results: Results) -> list[str]:
    """Return all arms, the gate first."""
    found = dict.fromkeys(row["arm"] for row in results["rows"])
    return [GATED, *(arm for arm in found if arm != GATED)]


def rivals(results: Results) -> list[str]:
    """Return the arms that are no candidates of the gate, the gate among them."""
    return [arm for arm in arms(results) if not arm.startswith(CANDIDATE)]


def candidates(results: Results) -> list[str]:
    """Return the gate's candidates as arms."""
    return [arm for arm in arms(results) if arm.startswith(CANDIDATE)]


def best_candidate(line: Row) -> str:
    """Return the candidate that is better than the gate and every baseline, or ""."""
    name, by = str(line["best"]), line["best_ahead"]
    behind = by < 0 if line["metric"] == "auroc" else by > 0
    return name.removeprefix(CANDIDATE) if behind and name.startswith(CANDIDATE) else ""


def headline(results: Results) -> list[str]:
    """Return the arms of the first figure; those trained for the diagnosis alone, if there are."""
    found, main = arms(results), main_arm(results)
    pairs = {"fedavg": "fedavg" + OWN, "fedavg" + FINETUNE: "fedavg" + OWN + FINETUNE}
    pairs[main] = pairs.get(main, main + OWN)
    chosen = (GATED, LOCAL, *(own if own in found else arm for arm, own in pairs.items()))
    return [arm for arm in chosen if arm in found]


def federated(arm: str) -> bool:
    """Whether a federation made the arm."""
    return not arm.startswith(("local-", "pooled-", CANDIDATE)) and arm not in (
        *(GATED, TRUTH, "prevalence"),
    )


def shown(arm: str) -> str:
    """Return the arm's name in a table; a star says that it is pooled."""
    return arm.removeprefix(CANDIDATE) + " *" * (arm in POOLED)


def of(rows: Mapping[tuple[str, int], Row], wanted: Iterable[str]) -> dict[tuple[str, int], Row]:
    """Return the rows of the wanted arms, in their order, under the names to be shown."""
    ks = list(dict.fromkeys(k for _, k in rows))
    return {(shown(arm), k): rows[arm, k] for arm in wanted for k in ks if (arm, k) in rows}


def paired(results: Results, metric: str) -> dict[tuple[str, int], Row]:
    """Return the tests of the gate by (other arm, k)."""
    return {(t["minus"], t["k"]): t for t in results["tests"] if t["metric"] == metric}


def chance(p: float) -> str:
    """Return a p-value, which is never 0."""
    return number(p) if p >= 0.0005 else "<0.001"


def seeds(results: Results) -> list[int]:
    """Return the seeds."""
    return list(results["settings"]["seeds"])


def held_tasks(results: Results) -> dict[str, Row]:
    """Return what is known of each scored task, by its name in the rows, in alphabetical order."""
    names = {row["held_out"] for row in results["rows"]} - {ALL}
    found: dict[str, Row] = {}
    for unit in results["units"]:
        for task in unit["tasks"]:
            own = f"{task['held_out']} (seed {unit['seed']})"
            found.setdefault(own if own in names else task["held_out"], task)
    return {name: found[name] for name in sorted(found) if name in names}


def sites(results: Results) -> list[str]:
    """Return the sites of the scored tasks; a site of another generated world is another."""
    ends = {
        (task["site"], name.removeprefix(task["held_out"]))
        for name, task in held_tasks(results).items()
    }
    return sorted(site + end for site, end in ends)


def generated(results: Results) -> bool:
    """Whether the patients are generated, each seed a world of its own."""
    return any(name != task["held_out"] for name, task in held_tasks(results).items())
