"""The comparison report's tables over all held-out tasks: scores, harm, tests, a new hospital."""

from collections.abc import Iterator, Mapping
from typing import Any

from common.metrics import HIGHER_IS_BETTER, METRICS
from common.pages import Html, count, element, joined, number
from simulation.compare.report_arms import (
    APART,
    NO_FEDERATION,
    candidates,
    chance,
    of,
    paired,
    rivals,
    shown,
)
from simulation.compare.results import HARM, LOCAL, TESTED
from simulation.compare.scoring import GATED
from simulation.report_tables import by_k, difference, estimate, grid
from simulation.verdict import LABELS, overall

Results = Mapping[str, Any]
Row = Mapping[str, Any]

_APART = [shown(arm) for arm in APART]


def means(results: Results) -> Iterator[Html]:
    """Yield arms by k for each metric, and the gate's candidates alone."""
    yield element("h2", "All arms")
    yield element(
        "p",
        f"* {NO_FEDERATION}. Bold: the best of each column; neither pooled arms nor "
        "the truth compete. Candidates of the gate, each used alone, follow.",
        css="note",
    )
    for metric in METRICS:
        rows = of(overall(results, metric), rivals(results))
        tasks = max((row["tasks"] for row in rows.values()), default=0)
        title = f"{LABELS[metric]}: mean over {count(tasks, 'task')}, 95 % interval"
        yield grid(rows, metric, GATED, title, apart=_APART)
    yield element("h3", "The gate's candidates, each alone")
    for metric in TESTED:
        rows = of(overall(results, metric), [GATED, *candidates(results)])
        yield grid(rows, metric, GATED, f"{LABELS[metric]}: mean, 95 % interval")
    yield element("p", "results.json holds their other scores, under 'rows'.", css="note")


def worst(results: Results) -> Iterator[Html]:
    """Yield each arm's worst site and the share of tasks that it harms."""
    yield element("h2", "Worst site, and harm")
    rows = of(overall(results, "worst_site_auroc"), rivals(results))
    title = "AUROC at the arm's own worst site, 95 % interval of that site"
    yield grid(rows, "auroc", GATED, title, apart=_APART)
    rows = of(overall(results, "harmed_rate"), rivals(results))
    title = f"Share of tasks whose AUROC is more than {HARM} below {LOCAL}'s, 95 % interval"
    yield grid(rows, "brier", GATED, title, apart=[*_APART, LOCAL])


def tests(results: Results) -> Iterator[Html]:
    """Yield the gate against every other arm, paired."""
    yield element("h2", "The gate minus every other arm, tested")
    numbers = [test["sites"] for test in results["tests"]]
    if not numbers:
        yield element("p", "No other arm shares a task with the gate.")
        return
    yield element("p", *_small(max(numbers)), css="lead")
    yield element(
        "p",
        "Of each cell: the mean difference, its 95 % bootstrap interval and, where that leaves out "
        "0, on which side; HL, the Hodges-Lehmann shift over sites; p of Wilcoxon's signed-rank "
        f"test; p after Holm's adjustment over all {count(_arms(results), 'other arm')} at that k.",
        css="note",
    )
    for metric in TESTED:
        sign = 1 if HIGHER_IS_BETTER[metric] else -1
        pairs = paired(results, metric)
        for names, what in ((rivals(results), ""), (candidates(results), ", own candidates")):
            rows = of(pairs, names)
            cells = {at: _test(row, sign) for at, row in rows.items()}
            yield by_k(cells, f"{LABELS[metric]}: gated minus other{what}")


def _arms(results: Results) -> int:
    return len({test["minus"] for test in results["tests"]})


def _small(sites: int) -> Iterator[str]:
    """Yield how small a p-value can be at all."""
    least = min(1.0, 2.0 ** (1 - sites))
    shown = number(least) if least >= 0.001 else f"{least:.0e}"
    yield f"Pairs are sites: with {count(sites, 'site')} no p can be below {shown}"
    if least > 0.05:
        yield ", so that no difference could be called significant, however large"
    yield "."


def _test(row: Row, sign: int) -> Html:
    words = (
        f"HL {number(row['shift'], signed=True)}",
        f"p {chance(row['p'])}, Holm {chance(row['p_holm'])}",
    )
    return joined([difference(row, sign), *(element("small", line) for line in words)])


def new_hospital(results: Results) -> Iterator[Html]:
    """Yield where the AUROC of a hospital like these would lie."""
    yield element("h2", "At a new hospital")
    lines = results["new_site"]
    cells = {
        (line["arm"], line["k"]): joined(
            [estimate(line) if line["low"] is not None else _alone(line), _between(line)]
        )
        for line in lines
    }
    yield by_k(cells, "AUROC: random-effects mean, 95 % prediction interval", main=GATED)
    yield element(
        "p",
        "The interval is where one more hospital, like these, would lie (Student's t with two "
        "degrees of freedom fewer than sites; none with fewer than three sites; cut at 0 and 1); "
        "SD is that between sites. With three or four sites it is so wide that it says little but "
        "that.",
        css="note",
    )


def _alone(line: Row) -> Html:
    return joined([number(line["mean"]), element("small", "no interval")])


def _between(line: Row) -> Html:
    return element("small", f"SD {number(line['tau'])}, {count(line['sites'], 'site')}")
