"""Checks of a node's own house: keys, clock, disk, patients, approvals, budget."""

import os
import shutil
import time
from collections.abc import Iterator

from client.budget import open_ledger
from client.doctor.finding import Finding, ok, problem, warning
from client.gate.approvals import DAY_S, approved_studies
from client.gate.audit import AuditLog
from client.gate.gate import admit
from client.hospital import Hospital
from client.lines import LEDGER_BOOK
from client.site import own_table
from client.site_file import SITE_FILE
from common.errors import WardroundError

LEAST_FREE_BYTES = 1_000_000_000
SOON_S = 14 * DAY_S


def check_account() -> Iterator[Finding]:
    """Whether the node runs with more rights than it needs."""
    if os.geteuid() == 0:
        yield warning("account", "this runs as root", "run the node under an account of its own")
    else:
        yield ok("account", f"user id {os.geteuid()}, not root")


def check_keys(hospital: Hospital) -> Iterator[Finding]:
    """Whether anybody else can read a secret, or the folder that holds them."""
    secret = [*hospital.state.glob("*.key"), *hospital.state.glob("*.secret")]
    node_key = hospital.folder / hospital.rules.coordinator.node_key
    for path in [*secret, *([node_key] if node_key.exists() else [])]:
        if path.stat().st_mode & 0o077:
            yield problem("keys", f"others can read {path}", f"chmod 600 {path}")
    if not secret:
        remedy = "wardround node budget --open, or wardround node approve, makes them"
        yield problem("keys", f"there are none in {hospital.state}", remedy)
    elif hospital.state.stat().st_mode & 0o077:
        yield problem("keys", f"others can enter {hospital.state}", f"chmod 700 {hospital.state}")
    else:
        yield ok("keys", f"{len(secret)} in {hospital.state}, their owner's alone")


def check_books(hospital: Hospital) -> Iterator[Finding]:
    """Whether ledger and audit log verify, which a clock that was set back does not let them."""
    log = AuditLog.open(hospital.state)
    yield ok("audit log", f"{len(log.lines)} lines, each signed and chained")
    if not (hospital.state / LEDGER_BOOK.file).exists():
        remedy = "wardround node budget --open CAP --cohort NAME, before a study with a profile"
        yield warning("budget", "there is no ledger", remedy)
        return
    ledger = open_ledger(hospital.state, time.time)
    for cohort in ledger.cohorts:
        account = ledger.balance(cohort)
        what = f"cohort {cohort}: {account.left:.3f} left of epsilon {account.cap:g}"
        yield ok("budget", what)


def check_disk(hospital: Hospital) -> Iterator[Finding]:
    """Whether there is room for what has to be written before anything may leave."""
    free = shutil.disk_usage(hospital.state if hospital.state.exists() else hospital.folder).free
    if free < LEAST_FREE_BYTES:
        yield problem("disk", f"{free / 1e6:.0f} MB are free", "make room: 1 GB at least")
    else:
        yield ok("disk", f"{free / 1e9:.0f} GB are free")


def check_studies(hospital: Hospital) -> Iterator[Finding]:
    """Whether the approvals hold, and whether each study's patients can be read."""
    known = approved_studies(hospital.state)
    if not known:
        yield warning("policy", "no study is approved", "wardround node approve STUDY")
    for study in known:
        yield from _study(hospital, study)


def _study(hospital: Hospital, study: str) -> Iterator[Finding]:
    try:
        admitted = admit(hospital.folder, study)
    except WardroundError as error:
        yield problem("policy", f"study {study[:8]}: {error.what}", error.remedy)
        return
    name, left = admitted.study.name, admitted.approval.expires - time.time()
    what = f"study {name} ({study[:8]}) is approved for {left / DAY_S:.0f} days"
    if left < SOON_S:
        yield warning("policy", what, "wardround node approve it again")
    else:
        yield ok("policy", what)
    frame, where = own_table(hospital, admitted.study)
    yield ok("patients", f"study {name}: {len(frame)} patients read from {where}")


def check_rules(hospital: Hospital) -> Iterator[Finding]:
    """Whether anybody else can change what the hospital has decided."""
    path = hospital.folder / SITE_FILE
    if path.stat().st_mode & 0o022:
        yield problem("rules", f"others can change {path}", f"chmod 600 {path}")
    else:
        yield ok("rules", f"{path} of site {hospital.name}")
