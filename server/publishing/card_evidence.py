"""The card's parts on privacy, on metrics, and on what adapting was worth in a simulation."""

from collections.abc import Iterator, Mapping
from typing import Any

from common.metrics import HIGHER_IS_BETTER
from common.pages import DASH, count
from common.study import Study
from server.publishing.blocks import Block, Bullets, Grid, Para, Section

Said = Mapping[str, Any]
MOST = 200
NAMES = {"auroc": "AUROC", "brier": "Brier score", "ece": "expected calibration error"}
BENEFIT = (
    "Mean over {tasks} held-out tasks, and a 95 % interval, of a simulation ({dataset}, "
    "{scenario}); k labelled patients of the new hospital. It tells nothing of real hospitals. An "
    "AUROC of 0.5 is guessing; of the Brier score lower is better."
)


def privacy_section(said: Said) -> Section:
    """Return what is protected, what is not, and what the plan costs a patient of each site."""
    blocks: list[Block] = [
        Para(f"Profile {said['profile']}. {said['gives']}"),
        Para(f"Not protected. {said['lacks']}"),
    ]
    if not (most := said["at_most"]):
        return Section("Privacy", [*blocks, Para(f"There is no epsilon: {said['unknown']}.")])
    blocks += [
        Para(said["basis"]),
        Para(
            f"What the whole plan costs a patient of any site: epsilon at most "
            f"{most['replace_one']:.2f} (a patient exchanged), {most['zero_out']:.2f} (a patient "
            f"taken out), at delta {most['delta']:g}."
        ),
    ]
    costs = list(said["epsilon"].items())
    rows = [
        (site, f"{c['replace_one']:.2f}", f"{c['zero_out']:.2f}", f"{c['delta']:g}")
        for site, c in costs[:MOST]
    ]
    head = ("site", "epsilon (a patient exchanged)", "epsilon (a patient taken out)", "delta")
    blocks += [Para("Of the sites that let it be shown:"), Grid(head, rows)] if rows else []
    if len(costs) > MOST:
        blocks.append(Para(f"{len(costs) - MOST:,} more sites: privacy.json."))
    return Section("Privacy", blocks)


def metrics_section(about: Said | None, study: Study) -> Section:
    """Return what the sites' votes said, with standard errors, and how little that can be."""
    title = "How good it is, as it stands"
    if about is None:
        asked = "The run folder holds no metrics of this initialization."
        none = "The study asks its sites for no metrics. Nothing is known of how good it is."
        return Section(title, [Para(asked if study.evaluation.metric_releases else none)])
    rows = [row for task, found in about["tasks"].items() for row in _estimates(task, found)]
    head = ("diagnosis", "metric", "value", "standard error", "sites")
    blocks: list[Block] = [Para(about["note"])]
    blocks += [Grid(head, rows)] if rows else []
    cautions = list(_cautions(about))
    return Section(title, [*blocks, *([Bullets(cautions)] if cautions else [])])


def _estimates(task: str, found: Said) -> Iterator[tuple[str, ...]]:
    for metric, one in found["estimates"].items():
        numbers = f"{one['value']:.3f}", f"{one['standard_error']:.3f}"
        yield task, NAMES.get(metric, metric), *numbers, str(len(found["sites"]))


def _cautions(about: Said) -> Iterator[str]:
    for task, found in about["tasks"].items():
        if not found["informative"]:
            yield f"{task}: too few patients for this noise to be informative."
    for task, reason in {**about["refused"], **about["missing"]}.items():
        yield f"{task}: no metrics: {reason}."


def benefit_section(found: Said | None) -> Section:
    """Return the simulation's table, none if there is none."""
    title = "What adapting was worth in a simulation"
    if found is None:
        return Section(title, [])
    rows = {(r["arm"], r["k"], r["metric"]): r for r in found["rows"]}
    arms, ks = (list(dict.fromkeys(key[i] for key in rows)) for i in (0, 1))
    blocks: list[Block] = []
    for metric in ("auroc", "brier"):
        made = [(f"{NAMES[metric]}: {a}", *(_cell(rows, a, k, metric) for k in ks)) for a in arms]
        blocks.append(Grid(("", *(f"k = {k}" for k in ks)), made))
    tasks = max((r["tasks"] for r in found["rows"]), default=0)
    note = BENEFIT.format(tasks=tasks, dataset=found["dataset"], scenario=found["scenario"])
    compared = [sentence for m in ("auroc", "brier") for sentence in _compared(found, m)]
    return Section(title, [Para(note), *blocks, *([Bullets(compared)] if compared else [])])


def _compared(found: Said, metric: str) -> Iterator[str]:
    """Yield how often the algorithm was clearly better and clearly worse: all, not the best."""
    rows = [r for r in found["differences"] if r["metric"] == metric and r["low"] is not None]
    if not rows:
        return
    above, below = sum(r["low"] > 0 for r in rows), sum(r["high"] < 0 for r in rows)
    better, worse = (above, below) if HIGHER_IS_BETTER[metric] else (below, above)
    yield (
        f"{NAMES[metric]}: of {count(len(rows), 'comparison')} of {rows[0]['arm']} with another "
        f"way at one k, clearly better in {better}, clearly worse in {worse} (95 % intervals)."
    )


def _cell(rows: Mapping[Any, Said], arm: str, k: int, metric: str) -> str:
    row = rows.get((arm, k, metric))
    return f"{row['mean']:.3f} ({row['low']:.2f} to {row['high']:.2f})" if row else DASH
