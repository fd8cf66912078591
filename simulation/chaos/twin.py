"""What a run should have learned: computed again in this process from its record of who took part.

It reads the hospitals' own folders, as their executors do, and sends nothing anywhere.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from client.lines import AUDIT_BOOK, LEDGER_BOOK
from client.release import release
from client.site import Opened, open_site
from common.aggregation import WeightedSum, weighted_sum
from common.errors import WardroundError
from common.learner import make_learner
from common.messages import Instruction
from common.privacy.masking.ring import decode, encode
from common.study import Study, read_study
from server.control import read_status
from server.robust import combine
from server.state import Checkpoint, RoundRecord, first_state
from simulation.chaos.judging import Found
from simulation.chaos.ledgers import Release, broken_books, read_book, undercounted
from simulation.chaos.studies import ROUNDS, RUN_SEED

_one_at_a_time = Lock()


@dataclass
class Twin:
    """A federation's hospitals in this process. ends: of both books, before the present run."""

    folder: Path
    ends: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the study."""
        self.study: Study = read_study(self.folder / "study.toml")
        self.states = {site.name: self.folder / site.name / "state" for site in self.study.sites}

    def mark(self) -> None:
        """Note where the books of the run that now begins start."""
        for site, state in self.states.items():
            books = (read_book(state, LEDGER_BOOK), read_book(state, AUDIT_BOOK))
            self.ends[site] = (len(books[0]), len(books[1]))

    def evidence(self, run: Path) -> Found:
        """Return what a run has left in its folder, and what it should have."""
        with _one_at_a_time:
            return self._evidence(run)

    def _evidence(self, run: Path) -> Found:
        status = read_status(run) if run.exists() else None
        phase, broken = status.phase if status else "none", broken_books(self.states)
        checkpoint, learner = Checkpoint(run), make_learner(self.study, seed=RUN_SEED)
        try:
            state = checkpoint.load(self.study, learner)
            records = list(checkpoint.records())
        except WardroundError as error:
            return Found(phase, ROUNDS, [], None, math.inf, broken or str(error))
        meta, known = self.recompute(records)
        off = float((state.meta - meta).abs().max())
        theta = state.meta.numpy().tobytes()
        broken = broken or self._undercounted(known)
        return Found(phase, ROUNDS, records, theta, math.inf if math.isnan(off) else off, broken)

    def recompute(self, records: Sequence[RoundRecord]) -> tuple[Tensor, dict[str, list[Release]]]:
        """Return the theta that a record's closed rounds give, and the releases of each site."""
        torch.set_num_threads(1)
        study = self.study
        known: dict[str, list[Release]] = {site: [] for site in self.states}
        opened = {site: self._open(site) for site in self.states}
        state = first_state(study, make_learner(study, seed=RUN_SEED))
        for record in records:
            digest = hashlib.sha256(state.meta.numpy().astype("<f4").tobytes()).hexdigest()
            for site in record.accepted:
                known[site].append((record.round_index, digest))
            if record.closed:
                asked = Instruction(study.id, record.round_index, state.meta)
                updates = {site: release(opened[site], asked) for site in record.accepted}
                state = state.stepped(study, add_up(study, updates).mean())
        return state.meta, known

    def _open(self, site: str) -> Opened:
        """Open a hospital without its books: what is computed here is not released."""
        opened = open_site({"node": str(self.folder / site)}, {}, self.study.id)
        return opened._replace(books=None)

    def _undercounted(self, known: Mapping[str, list[Release]]) -> str:
        if self.study.privacy.profile == "none":
            return ""
        masked = self.study.privacy.profile == "masked"
        check = partial(undercounted, masked=masked)
        for site, state in self.states.items():
            paid, told = self.ends[site]
            debits, audit = read_book(state, LEDGER_BOOK)[paid:], read_book(state, AUDIT_BOOK)
            if why := check(debits, audit[told:], known[site]):
                return f"{site}: {why}"
        return ""


def add_up(study: Study, updates: Mapping[str, Tensor]) -> WeightedSum:
    """Return the aggregate of updates by site, as the study's profile has it."""
    weights = {site.name: site.weight for site in study.sites}
    dim = next(iter(updates.values())).numel()
    if study.privacy.profile == "robust":
        return combine(study, updates, dim)[0]
    if study.privacy.profile == "masked":
        words = [encode(weights[site] * u.double().numpy()) for site, u in updates.items()]
        total = decode(np.sum(words, axis=0, dtype=np.uint64))
        return WeightedSum(torch.from_numpy(total), sum(weights[site] for site in updates))
    return weighted_sum(((weights[site], u) for site, u in updates.items()), dim)
