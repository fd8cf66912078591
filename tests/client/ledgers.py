"""A small study's ledger, and debits of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from client.ledger import Ledger
from client.lines import LEDGER_BOOK
from common.crypto import fresh_key
from common.privacy.cost import StudyCost, gradient_parameters, study_cost
from tests.private_study import PRIVATE, VOTERS, private

IDENTITY = fresh_key()
THETA = "ab" * 32


def now() -> float:
    return 1_700_000_000.0


def cost_of(name: str = "wards", rounds: int = 2, releases: int = 0) -> StudyCost:
    """A small study: so many rounds with noise 2.16 and coin .1."""
    measured = {"sites": VOTERS, "evaluation": {"metric_releases": releases}} if releases else {}
    study = private(name=name, server={"rounds": rounds}, privacy=PRIVATE, **measured)
    return study_cost(study, "Ash", group_wise=True)


def ledger_with(folder: Path, *costs: StudyCost, cap: float = 10.0) -> Ledger:
    ledger = Ledger.create(folder, IDENTITY, now)
    ledger.open_cohort("2025", cap=cap)
    for cost in costs:
        ledger.reserve(cost, cohort="2025")
    return ledger


def pay(ledger: Ledger, cost: StudyCost, index: int = 0, **changes: Any) -> int:
    """Debit an update in a round, with one thing changed."""
    about: dict[str, Any] = {
        "study": cost.study,
        "run": "run-1",
        "round_index": index,
        "theta_sha256": THETA,
        "parameters": gradient_parameters(cost.gradients, cost.clip_norm),
    }
    return ledger.debit("gradient", **about | changes)


def again(folder: Path, clock: Callable[[], float] = now) -> Ledger:
    return Ledger.open(folder, IDENTITY, clock)


def about(cost: StudyCost) -> dict[str, Any]:
    """What a program that opens the ledger and debits it has to be told, as JSON takes it."""
    return {
        "identity": IDENTITY.hex(),
        "now": now(),
        "study": cost.study,
        "parameters": gradient_parameters(cost.gradients, cost.clip_norm),
    }


def lines_of(folder: Path) -> list[bytes]:
    return (folder / LEDGER_BOOK.file).read_bytes().splitlines(keepends=True)


def put(folder: Path, lines: list[bytes]) -> None:
    (folder / LEDGER_BOOK.file).write_bytes(b"".join(lines))
