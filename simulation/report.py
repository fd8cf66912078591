"""The report of a run: one HTML file without scripts or outside resources, to read and to print.

It is a function of `results` alone, so results.json is enough to make it again. Names come from
files that anyone may have written: `element` and `table` escape whatever is not `Html`.
"""

from collections.abc import Iterator, Mapping
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
from simulation import report_style as style
from simulation.figures import (
    adaptation_curves,
    complete_tasks,
    difference_curves,
    learning_curves,
    prevalence_alone,
)
from simulation.report_privacy import federated, privacy
from simulation.report_run import choices, not_scored, origin, training, what_happened
from simulation.report_tables import (
    JUDGED,
    difference,
    differences,
    means,
    per_class,
    tasks,
)
from simulation.scoring import CURVE_K
from simulation.summary import MANY_SITES
from simulation.verdict import LABELS, compared, known, main_arm, overall

Results = Mapping[str, Any]
Row = Mapping[str, Any]

FEW_TASKS = 10
"""With fewer tasks the report warns of its intervals."""
ADAPTED = {
    "few-shot": "at a site that had taken no part, and judged on other patients of that site",
    "personalised": "of a patient group that its site had kept out of training, and judged on "
    "other patients of that group",
    "cross-domain": "for a diagnosis that no site had trained on, and judged on other patients",
}


def report_html(results: Results) -> str:
    """Return the report as the text of one HTML file."""
    sections = (
        *(_opening, _findings, _explained, _curves, _learning, means, differences, tasks),
        *(per_class, not_scored, choices, training, what_happened, privacy),
        *(federated, origin),
    )
    title = f"{results['dataset']}, {results['scenario']}, {main_arm(results)}: Wardround report"
    return page(title, joined(part for make in sections for part in make(results)))


def _opening(results: Results) -> Iterator[Html]:
    main, held = main_arm(results), results["held_out"]
    sites = len({row["site"] for row in results["training"]})
    yield element("h1", f"{main} on {results['dataset']}, {results['scenario']}")
    if purpose := results["study"]["purpose"]:
        yield element("p", purpose, css="purpose")
    yield element(
        "p",
        f"In this simulation {count(sites, 'site')} used {main} to learn, together and without "
        "pooling patients, the starting point of a prediction model, which was then adapted to "
        f"{listed(results['study']['evaluation']['k'], 'or')} labelled patients "
        f"{ADAPTED[results['scenario']]}: {count(len(held), 'held-out task')} "
        f"at {count(len({h['site'] for h in held}), 'site')}.",
        css="lead",
    )
    yield element("p", element("b", "Data. "), results["note"], css="note")


def _findings(results: Results) -> Iterator[Html]:
    main = main_arm(results)
    yield element("h2", "What this run says")
    for metric in JUDGED:
        found = list(compared(results, metric))
        yield element("h3", LABELS[metric])
        if not found:
            yield element("p", f"Nothing: no held-out task compares {main} with another arm.")
            continue
        reference = prevalence_alone(results).get(metric)
        sentences = [*_conclusions(main, found), *_useless(main, found, metric, reference)]
        unbroken = " ".join(sentences).replace("k = ", f"k{SPACE}={SPACE}")
        yield element("p", unbroken, css="lead")
        yield _beside(main, found)
    yield element(
        "p",
        "k is the number of labelled patients that each arm may learn from. Differences are paired "
        "over tasks, with 95 % intervals; one whose interval includes 0 is called not clear. ",
        *_cautions(results),
        css="note",
    )


def _beside(main: str, found: list[dict[str, Any]]) -> Html:
    head = ("k", main, "best other arm", "its score", f"difference, {main} {MINUS} other", "")
    rows = []
    for d in found:
        scores = (d["k"], number(d["mean"]), d["other"], number(d["best"]))
        rows.append((*scores, difference(d["paired"]), _reading(d)))
    return table(head, rows, css="inline")


