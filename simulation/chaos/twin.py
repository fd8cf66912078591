"""What a run should have learned: computed again in this process from its record of who took part.

It reads the hospitals' own folders, as their executors do, and sends nothing anywhere.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from client.gate.audit import AuditLog
from client.identity import read_identity
from client.ledger import Ledger
from client.release import release
from client.site import open_site
from common.aggregation import weighted_sum
from common.errors import WardroundError
from common.learner import make_learner
from common.messages import Instruction
from common.study import Study, read_study
from server.control import read_status
from server.state import Checkpoint, RoundRecord, first_state
from simulation.chaos.federation import ROUNDS, RUN_SEED, SITES
from simulation.chaos.judging import Found


def evidence(federation: Path, run: Path) -> Found:
    """Return what a run has left in its folder, and what it should have."""
    study = read_study(federation / "study.toml")
    status = read_status(run) if run.exists() else None
    phase, broken = status.phase if status else "none", broken_books(federation)
    checkpoint, learner = Checkpoint(run), make_learner(study, seed=RUN_SEED)
    try:
        state = checkpoint.load(study, learner)
        records = list(checkpoint.records())
    except WardroundError as error:
        return Found(phase, ROUNDS, [], None, math.inf, broken or str(error))
    off = float((state.meta - recompute(federation, study, records)).abs().max())
    theta = state.meta.numpy().tobytes()
    return Found(phase, ROUNDS, records, theta, math.inf if math.isnan(off) else off, broken)


def recompute(federation: Path, study: Study, records: Sequence[RoundRecord]) -> Tensor:
    """Return the theta that the closed rounds of a record give."""
    torch.set_num_threads(1)
    opened = {s: open_site({"node": str(federation / s)}, {}, study.id) for s in SITES}
    weights = {site.name: site.weight for site in study.sites}
    state = first_state(study, make_learner(study, seed=RUN_SEED))
    for record in (record for record in records if record.closed):
        asked = Instruction(study.id, record.round_index, state.meta)
        pairs = ((weights[site], release(opened[site], asked)) for site in record.accepted)
        state = state.stepped(study, weighted_sum(pairs, state.meta.numel()).mean())
    return state.meta


def broken_books(federation: Path) -> str:
    """Return why a hospital's audit log or ledger does not verify, or nothing."""
    for site in SITES:
        state = federation / site / "state"
        try:
            AuditLog.open(state)
            if (state / "ledger.jsonl").exists():
                Ledger.open(state, read_identity(state), time.time)
        except WardroundError as error:
            return f"{site}: {error}"
    return ""
