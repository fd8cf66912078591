"""How a comparison was done: its arms, division, tuning, the gate's weights, what to beware of."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from common.pages import Html, count, definitions, element, joined, table
from common.personal.tunable import NETWORK_SCALES, NETWORK_STEPS, SCALES, STEPS
from simulation.compare.arms import DITTO_GRID, TREE_GRID
from simulation.compare.report_arms import CANDIDATE, generated, held_tasks, seeds, sites
from simulation.compare.report_tasks import MANY_SEEDS
from simulation.report_lists import MOST, in_results, named
from simulation.report_run import command, given, made_again
from simulation.report_tables import by_k
from simulation.source import DEFAULTS

Results = Mapping[str, Any]
Row = Mapping[str, Any]

TRAINING = ("algorithm", "model", "episodes", "server")
"""The parts of the study that count: a comparison has its own evaluation."""
TOP = 5
"""So many candidates of the gate are named for each k."""
FEW_SITES = 10
OPTIONS = ("dataset", "data", "study", "scenario", "sites", "algorithm", "rounds")
"""Settings that `wardround compare` has as options."""
TUNING = (
    "Every arm that adapts has the same budget, 20 settings, and for each k takes that of least "
    "log-loss on the validation tasks; test tasks choose nothing. Candidates of the gate have at "
    "most 4 strengths. A choice at the edge of its grid is flagged: a wider grid might have been "
    "better."
)


def division(results: Results) -> Iterator[Html]:
    """Yield who trained, validated and was tested, and the items that reports of models need."""
    yield element("h2", "How it was done")
    yield element(
        "p",
        "No patient who is tested took part in training or validation, under any diagnosis. "
        "Validation sets patients apart in folds; models are trained without them, judged on them, "
        "and the final ones are trained on all of them; of many sites one fold is enough, and its "
        "models are the final ones.",
    )
    rows = (
        (
            unit["seed"],
            "; ".join(unit["held_out"]) or "the data set's own choice",
            len(unit["tasks"]),
            f"{len(unit['validation'])}: {named(unit['validation'])}",
        )
        for unit in results["units"][:MOST]
    )
    yield table(("seed", "held out", "test tasks", "validation tasks"), rows, css="words")
    if len(results["units"]) > MOST:
        yield in_results("units")
    yield element("h3", "Reporting items (TRIPOD+AI, TRIPOD-Cluster)")
    yield definitions(_items(results))


def _items(results: Results) -> dict[str, str]:
    study, held = results["study"], held_tasks(results).values()
    patients, positive = (
        sum(task[f"test_{key}"] for task in held) for key in ("patients", "positive")
    )
    return {
        "participants": results["note"],
        "clusters": f"{count(len(sites(results)), 'tested site')}: {named(sites(results), ', ')}",
        "outcomes": named([task["name"] for task in study["tasks"]], ", "),
        "predictors": named([feature["name"] for feature in study["features"]], ", "),
        "sample size": f"{patients:,} test patients, {positive:,} of them with the outcome, in "
        f"{count(len(held), 'task')}; at least {results['settings']['min_per_class']} of each "
        f"class a task; {_draws(results)} draws of the k labelled patients",
        "missing values": "The middle of the study's public range, beside a flag; no patient has a "
        "part in scaling.",
        "heterogeneity": "Worst site, random-effects prediction interval, each task apart.",
        "not reported": "Net benefit, and results by age and sex.",
    }


def _draws(results: Results) -> int:
    return int(results["settings"]["draws"])


def choices(results: Results) -> Iterator[Html]:
    """Yield what each arm was tuned to, per k, over the units."""
    yield element("h3", "Equal tuning")
    yield element("p", TUNING)
    found: dict[tuple[str, int], Counter[tuple[float, ...]]] = {}
    for unit in results["units"]:
        for choice in unit["choices"]:
            if not choice["arm"].startswith(CANDIDATE):
                at = found.setdefault((choice["arm"], choice["k"]), Counter())
                at[tuple(choice["setting"])] += 1
    cells = {(f"{arm}: {_parts(arm)}", k): _chosen(arm, n) for (arm, k), n in found.items()}
    yield by_k(cells, "Most frequent setting, in how many units, and how many chose an edge")


def _parts(arm: str) -> str:
    """Return what a setting's numbers are."""
    if arm == "local-trees":
        return "trees, depth"
    return "factor on the rate, " + ("pull" if arm.startswith("ditto") else "steps")


