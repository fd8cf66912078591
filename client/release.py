"""The one road out of a hospital: what a round's instruction makes of its patients.

Whatever protects the patients stands on this road, in this order (docs/decisions/0010-privacy.md).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.site import Opened
from common.crypto import ByteStream, fresh_key
from common.drawing import draw_episodes
from common.messages import Instruction
from common.randomness import derived_key, release_key, stream


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

    paid = books.paid(study, instruction, make, run=run, fresh=bool(fresh))
    return torch.from_numpy(paid)


def _private(opened: Opened, instruction: Instruction, key: bytes) -> Tensor:
    learner, sites = opened.learner, [opened.learner.slotted(opened.site)]
    streams, index = [ByteStream(key)], instruction.round_index
    return learner.private_updates(instruction.theta, sites, streams, round_index=index)[0]
