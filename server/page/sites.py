"""The sites of a study as the page shows them: who takes part, and why others do not."""

from collections.abc import Mapping
from typing import NamedTuple

from common.study import Study
from server.page.epsilon import shown_patients
from server.page.memory import Memory, SiteMemory
from server.page.tail import Attempt
from server.page.words import reason

MOST_SITES = 150
MOST_SHOWN_REASONS = 3
AWAY = frozenset({"away", "deadline", "error-5", "unknown-node"})
TAKING_PART, AWAY_NOW, ABSENT, DROPPED, NOT_ASKED, UNHEARD = (
    "taking part", "away", "absent", "dropped", "not asked", "not heard of",
)  # fmt: skip
STATES = (TAKING_PART, AWAY_NOW, ABSENT, DROPPED, NOT_ASKED, UNHEARD)
TONES = {TAKING_PART: "good", AWAY_NOW: "wait", ABSENT: "wait", DROPPED: "bad"}


class SiteRow(NamedTuple):
    """One site. why: in words, code: as recorded. misses: the commonest reasons and how often."""

    name: str
    state: str
    tone: str
    why: str
    code: str
    memory: SiteMemory
    misses: list[tuple[str, int]]
    patients: str
    epsilon: float | None


def site_state(name: str, last: Attempt | None) -> tuple[str, str]:
    """Return a site's state in the last attempt, and the reason that was recorded for it."""
    if last is None:
        return UNHEARD, ""
    if name in last.accepted:
        return TAKING_PART, ""
    code = last.dropped.get(name, "")
    if not code:
        return NOT_ASKED, ""
    if code == "absent":
        return ABSENT, code
    return (AWAY_NOW if code in AWAY else DROPPED), code


def site_names(study: Study, memory: Memory) -> list[str]:
    """Return the study's sites, or of a study that names none those that have been recorded."""
    return [site.name for site in study.sites] or sorted(memory.sites)


def site_rows(study: Study, memory: Memory, epsilon: Mapping[str, float]) -> list[SiteRow]:
    """Return the rows of the table; of very many sites those in trouble come first."""
    patients = {site.name: site.patients for site in study.sites}
    names = site_names(study, memory)
    if len(names) > MOST_SITES:
        order = (DROPPED, AWAY_NOW, ABSENT, UNHEARD, NOT_ASKED, TAKING_PART)
        names.sort(key=lambda name: order.index(site_state(name, memory.last)[0]))
    rows = []
    for name in names[:MOST_SITES]:
        state, code = site_state(name, memory.last)
        known = memory.sites.get(name, SiteMemory())
        rows.append(
            SiteRow(
                name, state, TONES.get(state, "idle"), reason(code), code, known,
                known.dropped.most_common(MOST_SHOWN_REASONS),
                shown_patients(patients.get(name, 0)), epsilon.get(name),
            )
        )  # fmt: skip
    return rows


def count_states(study: Study, memory: Memory) -> dict[str, int]:
    """Return how many sites are in each state."""
    counts = dict.fromkeys(STATES, 0)
    for name in site_names(study, memory):
        counts[site_state(name, memory.last)[0]] += 1
    return counts
