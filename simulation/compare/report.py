"""The report of a comparison: one HTML file without scripts or outside resources.

It is a function of `results` alone, so results.json is enough to make it again. Names come from
files that anyone may have written: `element` and `table` escape whatever is not `Html`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from common.metrics import HIGHER_IS_BETTER
from common.pages import (
    MINUS,
    SPACE,
    Html,
    count,
    element,
    figure,
    joined,
    listed,
    number,
    page,
    table,
)
from simulation.compare.report_arms import best_candidate, chance, held_tasks, paired, seeds, sites
from simulation.compare.report_explained import explained
from simulation.compare.report_method import cautions, choices, division, origin, weights
from simulation.compare.report_pictures import ahead_curves, arm_curves, candidate_curves
from simulation.compare.report_scores import means, new_hospital, tests, worst
from simulation.compare.report_tasks import by_seed, not_scored, sets, tasks
from simulation.compare.results import HARM, TESTED
from simulation.compare.scoring import GATED
from simulation.compare.unit import SHUFFLED
from simulation.report_privacy import privacy
from simulation.report_tables import difference
from simulation.verdict import LABELS, NAMES, overall, side

Results = Mapping[str, Any]
Row = Mapping[str, Any]
SMALL_P = 0.05
HELD_OUT = {
    "few-shot": "at hospitals that had taken no part",
    "personalised": "of patient groups that their hospital had kept out of training",
    "cross-domain": "for diagnoses that no hospital had trained on",
}


def report_html(results: Results) -> str:
    """Return the report as the text of one HTML file."""
    sections: tuple[Callable[[Results], Iterator[Html]], ...] = (
        *(_opening, _findings, _harm, explained, _pictures),
        *(means, worst, tests, new_hospital, sets, by_seed, tasks, not_scored),
        *(division, choices, weights, cautions, privacy, origin),
    )
    title = f"{results['dataset']}, {results['scenario']}: Wardround comparison"
    return page(title, joined(part for make in sections for part in make(results)))


def _opening(results: Results) -> Iterator[Html]:
    held, places = held_tasks(results), sites(results)
    yield element("h1", f"All methods on {results['dataset']}, {results['scenario']}")
    if purpose := results["study"]["purpose"]:
        yield element("p", purpose, css="purpose")
    yield element(
        "p",
        f"The gate of Wardround and its rivals learned the same tasks from "
        f"{listed(results['settings']['ks'], 'or')} labelled patients "
        f"{HELD_OUT[results['scenario']]}, and were judged on other patients: "
        f"{count(len(held), 'held-out task')} at {count(len(places), 'site')}, "
        f"{count(len(seeds(results)), 'seed')}.",
        css="lead",
    )
    yield element("p", element("b", "Data. "), results["note"], css="note")
    control = "Control with shuffled labels. " if results["settings"].get(SHUFFLED) else ""
    yield element("p", element("b", "Verdict. "), control, _verdict(results), css="lead")


def _ahead(line: Row) -> float:
    """Return how far the gate is ahead of the best baseline, above 0 where it is better."""
    sign = 1 if HIGHER_IS_BETTER[line["metric"]] else -1
    return float(sign * line["best_baseline_ahead"])


def _verdict(results: Results) -> str:
    lines = results["compared"]
    lost = [line for line in lines if _ahead(line) < 0]
    won = [line for line in lines if _ahead(line) > 0]
    level = len(lines) - len(won) - len(lost)
    said = (
        f"Of {count(len(lines), 'comparison')} with the best baseline at each k, in AUROC and "
        f"Brier score, the gate is ahead in {len(won)} and behind in {len(lost)}"
        f"{f', level in {level}' if level else ''}. "
    )
    for word, some in (("loss", lost), ("lead", won)):
        if some:
            one = max(some, key=lambda line: abs(_ahead(line)))
            said += (
                f"The largest {word} is {_amount(one)} of {NAMES[one['metric']]} "
                f"{'to' if word == 'loss' else 'over'} {one['best_baseline']} at "
                f"k{SPACE}={SPACE}{one['k']}. "
            )
    clear = [d for line in lines if (d := _test(results, line)) and d["p_holm"] < SMALL_P]
    if not clear:
        return said + f"After Holm's adjustment over arms none of them has p < {SMALL_P}."
    return said + f"After Holm's adjustment over arms {len(clear)} have p < {SMALL_P}."


def _amount(line: Row) -> str:
    size = abs(_ahead(line))
    return number(size) if size >= 0.0005 else "less than 0.001"


def _test(results: Results, line: Row) -> Row | None:
    return paired(results, line["metric"]).get((line["best_baseline"], line["k"]))


def _findings(results: Results) -> Iterator[Html]:
    yield element("h2", "The gate beside the best baseline")
    for metric in TESTED:
        lines = [line for line in results["compared"] if line["metric"] == metric]
        yield element("h3", LABELS[metric])
        sentences = " ".join(_sentences(lines))
        yield element("p", sentences.replace("k = ", f"k{SPACE}={SPACE}"), css="lead")
        head = ("k", GATED, "best baseline", "its score", f"gated {MINUS} baseline", "p (Holm)", "")
        yield table(head, (_line(results, line) for line in lines), css="inline")
    yield element(
        "p",
        "k is the number of labelled patients that each arm may learn from. A baseline is any arm "
        "that a federation or a hospital could use instead; pooled data, which no federation has, "
        "and the gate's own candidates are apart. The best one is named after looking, which "
        "favours it. Differences are paired over tasks, with 95 % intervals; p is Wilcoxon's over "
        "sites, after Holm's adjustment over all arms.",
        css="note",
    )


def _sentences(lines: list[Row]) -> Iterator[str]:
    """Yield sentences, those on a baseline's wins first."""
    for other in dict.fromkeys(line["best_baseline"] for line in lines if _ahead(line) < 0):
        lost = [x for x in lines if x["best_baseline"] == other and _ahead(x) < 0]
        yield f"{other} is better than the gate at {_each(lost)}."
    if ks := [line["k"] for line in lines if _ahead(line) > 0]:
        yield f"The gate is ahead of every baseline at k = {listed(ks)}."
    else:
        yield "The gate is ahead of every baseline at no k."
    if ks := [line["k"] for line in lines if _ahead(line) == 0]:
        yield f"Gate and best baseline are level at k = {listed(ks)}."
    own = [line for line in lines if best_candidate(line)]
    if own:
        which = "; ".join(f"{best_candidate(line)} at k = {line['k']}" for line in own)
        yield f"One of the gate's own candidates, used alone, would have been best: {which}."


