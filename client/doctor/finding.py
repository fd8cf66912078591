"""What a check has found: ok, or what is wrong and how to mend it."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from common.errors import WardroundError

Verdict = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """One line of a diagnosis. remedy: "" if all is well."""

    check: str
    verdict: Verdict
    what: str
    remedy: str = ""


Check = Callable[[], Iterator[Finding]]


def ok(check: str, what: str) -> Finding:
    """Return that all is well."""
    return Finding(check, "ok", what)


def warning(check: str, what: str, remedy: str) -> Finding:
    """Return what may become a problem, or could not be told."""
    return Finding(check, "warning", what, remedy)


def problem(check: str, what: str, remedy: str) -> Finding:
    """Return what keeps the node from taking part."""
    return Finding(check, "problem", what, remedy)


def failed(check: str, error: Exception) -> Finding:
    """Return what an error says that has ended a check; a foreign one is named, not quoted."""
    if isinstance(error, WardroundError):
        return problem(check, f"{error.what} ({error.where})", error.remedy)
    return problem(check, f"the check ended in {type(error).__name__}", "see the node's log")


def diagnose(checks: dict[str, Check]) -> Iterator[Finding]:
    """Yield the findings of all checks; one that fails is a finding too, and ends no other."""
    for name, check in checks.items():
        try:
            yield from check()
        except Exception as error:
            yield failed(name, error)
