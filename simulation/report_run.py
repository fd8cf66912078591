"""What the report says of the run itself: who trained, what happened, how to make it again."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any

from common.pages import Html, count, definitions, element, table
from simulation.report_lists import (
    MOST,
    MOST_TASKS,
    elsewhere,
    named,
    span,
    trained,
)
from simulation.report_tables import by_k
from simulation.source import DEFAULTS, ENGINE_DEFAULTS

Results = Mapping[str, Any]
Row = Mapping[str, Any]
PARTS = ("algorithm", "model", "episodes", "server", "evaluation")


def not_scored(results: Results) -> Iterator[Html]:
    """Yield the tasks that cannot be scored, by reason."""
    yield element("h2", "Held-out tasks that are not scored")
    reasons: dict[str, list[str]] = {}
    for row in results["not_scored"]:
        reasons.setdefault(row["why"], []).append(row["held_out"])
    if not reasons:
        yield element("p", "None: all held-out tasks are scored.")
        return
    rows = (
        (why, f"{len(names):,}", named(names, most=MOST_TASKS)) for why, names in reasons.items()
    )
    yield table(("reason", "tasks", "which"), rows, css="words")
    yield from elsewhere("not_scored", *reasons.values(), most=MOST_TASKS)


def choices(results: Results) -> Iterator[Html]:
    """Yield what each arm was tuned to, per k."""
    yield element("h2", "Settings that the validation tasks chose")
    chosen = {
        (c["arm"], c["k"]): f"\N{MULTIPLICATION SIGN}{c['rate_scale']:g}, {c['steps']}"
        for c in results["choices"]
    }
    yield by_k(chosen, "Factor on the inner rate, number of steps")


def training(results: Results) -> Iterator[Html]:
    """Yield the training sites with their tasks."""
    yield element("h2", "Who trained")
    yield from trained(results["training"])
    if idle := results["idle_sites"]:
        yield element("p", f"Too few patients of a class for every task: {named(idle, ', ')}.")
        yield from elsewhere("idle_sites", idle)


def what_happened(results: Results) -> Iterator[Html]:
    """Yield how many rounds closed, and who was dropped from them."""
    yield element("h2", "What happened in training")
    rounds, study = results["rounds"], results["study"]
    closed = [len(r["accepted"]) for r in rounds if r["closed"]] or [0]
    failed = len([r for r in rounds if not r["closed"]])
    yield element(
        "p",
        f"{len(rounds) - failed} of {study['server']['rounds']} rounds closed, each with the "
        f"updates of {span(closed)} sites (median {median(closed):,.10g}). "
        f"{count(failed, 'attempt') if failed else 'No attempt'} at a round failed. "
        f"All took {sum(r['seconds'] for r in rounds):.0f} seconds. "
        "These are the rounds of the algorithm under test; a baseline's own are not listed.",
    )
    yield from _dropped(rounds)


def _dropped(rounds: Iterable[Row]) -> Iterator[Html]:
    found = Counter((why, site) for r in rounds for site, why in r["dropped"].items())
    if not found:
        yield element("p", "No site was dropped from any round.")
        return
    reasons: dict[str, dict[str, int]] = {}
    for (why, site), times in sorted(found.items()):
        reasons.setdefault(why, {})[site] = times
    rows = ((why, f"{sum(sites.values()):,}", _times(sites)) for why, sites in reasons.items())
    title = "Sites dropped from an attempt at a round"
    yield table(("reason", "times", "sites (times)"), rows, title=title, css="words")
    yield from elsewhere("rounds", *reasons.values())


def _times(sites: Mapping[str, int]) -> str:
    """Return the sites with how often each was dropped; of very many, the most often first."""
    many = len(sites) > MOST
    order = sorted(sites, key=lambda site: -sites[site]) if many else sites
    shown = named([f"{site} ({sites[site]:,})" for site in order])
    return f"{len(sites):,} sites, each {span([*sites.values()])} times: {shown}" if many else shown


def origin(results: Results) -> Iterator[Html]:
    """Yield the command, the settings and the versions."""
    settings, usual = results["settings"], DEFAULTS | ENGINE_DEFAULTS
    yield from made_again(results, command("simulate", given(settings, usual)))


def made_again(results: Results, words: str, parts: Iterable[str] = PARTS) -> Iterator[Html]:
    """Yield the command, and what else the results depend on: these parts of the study."""
    study = results["study"]
    yield element("h2", "How to make this again")
    yield element("pre", words)
    said = {part: "; ".join(f"{k} = {v}" for k, v in study[part].items()) for part in parts}
    features = [feature["name"] for feature in study["features"]]
    yield definitions(
        {"study id": study["id"], "data set": results["dataset"], "scenario": results["scenario"]}
        | said
        | {"measurements": f"{len(features)}: {', '.join(features)}"}
        | {"versions": "; ".join(f"{k} {v}" for k, v in results["versions"].items())}
    )


def given(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the options that differ from the usual, and the three that name the run."""
    for key, value in settings.items():
        if key in ("dataset", "scenario", "seed") or value != usual.get(key):
            for single in value.split(";") if key == "held-out" else [value]:
                yield key, single


def command(name: str, options: Iterable[tuple[str, Any]]) -> str:
    """Return the command as a shell takes it; an option whose value is "" is a flag."""
    words = ["wardround", name]
    for key, value in options:
        words += [f"--{key}", *([] if value == "" else [shlex.quote(str(value).strip())])]
    return " ".join(words)
