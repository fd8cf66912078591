"""The comparison report's details: prediction sets, seeds, held-out tasks, what is not scored."""

from collections.abc import Iterator, Mapping
from typing import Any

from common.metrics import HIGHER_IS_BETTER
from common.pages import DASH, Html, count, element, number, table
from simulation.compare.report_arms import federated, generated, headline, held_tasks, of, seeds
from simulation.compare.results import LOCAL, TESTED
from simulation.compare.scoring import GATED
from simulation.report_lists import MOST, MOST_TASKS, elsewhere, in_results, named
from simulation.report_tables import by_k, by_task, grid
from simulation.verdict import LABELS, overall

Results = Mapping[str, Any]
Row = Mapping[str, Any]

MANY_SEEDS = 5


def sets(results: Results) -> Iterator[Html]:
    """Yield how often prediction sets hold the truth, and who is abstained on."""
    yield element("h2", "Prediction sets and abstention")
    head = ("k", "nominal", "covered", "with it", "without it", "one label", "both", "none")
    rows = ((*_set(line), f"{line['unlike']:.1%}", line["tasks"]) for line in results["sets"])
    yield table((*head, "abstained", "tasks"), rows)
    yield element(
        "p",
        "Share of test patients, mean over tasks: covered, the gate's set holds the true label, of "
        "all and of those with and without the diagnosis; the sets that hold one label, both or "
        "none; abstained, patients unlike those that the gate has seen.",
        css="note",
    )


def _set(line: Row) -> tuple[object, ...]:
    both = 1 - line["one_label"] - line["no_label"]
    shares = [line[key] for key in ("nominal", "covered", "covered_with", "covered_without")]
    shares += [line["one_label"], both, line["no_label"]]
    return line["k"], *(f"{abs(share):.1%}" for share in shares)


def by_seed(results: Results) -> Iterator[Html]:
    """Yield the headline arms, each seed apart."""
    yield element("h2", "Each seed apart")
    if len(seeds(results)) < MANY_SEEDS:
        yield element(
            "p",
            f"{count(len(seeds(results)), 'seed')} only: fewer than {MANY_SEEDS} are no evidence "
            "of how much the seed matters.",
        )
    for metric in TESTED:
        lines = [line for line in results["by_seed"] if line["metric"] == metric]
        found = {(line["arm"], line["seed"], line["k"]): number(line["mean"]) for line in lines}
        cells = {
            (f"{arm}, seed {seed}", k): found[arm, seed, k]
            for arm in headline(results)
            for seed in seeds(results)
            for k in sorted({k for _, _, k in found})
            if (arm, seed, k) in found
        }
        yield by_k(cells, f"{LABELS[metric]}: mean over all scored tasks of the seed")


def tasks(results: Results) -> Iterator[Html]:
    """Yield each held-out task on its own: the gate, the local arm, the best federated ones."""
    yield element("h2", "Each held-out task")
    yield element(
        "p",
        f"Beside the gate and {LOCAL} stands each federated baseline that is the best of them, "
        f"over all tasks, at some k. {DASH}: fewer patients can be labelled than k. With several "
        "seeds, scores are their means and numbers of patients those of the first.",
        css="note",
    )
    rows, held = by_task(results), held_tasks(results)
    wanted = {metric: [GATED, LOCAL, *_best_federated(results, metric)] for metric in TESTED}
    ks = results["settings"]["ks"]
    for name, task in list(held.items())[:MOST]:
        grids = (
            grid(of(rows.get((name, m), {}), wanted[m]), m, GATED, LABELS[m], ks=ks) for m in TESTED
        )
        heading, about = element("h4", name), element("p", _about(task), css="note")
        yield element("section", heading, about, *grids, css="task")
    if (more := len(held) - MOST) > 0:
        yield element("p", f"And {count(more, 'task')} more.")
        yield in_results("rows")


def _about(task: Row) -> str:
    kind = {"known": "one start was trained for it alone", "new": "none was trained for it alone"}
    return (
        f"{count(task['patients'], 'patient')}, {task['positive']:,} positive "
        f"({task['positive'] / max(task['patients'], 1):.1%}); tested on "
        f"{task['test_patients']:,}, {task['test_positive']:,} positive; "
        f"{task['can_be_labelled']:,} can be labelled; {kind[task['kind']]}."
    )


def _best_federated(results: Results, metric: str) -> list[str]:
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    at: dict[int, dict[str, float]] = {}
    for (arm, k), row in overall(results, metric).items():
        if federated(arm):
            at.setdefault(k, {})[arm] = sign * row["mean"]
    best = (max(means, key=lambda arm: means[arm]) for _, means in sorted(at.items()))
    return list(dict.fromkeys(best))


def not_scored(results: Results) -> Iterator[Html]:
    """Yield the tasks that are not scored in any seed, by reason."""
    yield element("h2", "Held-out tasks that are not scored")
    scored, reasons = held_tasks(results), dict[str, dict[str, None]]()
    worlds = generated(results)
    for unit in results["units"]:
        for name, why in unit["not_scored"].items():
            own = f"{name} (seed {unit['seed']})" if worlds else name
            if own not in scored:
                reasons.setdefault(why, {})[own] = None
    if not reasons:
        yield element("p", "None: all held-out tasks are scored.")
        return
    lists = {why: list(names) for why, names in reasons.items()}
    rows = ((why, f"{len(names):,}", named(names, most=MOST_TASKS)) for why, names in lists.items())
    yield table(("reason", "tasks", "which"), rows, css="words")
    yield from elsewhere("units", *lists.values(), most=MOST_TASKS)