def _chosen(arm: str, settings: Counter[tuple[float, ...]]) -> Html:
    most, times = max(settings.items(), key=lambda item: (item[1], item[0]))
    units = sum(settings.values())
    edge = sum(n for setting, n in settings.items() if at_edge(arm, setting))
    parts = [", ".join(f"{value:g}" for value in most), element("small", f"{times} of {units}")]
    if edge:
        parts.append(element("small", f"edge: {edge} of {units}", css="side"))
    return joined(parts)


def at_edge(arm: str, setting: Sequence[float]) -> bool:
    """Whether a number of the setting is the least or the most that its grid has."""
    columns = zip(*_grid(arm), strict=True)
    pairs = zip(setting, columns, strict=False)
    return any(value in (min(column), max(column)) for value, column in pairs)


def _grid(arm: str) -> Sequence[tuple[float, ...]]:
    if arm == "local-trees":
        return TREE_GRID
    if arm.startswith("ditto"):
        return DITTO_GRID
    if arm == "local-network":
        return tuple(product(NETWORK_SCALES, NETWORK_STEPS))
    return tuple(product(SCALES, STEPS))


def weights(results: Results) -> Iterator[Html]:
    """Yield the gate's candidates of most weight, per kind of task and k."""
    yield element("h3", "What the gate trusts")
    lines = [line for unit in results["units"] for line in unit["weights"]]
    names = {"known": "diagnoses with starts of their own", "new": "diagnoses without"}
    for kind in dict.fromkeys(line["kind"] for line in lines):
        own = [line for line in lines if line["kind"] == kind]
        ks = sorted({line["k"] for line in own})
        rows = (_trust(k, [line for line in own if line["k"] == k]) for k in ks)
        head = ("k", "own evidence", "candidates of most weight")
        yield table(head, rows, title=f"Means over units; {names.get(kind, kind)}", css="words")
    yield element(
        "p",
        "Weight before the k patients have spoken; own evidence is how much what they say of a "
        "candidate counts. results.json lists every weight, under 'units'.",
        css="note",
    )


def _trust(k: int, lines: Sequence[Row]) -> tuple[object, ...]:
    names = dict.fromkeys(name for line in lines for name in line["weights"])
    mean = {n: float(np.mean([line["weights"].get(n, 0.0) for line in lines])) for n in names}
    top = sorted(mean, key=lambda name: -mean[name])[:TOP]
    own = float(np.mean([line["own_evidence"] for line in lines]))
    return k, f"{own:.3f}", "; ".join(f"{name} {mean[name]:.1%}" for name in top)


def cautions(results: Results) -> Iterator[Html]:
    """Yield what may not be concluded."""
    yield element("h2", "Cautions")
    yield element("ul", *(element("li", caution) for caution in _cautions(results)))


def _cautions(results: Results) -> Iterator[str]:
    number = len(sites(results))
    yield (
        "What may be claimed is what these tables show, with its arms and intervals beside it. "
        "This is no clinical claim: nothing here has been tested in care, and no score says that a "
        "decision about a patient would be better."
    )
    if generated(results):
        yield (
            "The patients are generated. A result on them is no evidence about medicine, and none "
            "at all without its control, in which sites share nothing (synthetic-control)."
        )
    elif number < FEW_SITES:
        yield (
            f"{count(number, 'site')}: a test of honesty, not evidence that one method is superior "
            "at hospitals. Bootstrap intervals over so few tend to be too narrow."
        )
    if len(seeds(results)) < MANY_SEEDS:
        yield f"{count(len(seeds(results)), 'seed')}: another can change small differences."
    yield (
        "Many arms, metrics and k are shown. Holm's adjustment is over arms only, at each k and "
        "metric by itself. Averages hide tasks: see each of them, and the worst site."
    )
    yield (
        "The data were recorded earlier and elsewhere, or generated. Labels, patients and "
        "measurements of a ward today may differ."
    )


def origin(results: Results) -> Iterator[Html]:
    """Yield the command, the settings and the versions."""
    yield from made_again(results, command("compare", _options(results)), TRAINING)


def _options(results: Results) -> Iterator[tuple[str, Any]]:
    settings = results["settings"]
    own = {key: settings[key] for key in OPTIONS if key in settings}
    yield from given(own, DEFAULTS)
    held = {tuple(unit["held_out"]) for unit in results["units"]}
    if len(held) == 1:  # else each site in turn, which the command does by itself
        yield from (("held-out", name) for name in next(iter(held)))
    yield "seeds", len(settings["seeds"])
    yield "first-seed", min(settings["seeds"])
    yield from (("k", k) for k in settings["ks"])
    for key in ("draws", "tasks", "min_per_class"):
        yield key.replace("_", "-"), settings[key]
