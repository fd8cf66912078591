"""The gate: from a message's study id to a study that this hospital runs, or a refusal.

It stands before anything that reads patients, and fails closed: no rules, no approval, a study
beyond the rules of this very moment, and nothing runs.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from client.gate.approvals import Approval, approved_studies, find_approval, refusal
from client.gate.limits import objections
from client.hospital import Hospital, open_hospital
from common.errors import SettingsError, WardroundError
from common.study import Study

NO_POLICY = "no-policy"


class Admitted(NamedTuple):
    """What a message may be answered with: the hospital's rules, and the approved study."""

    hospital: Hospital
    study: Study
    approval: Approval


def admit(folder: Path, study: str, *, now: float | None = None) -> Admitted:
    """Return the study of this id if the hospital in `folder` takes part in it now.

    Raises:
        Refusal: it does not; the code says why, and it alone leaves.
        PrivacyError: the site has no identity.
    """
    try:
        hospital = open_hospital(folder)
    except SettingsError as error:
        raise refusal(NO_POLICY, error.what, where=error.where, remedy=error.remedy) from error
    found = find_approval(hospital.state, study, now=time.time() if now is None else now)
    limits, price = hospital.rules.limits, found.approval.epsilon
    for objection in objections(found.study, limits, hospital.name, epsilon=price):
        where = f"study {found.study.name}"
        remedy = "change site.toml, or stay out of this study"
        raise refusal(objection.code, objection.what, where=where, remedy=remedy)
    return Admitted(hospital, found.study, found.approval)


def approved_bundles(folder: Path) -> frozenset[str]:
    """Return the SHA-256 of every app bundle that an approval that holds now has named."""
    found = set()
    for study in approved_studies(open_hospital(folder).state):
        with suppress(WardroundError):  # an approval that does not hold allows no bundle
            found.add(admit(folder, study).approval.bundle)
    return frozenset(found - {""})
