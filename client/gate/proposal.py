"""A signed study as a hospital weighs it: what it would cost, and what speaks against it."""

import time
from pathlib import Path
from typing import NamedTuple

from client.account import Balance
from client.budget import cost_of, open_ledger, reserve_study
from client.gate.approvals import DAY_S, Approval, keep_approval, package_version
from client.gate.audit import APPROVED, AuditLog
from client.gate.limits import Objection, objections
from client.hospital import Hospital
from client.identity import make_identity
from client.ledger import Ledger
from common.errors import PrivacyError, SettingsError
from common.privacy.cost import StudyCost
from common.signed_study import SignedStudy, read_signed_study
from common.study import Study, canonical_json


class Proposal(NamedTuple):
    """A study, its price (None where it protects nobody), the cohort's account, and objections."""

    hospital: Hospital
    signed: SignedStudy
    cost: StudyCost | None
    cohort: str
    balance: Balance | None
    objections: list[Objection]

    @property
    def study(self) -> Study:
        """The study."""
        return self.signed.study

    @property
    def epsilon(self) -> float:
        """Replace-one, of the whole plan; 0 where nothing is promised."""
        return self.cost.replace_one if self.cost else 0.0


def weigh(hospital: Hospital, path: Path, *, cohort: str = "") -> Proposal:
    """Return what the study in a file would mean for this hospital.

    cohort: the patients whose ledger would pay; "" if there is only one.

    Raises:
        SettingsError: the study is not signed by the coordinator of site.toml, or was changed.
        PrivacyError: no epsilon describes it, or there is no ledger.
    """
    key = hospital.rules.coordinator.key
    if key is None:
        raise SettingsError(
            "no coordinator is trusted yet",
            where=str(hospital.folder / "site.toml"),
            remedy="set coordinator.key to the key that the coordinator has told you by telephone",
        )
    signed = read_signed_study(path, key=key)
    if signed.study.privacy.profile == "none":
        return _weighed(hospital, signed, None, "", None)
    cost = cost_of(signed.study, hospital.name)
    ledger = open_ledger(hospital.state, time.time)
    cohort = _cohort(ledger, signed.study, cohort)
    return _weighed(hospital, signed, cost, cohort, ledger.balance(cohort))


def approve(proposal: Proposal, *, now: float) -> Approval:
    """Reserve the study in the ledger, keep the approval, write both down; return the approval.

    Raises:
        PrivacyError: the hospital's limits object, or the cohort's cap would be exceeded.
    """
    if proposal.objections:
        raise PrivacyError(
            f"the hospital's own limits object: {proposal.objections[0].what}",
            where=str(proposal.hospital.folder / "site.toml"),
            remedy="change site.toml, or stay out of this study",
        )
    hospital, study, limits = proposal.hospital, proposal.study, proposal.hospital.rules.limits
    make_identity(hospital.state)
    log = AuditLog.open(hospital.state)
    if proposal.cost:
        ledger = open_ledger(hospital.state, time.time)
        if ledger.reservation(study.id) is None:
            reserve_study(ledger, proposal.cost, cohort=proposal.cohort)
    approval = Approval(
        study=canonical_json(study),
        bundle=proposal.signed.seal.bundle,
        package=package_version(),
        coordinator=proposal.signed.seal.key,
        cohort=proposal.cohort,
        epsilon=proposal.epsilon,
        approved=int(now),
        expires=int(now) + limits.approval_days * DAY_S,
    )
    terms = {"bundle": approval.bundle, "expires": approval.expires, "cohort": approval.cohort}
    log.note(APPROVED, {"study": study.id, "epsilon": approval.epsilon} | terms)
    keep_approval(hospital.state, approval, study)
    return approval


def _weighed(
    hospital: Hospital,
    signed: SignedStudy,
    cost: StudyCost | None,
    cohort: str,
    balance: Balance | None,
) -> Proposal:
    price = cost.replace_one if cost else 0.0
    found = objections(signed.study, hospital.rules.limits, hospital.name, epsilon=price)
    return Proposal(hospital, signed, cost, cohort, balance, found)


def _cohort(ledger: Ledger, study: Study, cohort: str) -> str:
    """Return the cohort that pays: which has reserved the study, or which is named."""
    if held := ledger.reservation(study.id):
        return held.cohort
    if not cohort and len(ledger.cohorts) != 1:
        raise SettingsError(
            f"the ledger has {len(ledger.cohorts)} cohorts",
            where="--cohort",
            remedy=f"name one of {', '.join(ledger.cohorts) or 'them, after node budget --open'}",
        )
    return cohort or ledger.cohorts[0]
