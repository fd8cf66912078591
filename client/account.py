"""What a ledger's records add up to: caps, reservations and debits, and which record may follow.

A patient cohort has a lifetime cap. Studies are chosen in the light of earlier ones, so that the
whole plans of all of them are reserved and their (epsilon, delta) added up (Rogers, Roth, Ullman,
Vadhan, "Privacy Odometers and Filters", NeurIPS 2016, arXiv 1605.08294). Within a study all
parameters are fixed in advance: what was spent is one privacy loss distribution over its debits.
"""

import math
from collections import Counter
from typing import Any, Literal, NamedTuple

from client.lines import Line, Record
from common.errors import PrivacyError
from common.privacy.accounting import Adjacency, Event, GradientRounds, MetricReleases, epsilon
from common.privacy.cost import StudyCost, gradient_parameters, metric_parameters

Kind = Literal["gradient", "metric"]
KINDS: tuple[Kind, ...] = ("gradient", "metric")
_ROUNDING = 1e-9


class Cap(NamedTuple):
    """The most that studies may ever cost a patient of a cohort, replace-one."""

    epsilon: float
    delta: float


class Reservation(NamedTuple):
    """A study's plan: `counts` and `parameters` of its releases by kind, and its price."""

    cohort: str
    study: str
    name: str
    site: str
    counts: dict[str, int]
    parameters: dict[str, dict[str, float]]
    delta: float
    replace_one: float
    zero_out: float


class Balance(NamedTuple):
    """A cohort's account in replace-one epsilon; spent is part of reserved.

    delta: of all reservations together, to which all these epsilons belong.
    """

    cap: float
    spent: float
    reserved: float
    left: float
    delta: float
    spent_zero_out: float


def plan(cost: StudyCost, cohort: str) -> Reservation:
    """Return the reservation of a study's whole plan."""
    counts = {"gradient": cost.gradients.rounds}
    parameters = {"gradient": gradient_parameters(cost.gradients, cost.clip_norm)}
    if cost.metrics:
        counts["metric"] = cost.metrics.releases
        parameters["metric"] = metric_parameters(cost.metrics)
    return Reservation(
        cohort, cost.study, cost.name, cost.site, counts, parameters,
        cost.delta, cost.replace_one, cost.zero_out,
    )  # fmt: skip


