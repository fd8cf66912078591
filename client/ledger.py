"""The hospital's ledger: what its patients have given, and how much they may still give.

It is the hospital's own, on its disk. A study's whole plan is reserved before the site takes part;
each release is debited before anything random is drawn for it. A crash may waste a debit, never
gain a release: docs/decisions/0010-privacy.md.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from client.account import Account, Balance, Kind, Reservation, plan
from client.anchors import Anchor
from client.chain import Chain, Clock
from client.lines import LEDGER_BOOK, Line, Record
from common.errors import PrivacyError
from common.privacy.accounting import epsilon
from common.privacy.cost import StudyCost

LIFETIME_DELTA = 1e-4
_ROUNDING = 1e-6


class Ledger:
    """A site's ledger; made by `create` once, and by `open` ever after."""

    def __init__(self, chain: Chain, lines: Iterable[Line]) -> None:
        self._chain, self._account = chain, Account()
        self._take_in(lines)

    @classmethod
    def create(cls, folder: Path, identity: bytes, clock: Clock) -> Self:
        """Return a new ledger, in which no cohort has a cap yet.

        Raises:
            PrivacyError: there is one, or there was one.
        """
        return cls(Chain.create(folder, identity, clock), [])

    @classmethod
    def open(
        cls, folder: Path, identity: bytes, clock: Clock, *, anchors: Iterable[Anchor] = ()
    ) -> Self:
        """Return the ledger in a folder, every line of it verified.

        anchors: lines that it must hold, as others have seen them.

        Raises:
            PrivacyError: it is missing, damaged, rolled back, another site's, or the clock is
                behind it; the error names the line.
        """
        chain, lines = Chain.open(folder, identity, clock)
        for anchor in anchors:
            chain.require(anchor, lines)
        return cls(chain, lines)

    @property
    def head(self) -> Anchor:
        """The last line, which whoever may see it can hold this ledger to."""
        return self._chain.head

    def open_cohort(self, cohort: str, *, cap: float, delta: float = LIFETIME_DELTA) -> int:
        """Give a patient cohort its lifetime cap, (epsilon, delta) replace-one; return the line.

        Raises:
            PrivacyError: it has one.
        """
        return self._write("open", {"cohort": cohort, "epsilon": float(cap), "delta": float(delta)})

    def reserve(self, cost: StudyCost, *, cohort: str) -> int:
        """Reserve a study's whole plan for the patients of a cohort; return the line.

        Raises:
            PrivacyError: it would exceed the cap, is reserved already, or costs more than it says.
        """
        actual = epsilon(cost.events, cost.delta)
        if not actual <= cost.replace_one + _ROUNDING:
            raise PrivacyError(
                f"study {cost.name} costs {actual:.4g}, not {cost.replace_one:.4g}",
                where=f"study {cost.name}",
                remedy="have its cost computed again",
            )
        return self._write("reserve", {"plan": plan(cost, cohort)._asdict()})

    def debit(
        self,
        kind: Kind,
        *,
        study: str,
        run: str,
        round_index: int,
        theta_sha256: str,
        parameters: Mapping[str, float],
    ) -> int:
        """Pay for one release, and return the line, which is on the disk.

        Nothing random may be drawn for the release before. parameters: what it will be made with,
        `common.privacy.cost.gradient_parameters` or `metric_parameters`.

        Raises:
            PrivacyError: it was not reserved, or not so; or the ledger cannot be relied upon.
        """
        about = {"study": study, "run": run, "round": round_index, "theta_sha256": theta_sha256}
        return self._write(kind, about | {"parameters": dict(parameters)})

    def balance(self, cohort: str) -> Balance:
        """Return what the patients of a cohort have given, and what is left.

        Raises:
            PrivacyError: the cohort was never opened.
        """
        self._refresh()
        return self._account.balance(cohort, self._chain.where(self.head.seq))

    @property
    def cohorts(self) -> tuple[str, ...]:
        """The cohorts that have a cap."""
        return tuple(self._account.caps)

    def reservation(self, study: str) -> Reservation | None:
        """Return the plan reserved for a study, by its id."""
        self._refresh()
        return self._account.reservations.get(study)

    def debits(self, study: str, kind: Kind) -> int:
        """Return how many releases of a study were debited."""
        self._refresh()
        return self._account.debits(study, kind)

    def _write(self, kind: str, fields: Record) -> int:
        with self._chain.locked() as lines:
            self._take_in(lines)
            where = self._chain.where(self.head.seq + 1)
            self._account.check({"kind": kind} | fields, where)
            line = self._chain.append(kind, fields)
            self._account.add(line, where)
            return line.seq

    def _refresh(self) -> None:
        with self._chain.locked() as lines:
            self._take_in(lines)

    def _take_in(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self._account.add(line, self._chain.where(line.seq))
        if self._account.seq != self.head.seq:  # whatever interrupted the last call
            raise PrivacyError(
                "a line was written and not counted",
                where=self._chain.where(self.head.seq),
                remedy="open the ledger again",
            )


def has_ledger(folder: Path) -> bool:
    """Return whether a folder holds a ledger."""
    return (folder / LEDGER_BOOK.file).exists()