def _each(lines: list[Row]) -> str:
    return listed(f"k = {line['k']} (by {_amount(line)})" for line in lines)


def _line(results: Results, line: Row) -> tuple[object, ...]:
    test = _test(results, line)
    scores = (line["k"], number(line["gated"]), line["best_baseline"])
    p = chance(test["p_holm"]) if test else ""
    shown = difference(test) if test else number(line["best_baseline_ahead"], signed=True)
    return (*scores, number(line["best_baseline_mean"]), shown, p, _reading(line, test))


def _reading(line: Row, test: Row | None) -> Html:
    ahead = _ahead(line)
    who = "level" if ahead == 0 else f"{GATED if ahead > 0 else 'baseline'} ahead"
    sure = test is not None and side(test) != 0
    return element(
        "strong" if sure else "span", who if sure else f"{who}, includes 0", css="reading"
    )


def _harm(results: Results) -> Iterator[Html]:
    rows = [row for (arm, _), row in overall(results, "harmed_rate").items() if arm == GATED]
    yield element("h3", "Harm")
    shares = {row["k"]: f"{row['mean']:.1%}" for row in rows}
    said = "0.0% at every k"
    if any(row["mean"] for row in rows):
        said = "; ".join(f"{share} at k{SPACE}={SPACE}{k}" for k, share in shares.items())
    yield element(
        "p",
        f"A task is harmed if the gate's AUROC is more than {HARM} below that of the hospital's "
        f"own logistic regression. Share of held-out tasks that the gate harms: {said}.",
        css="lead",
    )


def _pictures(results: Results) -> Iterator[Html]:
    yield element("h2", "Adaptation to a few labelled patients")
    yield figure(
        arm_curves(results),
        f"Figure 1. Means over {count(_complete(results), 'held-out task')} "
        "with 95 % bootstrap intervals, at natural prevalence; other arms stand in the tables. The "
        "steps along k are even for legibility, not to scale, and the arms stand side by side. The "
        "intervals hold how much tasks differ, which is common to all arms: to compare arms, see "
        "figure 2.",
    )
    yield figure(
        ahead_curves(results),
        "Figure 2. The gate minus the best baseline, which is named under each k, paired over "
        "tasks, with 95 % intervals (none with one task). The shaded side is where it is better.",
    )
    yield figure(
        candidate_curves(results),
        "Figure 3. The gate (thick) and its candidates, each used alone with the strength that "
        "validation chose for that k. Colour is the start, marker the family. The candidate that "
        "knows the prevalence alone is left out.",
    )


def _complete(results: Results) -> int:
    return max((row["tasks"] for row in overall(results, "auroc").values()), default=0)
