"""The one road out of a hospital: what a round's instruction makes of its patients.

Whatever protects the patients stands on this road, in this order (docs/decisions/0010-privacy.md).
"""

from torch import Tensor

from client.site import Opened
from common.crypto import ByteStream
from common.drawing import draw_episodes
from common.messages import Instruction
from common.randomness import release_key, stream


def release(opened: Opened, instruction: Instruction) -> Tensor:
    """Return the site's update [d] for the instruction's theta, ready to leave.

    Raises:
        WardroundError: the update may not leave, or there is none.
    """
    _, site, learner = opened
    index = instruction.round_index
    if learner.mechanism is None:
        draws = stream(site.key, "episodes", counter=index)
        episodes = draw_episodes(site.tasks, learner.plan, draws)
        return learner.update(instruction.theta, episodes, round_index=index)
    secret = ByteStream(release_key(site.key, index))
    sites = [learner.slotted(site)]
    return learner.private_updates(instruction.theta, sites, [secret], round_index=index)[0]
