"""What a hospital's patients have given and may still give, and what a study would take."""

from pathlib import Path
from typing import Any

from client.account import Balance
from client.chain import Clock
from client.identity import make_identity, read_identity
from client.ledger import Ledger, has_ledger
from common.errors import SettingsError
from common.privacy.cost import StudyCost, study_cost
from common.study import Study


def open_ledger(state: Path, clock: Clock) -> Ledger:
    """Return the ledger in a node's state folder, verified.

    Raises:
        PrivacyError: there is none, or it cannot be relied upon.
    """
    return Ledger.open(state, read_identity(state), clock)


def open_cohort(state: Path, clock: Clock, *, cohort: str, cap: float) -> Ledger:
    """Return the ledger after giving a cohort its cap; a first ledger is made, with an identity.

    Raises:
        PrivacyError: the cohort has a cap, or the ledger cannot be relied upon.
    """
    identity = make_identity(state)
    known = has_ledger(state)
    ledger = (Ledger.open if known else Ledger.create)(state, identity, clock)
    ledger.open_cohort(cohort, cap=cap)
    return ledger


def cost_of(study: Study, site: str) -> StudyCost:
    """Return what a study would cost the patients of a site.

    Raises:
        PrivacyError: no epsilon describes it.
    """
    return study_cost(study, site, group_wise=_group_wise(study.algorithm.name))


def reserve_study(ledger: Ledger, cost: StudyCost, *, cohort: str = "") -> int:
    """Reserve a study's plan for a cohort, or the only one that there is; return the line.

    Raises:
        SettingsError: which cohort is not clear.
        PrivacyError: the cap would be exceeded, or the study is reserved already.
    """
    return ledger.reserve(cost, cohort=_the_cohort(ledger, cohort))


def report(ledger: Ledger, cost: StudyCost | None, *, cohort: str = "") -> dict[str, Any]:
    """Return all there is to say, for JSON: every cohort's, or one cohort's, and the study's."""
    chosen = (cohort,) if cohort else ledger.cohorts
    balances = {name: ledger.balance(name) for name in chosen}
    return {
        "schema": 1,
        "chain": {"ok": True, "lines": ledger.head.seq, "head": ledger.head.digest},
        "cohorts": [{"cohort": name} | one._asdict() for name, one in balances.items()],
        "study": _study(ledger, cost, balances) if cost else None,
    }


def _study(ledger: Ledger, cost: StudyCost, balances: dict[str, Balance]) -> dict[str, Any]:
    held = ledger.reservation(cost.study)
    fits = [name for name, one in balances.items() if cost.replace_one <= one.left]
    return {
        "id": cost.study,
        "name": cost.name,
        "site": cost.site,
        "groups": cost.groups,
        "rounds": cost.gradients.rounds,
        "metrics": cost.metrics.releases if cost.metrics else 0,
        "delta": cost.delta,
        "replace_one": cost.replace_one,
        "zero_out": cost.zero_out,
        "reserved_for": held.cohort if held else None,
        "debits": ledger.debits(cost.study, "gradient"),
        "metric_debits": ledger.debits(cost.study, "metric"),
        "fits": fits,
    }


def _the_cohort(ledger: Ledger, cohort: str) -> str:
    if cohort:
        return cohort
    if len(ledger.cohorts) == 1:
        return ledger.cohorts[0]
    raise SettingsError(
        f"the ledger has {len(ledger.cohorts)} cohorts",
        where="--cohort",
        remedy=f"name one of {', '.join(ledger.cohorts) or 'them, after --open'}",
    )


def _group_wise(name: str) -> bool:
    """Return whether an algorithm says that it makes an update of one group alone."""
    from common.algorithms.base import find_algorithm

    return find_algorithm(name).group_wise


def show(about: dict[str, Any]) -> None:
    """Print a report on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="Epsilon, replace-one, of a patient", box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("cohort", "cap", "spent", "reserved", "left"):
        table.add_column(column, justify="left" if column == "cohort" else "right", no_wrap=True)
    for one in about["cohorts"]:
        values = (one[name] for name in ("cap", "spent", "reserved", "left"))
        table.add_row(one["cohort"], *(f"{value:.3f}" for value in values))
    console.print(table)
    chain = about["chain"]
    lines = [f"Chain ok: {chain['lines']} lines, head {chain['head'][:16]}."]
    for line in (*lines, *(_words(about["study"]) if about["study"] else ())):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _words(study: dict[str, Any]) -> list[str]:
    """Return sentences about a study's cost."""
    plan = f"{study['rounds']} rounds over {study['groups']} groups"
    if study["metrics"]:
        plan += f", {study['metrics']} releases of metrics"
    costs = f"epsilon {study['replace_one']:.3f} replace-one, {study['zero_out']:.3f} zero-out"
    first = f"Study {study['name']} at {study['site']}: {plan}: {costs}, delta {study['delta']:g}."
    if study["reserved_for"]:
        done = f"{study['debits']} of its rounds are spent"
        if study["metrics"]:
            done += f", and {study['metric_debits']} of its releases of metrics"
        return [first, f"It is reserved for cohort {study['reserved_for']}; {done}."]
    fits = ", ".join(study["fits"])
    return [first, f"It would fit into: {fits}." if fits else "No cohort has so much left."]
