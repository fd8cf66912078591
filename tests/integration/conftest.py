"""A masked federation on the in-process grid, whose sums are compared with the plaintext's."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context
from flwr.clientapp import ClientApp
from torch import Tensor

from client import masked_app
from client.release import release
from client.site import Opened, open_site
from common.crypto import digest
from common.learner import make_learner
from common.messages import Instruction
from common.privacy.masking.ring import decode, encode
from common.study import study_toml
from server.masked import MaskedAsk
from server.rounds import Answers
from server.state import RoundRecord, ServerState, read_records
from simulation.faults import Fault, MaskedFault
from simulation.federation import run_on_grid
from simulation.grid import InProcessGrid, PlantFault
from simulation.source import make_plan, tailored
from simulation.training import Training, train

Settings = dict[str, Any]
Wards = Callable[..., Settings]
Release = Callable[..., Tensor]
NAMES = ("Ash", "Birch", "Cedar", "Elm")
BIRCH, CEDAR = 2, 3  # node ids count the sites from 1, in order of names
PRIVACY = {"profile": "masked", "clip_norm": 0.5, "noise_multiplier": 0.1}
PHASES = ("input", "confirm", "reveal")


def at(phase: str, fault: Fault, nodes: Collection[int] = (BIRCH,), *, r: int = 2) -> MaskedFault:
    """A fault of these nodes' replies in a phase of round r."""
    return MaskedFault(phase, fault, nodes, r)


@dataclass
class Federation:
    """A masked study, its nodes, and what its runs have brought; of: how updates are made."""

    settings: Settings
    folder: Path
    of: Release
    answers: list[tuple[Tensor, Answers]] = field(default_factory=list)
    nodes: dict[int, Context] = field(default_factory=dict)

    def run(self, *faults: PlantFault) -> list[RoundRecord]:
        """Run all rounds that are left, on the same nodes if there were any; return the records."""
        study = tailored(make_plan(self.settings), self.settings)

        def fault(round_index: int, node: int) -> Fault | None:
            planted = [plant(round_index, node) for plant in faults]
            return next((found for found in planted if found), None)

        train(study, self.settings, self.folder, engine=partial(self._on_grid, fault=fault))
        return self.records()

    def _on_grid(self, training: Training, *, fault: PlantFault) -> None:
        def grid(app: ClientApp, contexts: dict[int, Context], **options: Any) -> InProcessGrid:
            self.nodes = self.nodes or contexts
            for node, context in self.nodes.items():
                context.run_config = contexts[node].run_config
            return InProcessGrid(app, self.nodes, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("simulation.federation.InProcessGrid", grid)
            run_on_grid(training, serialise=True, fault=fault)

    def records(self) -> list[RoundRecord]:
        study = tailored(make_plan(self.settings), self.settings)
        return read_records(self.folder, study, make_learner(study, seed=0))

    def plain_sum(self, index: int, theta: Tensor, sites: Collection[str]) -> Tensor:
        """The sites' weighted updates, added as integers in the clear."""
        study = tailored(make_plan(self.settings), self.settings)
        total = encode(np.zeros(len(theta)))
        weights = {site.name: site.weight for site in study.sites}
        for i, name in enumerate(NAMES):
            opened = open_site({"partition-id": i, "num-partitions": 4}, self.settings)
            update = self.of(opened, Instruction(study.id, index, theta)).double().numpy()
            if name in sites:
                total += encode(weights[name] * update)
        return torch.from_numpy(decode(total))

    def assert_sums_are_plain(self) -> None:
        """Every sum that was learned from is the plaintext's over the sites that it claims."""
        closed = [record for record in self.records() if record.closed]
        learned = [answer for answer in self.answers if answer[1].accepted]
        for record, (theta, answer) in zip(closed, learned, strict=True):
            plain = self.plain_sum(record.round_index, theta, answer.accepted)
            assert torch.equal(answer.updates.total, plain)


@pytest.fixture
def federation(
    wards: Wards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Federation]:
    """Return a way to make a federation; its updates are quick to compute unless `real`."""

    def make(*, real: bool = False, **changes: Any) -> Federation:
        server = {"deadline_s": 0.1, "rounds": 4} | changes.pop("server", {})
        settings = wards(privacy=PRIVACY, server=server, **changes)
        study = tailored(make_plan(settings), settings)
        sites = [site.model_copy(update={"weight": i + 1.5}) for i, site in enumerate(study.sites)]
        weighted = study.model_copy(update={"sites": tuple(sites)})
        Path(settings["study"]).write_text(study_toml(weighted))
        made, ask = (
            Federation(settings, tmp_path / "run", release if real else quick),
            MaskedAsk.__call__,
        )

        def recorded(self: MaskedAsk, state: ServerState, cohort: Sequence[str]) -> Answers:
            made.answers.append((state.meta, ask(self, state, cohort)))
            return made.answers[-1][1]

        monkeypatch.setattr(MaskedAsk, "__call__", recorded)
        if not real:
            monkeypatch.setattr(masked_app, "release", quick)
        return made

    return make


def quick(opened: Opened, instruction: Instruction, *, run: str = "", fresh: int = 0) -> Tensor:
    """An update that is quick to compute: of the site, the round and theta alone."""
    seed = int.from_bytes(digest(opened.site.name, instruction.round_index)[:4], "big")
    noise = torch.randn(len(instruction.theta), generator=torch.Generator().manual_seed(seed))
    return 0.01 * noise + 0.1 * instruction.theta
