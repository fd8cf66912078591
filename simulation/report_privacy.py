"""What the report says of privacy: the profile, what it lacks, what it costs each site."""

from collections.abc import Iterator, Mapping
from typing import Any

from common.pages import Html, element, table
from common.privacy.profiles import SIMULATED
from simulation.report_lists import MOST, elsewhere

Said = Mapping[str, Any]


def privacy(results: Mapping[str, Any]) -> Iterator[Html]:
    """Yield the privacy statement of the run."""
    said = results["privacy"]
    yield element("h2", "Privacy")
    yield element("p", element("b", f"Profile {said['profile']}. "), said["gives"])
    yield element("p", element("b", "Not protected. "), said["lacks"])
    if not said["epsilon"]:
        yield element("p", f"There is no epsilon: {said['unknown']}.")
        return
    if not said["private"]:
        yield element("p", SIMULATED, css="note")
    costs = list(said["epsilon"].items())
    rows = (
        (site, f"{c['replace_one']:.2f}", f"{c['zero_out']:.2f}", f"{c['delta']:g}")
        for site, c in costs[:MOST]
    )
    head = ("site", "epsilon (a patient exchanged)", "epsilon (a patient taken out)", "delta")
    yield table(head, rows, title="What the whole plan costs a patient of each site")
    yield from elsewhere("privacy", [site for site, _ in costs])


def federated(results: Mapping[str, Any]) -> Iterator[Html]:
    """Yield what the sites' votes said of the shared model, beside what is true of it."""
    about = results.get("federated_metrics")
    if not about:
        return
    yield element("h2", "Federated metrics")
    yield element("p", about["note"])
    rows = (
        (task, *_row(found, metric))
        for task, found in about["tasks"].items()
        for metric in found["estimates"]
    )
    head = ("diagnosis", "metric", "from votes", "standard error", "true value", "sites")
    title = "What the coordinator is told, and what is true of the same virtual patients"
    yield table(head, rows, title=title)
    for task, found in about["tasks"].items():
        if not found["informative"]:
            yield element("p", f"{task}: too few patients for this noise to be informative.")
    for task, why in {**about["refused"], **about["missing"]}.items():
        yield element("p", f"{task}: no metrics: {why}.")


def _row(found: Mapping[str, Any], metric: str) -> tuple[str, ...]:
    one, truth = found["estimates"][metric], found["truth"].get(metric)
    known = "not known" if truth is None else f"{truth:.3f}"
    told = f"{one['value']:.3f}", f"{one['standard_error']:.3f}"
    return metric, *told, known, str(len(found["sites"]))


def privacy_line(said: Said) -> str:
    """Return the statement in a line, for a terminal."""
    if not said["epsilon"]:
        return f"Privacy: profile {said['profile']}, no epsilon: {said['unknown']}."
    worst = max(cost["replace_one"] for cost in said["epsilon"].values())
    kind = "" if said["private"] else ", simulated: the seed undoes the noise"
    return f"Privacy: profile {said['profile']}, epsilon at most {worst:.2f} a patient{kind}."
