"""What `wardround node check` finds: counts and shares, each with a verdict and a remedy.

Nothing here is a row of a patient, and nothing here leaves the hospital.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Verdict = Literal["ok", "warning", "problem"]
_ORDER: tuple[Verdict, ...] = ("ok", "warning", "problem")


class Finding(NamedTuple):
    """One statement. about: a column or task of the study, or what else it is about."""

    verdict: Verdict
    about: str
    said: str
    remedy: str = ""


class FeatureFacts(NamedTuple):
    """A feature here. Shares: missing of all patients, the others of the entries that are there.

    impossible counts the entries that cannot be, and is None where nothing limits them.
    """

    name: str
    local: str
    unit: str
    unit_here: str
    missing: float
    impossible: float | None
    unusual: float | None
    verdict: Verdict


class TaskFacts(NamedTuple):
    """A task here. prevalence with its 95 % interval, None without labelled patients."""

    name: str
    local: str
    labelled: int
    positives: int
    prevalence: float | None
    interval: tuple[float, float] | None
    expected: tuple[float, float] | None
    offered: bool
    verdict: Verdict


class Report(NamedTuple):
    """All of a check. excluded: rows left out, by reason."""

    site: str
    study: str
    study_id: str
    where: str
    rows: int
    patients: int
    excluded: dict[str, int]
    features: tuple[FeatureFacts, ...]
    tasks: tuple[TaskFacts, ...]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all findings."""
        return worst(self.findings)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict, ok if there is none."""
    return max((finding.verdict for finding in findings), key=_ORDER.index, default="ok")


def verdict_on(about: str, findings: Sequence[Finding]) -> Verdict:
    """Return the worst verdict on one thing."""
    return worst(finding for finding in findings if finding.about == about)


def percent(value: float | None) -> str:
    """Return a share, which is 100 % only if it is all, and 0 % only if it is nothing."""
    if value is None:
        return "-"
    if value in (0, 1):
        return f"{value:.0%}"
    return f"{min(max(value, 0.001), 0.999):.1%}"