class Account:
    """The sum of all records so far. `check` and `add` take a record of any kind.

    seq: the number of lines that were taken in.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.caps: dict[str, Cap] = {}
        self.reservations: dict[str, Reservation] = {}
        self._debits: Counter[tuple[str, str]] = Counter()
        self._thetas: dict[tuple[str, str, str, int], str] = {}

    def check(self, record: Record, where: str) -> None:
        """Return if the record may follow.

        Raises:
            PrivacyError: it may not.
        """
        if record["kind"] == "open":
            self._check_opening(record, where)
        elif record["kind"] == "reserve":
            self._check_reservation(Reservation(**record["plan"]), where)
        elif record["kind"] in KINDS:
            self._check_debit(record, where)
        elif record["kind"] != "torn":
            raise _refusal(f"{record['kind']} is no kind of record", where, "update wardround")

    def add(self, line: Line, where: str) -> None:
        """Take in a line.

        Raises:
            PrivacyError: its record may not follow.
        """
        record = line.record
        self.check(record, where)
        if record["kind"] == "open":
            self.caps[record["cohort"]] = Cap(record["epsilon"], record["delta"])
        elif record["kind"] == "reserve":
            self.reservations[record["plan"]["study"]] = Reservation(**record["plan"])
        elif record["kind"] == "torn":
            self._add_torn()
        else:
            self._debits[record["study"], record["kind"]] += 1
            self._thetas[_round(record)] = record["theta_sha256"]
        self.seq += 1

    def debits(self, study: str, kind: Kind) -> int:
        """Return how many releases of a study were debited."""
        return self._debits[study, kind]

    def balance(self, cohort: str, where: str) -> Balance:
        """Return the account of a cohort.

        Raises:
            PrivacyError: it was never opened.
        """
        cap = self._cap(cohort, where)
        plans = [r for r in self.reservations.values() if r.cohort == cohort]
        reserved = math.fsum(r.replace_one for r in plans)
        delta = math.fsum(r.delta for r in plans)
        spent, zero_out = (
            math.fsum(self.spent(r.study, way) for r in plans)
            for way in ("replace-one", "zero-out")
        )
        return Balance(cap.epsilon, spent, reserved, cap.epsilon - reserved, delta, zero_out)

    def spent(self, study: str, adjacency: Adjacency = "replace-one") -> float:
        """Return epsilon of a study's debits so far, at the delta of its reservation."""
        one = self.reservations[study]
        return epsilon(_events(one, self._debits), one.delta, adjacency)

    def _check_opening(self, record: Record, where: str) -> None:
        cohort, caps = record["cohort"], (record["epsilon"], record["delta"])
        if cohort in self.caps:
            raise _refusal(f"{cohort} has a cap already", where, "a lifetime cap is never changed")
        if not (cohort and all(math.isfinite(cap) and cap > 0 for cap in caps) and caps[1] < 1):
            raise _refusal(f"a cap of {caps} is none", where, "give epsilon > 0 and delta below 1")

    def _check_reservation(self, new: Reservation, where: str) -> None:
        cap = self._cap(new.cohort, where)
        if new.study in self.reservations:
            raise _refusal(
                f"study {new.name} is reserved already",
                where,
                "run it; for more rounds agree on a new study",
            )
        plans = [r for r in self.reservations.values() if r.cohort == new.cohort]
        for name, limit in cap._asdict().items():
            price, held = _price(new, name), math.fsum(_price(r, name) for r in plans)
            if not 0 < price + held <= limit * (1 + _ROUNDING):
                raise _refusal(
                    f"study {new.name} costs {name} {price:.4g}, and {limit - held:.4g} is left of "
                    f"{new.cohort}'s {limit:.4g}",
                    where,
                    "leave this study to patients who have given less, or plan a cheaper one",
                )

    def _check_debit(self, record: Record, where: str) -> None:
        kind, one = record["kind"], self.reservations.get(record["study"])
        if one is None:
            raise _refusal("the study was never reserved", where, "approve it first")
        if record["parameters"] != one.parameters.get(kind):
            raise _refusal(
                f"{record['parameters']} is not what was reserved", where, "run the approved study"
            )
        if self._debits[one.study, kind] >= one.counts[kind]:
            raise _refusal(
                f"all {one.counts[kind]} {kind} releases of study {one.name} are spent",
                where,
                "the study is over for this site",
            )
        if self._thetas.get(_round(record), record["theta_sha256"]) != record["theta_sha256"]:
            raise _refusal(
                f"round {record['round']} of run {record['run']} had another theta",
                where,
                "ask the coordinator: a round has one theta",
            )

    def _add_torn(self) -> None:
        """Count one debit for whichever reservation the lost record may have belonged to."""
        for one in self.reservations.values():
            for kind, most in one.counts.items():
                if self._debits[one.study, kind] < most:
                    self._debits[one.study, kind] += 1

    def _cap(self, cohort: str, where: str) -> Cap:
        if cohort not in self.caps:
            raise _refusal(
                f"cohort {cohort} was never opened",
                where,
                "wardround node budget --open CAP --cohort NAME",
            )
        return self.caps[cohort]


def _price(one: Reservation, name: str) -> float:
    return one.replace_one if name == "epsilon" else one.delta


def _round(record: Record) -> tuple[str, str, str, int]:
    return record["study"], record["kind"], record["run"], record["round"]


def _events(one: Reservation, debits: Counter[tuple[str, str]]) -> list[Event]:
    """Return the releases that were debited."""
    made: list[Event] = []
    if rounds := debits[one.study, "gradient"]:
        gradient = one.parameters["gradient"]
        known: dict[str, Any] = {k: gradient[k] for k in ("noise_multiplier", "coin")}
        made.append(GradientRounds(**known, rounds=rounds))
    if releases := debits[one.study, "metric"]:
        made.append(MetricReleases(std=one.parameters["metric"]["std"], releases=releases))
    return made


def _refusal(what: str, where: str, remedy: str) -> PrivacyError:
    return PrivacyError(what, where=where, remedy=remedy)
