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


def privacy_line(said: Said) -> str:
    """Return the statement in a line, for a terminal."""
    if not said["epsilon"]:
        return f"Privacy: profile {said['profile']}, no epsilon: {said['unknown']}."
    worst = max(cost["replace_one"] for cost in said["epsilon"].values())
    kind = "" if said["private"] else ", simulated: the seed undoes the noise"
    return f"Privacy: profile {said['profile']}, epsilon at most {worst:.2f} a patient{kind}."
