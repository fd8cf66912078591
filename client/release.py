"""The one road out of a hospital: what a round's instruction makes of its patients.

Whatever protects the patients stands on this road, in this order (docs/decisions/0010-privacy.md).
"""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.books import Due
from client.site import Opened
from client.stored import Key
from common.crypto import ByteStream, fresh_key
from common.drawing import draw_episodes
from common.messages import Instruction
from common.privacy.cost import gradient_parameters, planned_rounds
from common.randomness import derived_key, release_key, stream
from common.study import Study


def release(opened: Opened, instruction: Instruction, *, run: str = "", fresh: int = 0) -> Tensor:
    """Return the site's update [d] for the instruction's theta, ready to leave.

    run: the run that the instruction belongs to. fresh: not 0, and of its own for each release, if
    what was released for this round before must not be sent again.

    Raises:
        WardroundError: the update may not leave, or there is none.
    """
    study, site, learner, books, _ = opened
    index = instruction.round_index
    if learner.mechanism is None:
        draws = stream(site.key, "episodes", counter=index)
        episodes = draw_episodes(site.tasks, learner.plan, draws)
        return learner.update(instruction.theta, episodes, round_index=index)
    if books is None:  # a virtual site: whoever knows the run's seed knows its noise
        key = release_key(site.key, index)
        return _private(opened, instruction, derived_key(key, fresh) if fresh else key)

    def make() -> NDArray[np.float32]:
        return _private(opened, instruction, fresh_key()).numpy()

    paid = books.paid(_due(study, instruction, run), make, fresh=bool(fresh))
    return torch.from_numpy(np.asarray(paid, dtype=np.float32))


def _due(study: Study, instruction: Instruction, run: str) -> Due:
    theta = hashlib.sha256(instruction.theta.numpy().astype("<f4").tobytes()).hexdigest()
    parameters = gradient_parameters(planned_rounds(study), study.privacy.clip_norm or 0.0)
    return Due("gradient", study.id, Key(run, instruction.round_index, theta), parameters)


def _private(opened: Opened, instruction: Instruction, key: bytes) -> Tensor:
    learner, sites = opened.learner, [opened.learner.slotted(opened.site)]
    streams, index = [ByteStream(key)], instruction.round_index
    return learner.private_updates(instruction.theta, sites, streams, round_index=index)[0]