def _conclusions(main: str, found: list[dict[str, Any]]) -> Iterator[str]:
    """Yield sentences, those on a baseline's wins first."""
    for other in dict.fromkeys(d["other"] for d in found):
        if ks := [d["k"] for d in found if d["winner"] == other]:
            yield f"{other} beats {main} at k = {listed(ks)}."
    if ks := [d["k"] for d in found if d["winner"] == main]:
        yield f"{main} beats the best other arm at k = {listed(ks)}."
    else:
        yield f"{main} clearly beats the best other arm at no k."
    unclear = [d for d in found if not d["winner"]]
    ahead = {
        arm: listed(d["k"] for d in unclear if d["ahead"] == arm)
        for arm in dict.fromkeys(d["ahead"] for d in unclear)
    }
    if unclear:
        who = "; ".join(f"{arm} at k = {ks}" for arm, ks in ahead.items())
        yield f"Ahead, but not clearly: {who}."
    if not all(known(d["paired"]) for d in found):
        yield "With one task there is no interval, so nothing can be called clear."


def _useless(
    main: str, found: list[dict[str, Any]], metric: str, reference: float | None
) -> Iterator[str]:
    """Yield a sentence on where the algorithm does no better than a constant prediction."""
    if reference is None:
        return
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    if ks := [d["k"] for d in found if sign * (d["mean"] - reference) <= 0]:
        way = "guessing" if metric == "auroc" else "giving every patient the prevalence"
        yield f"At k = {listed(ks)} {main} is no better than {way} ({number(reference)})."


def _reading(d: Mapping[str, Any]) -> Html:
    if d["winner"]:
        return element("strong", f"{d['winner']} wins", css="reading")
    return element("span", f"not clear; {d['ahead']} ahead", css="reading")


def _cautions(results: Results) -> Iterator[str]:
    tasks = complete_tasks(results)
    sites = {h["site"] for h in results["held_out"] if h["held_out"] in tasks}
    if len(sites) == 1:
        yield "All tasks come from one site: no interval here speaks for another. "
    if len(sites) < min(len(tasks), MANY_SITES):
        yield "Tasks of one site share its patients, which the intervals of differences leave out. "
    if 1 < len(tasks) < FEW_TASKS:
        yield f"With {count(len(tasks), 'task')} bootstrap intervals tend to be too narrow. "


def _explained(results: Results) -> Iterator[Html]:
    arms = dict.fromkeys(row["arm"] for row in results["rows"])
    yield style.explained(arms, main_arm(results), draws=results["study"]["evaluation"]["draws"])


def _curves(results: Results) -> Iterator[Html]:
    yield element("h2", "Adaptation to a few labelled patients")
    if not overall(results, "auroc"):
        yield element("p", "Nothing to draw: no task is scored at every k.")
        return
    yield figure(
        adaptation_curves(results),
        f"Figure 1. Means over {count(len(complete_tasks(results)), 'held-out task')} with 95 % "
        "intervals, at natural prevalence. The steps along k are even for legibility, not to "
        "scale, and the arms stand side by side at each k. The intervals hold how much tasks "
        "differ, which is common to all arms: to compare arms, see figure 2.",
    )
    if results["differences"]:
        yield figure(
            difference_curves(results),
            f"Figure 2. {main_arm(results)} minus each other arm, paired over tasks, with 95 % "
            "intervals (none with one task). The shaded side is where it is better.",
        )


def _learning(results: Results) -> Iterator[Html]:
    yield element("h2", "Learning over the rounds")
    if results["learning_curve"]:
        yield figure(
            learning_curves(results),
            "Figure 3. Mean over validation tasks, which are not the held-out tasks, after "
            f"adaptation to {CURVE_K} labelled patients with the study's own inner rate and steps, "
            "untuned. It shows whether training had settled, not how good the result is.",
        )
    else:
        yield element(
            "p",
            f"There is no curve: no validation task has {CURVE_K} patients that can be labelled, "
            "or no initialization was kept on the way.",
        )
