"""The node's wiring, with noise that can be computed again: `client.executor.wiring` for all else.

At a hospital each release's noise has a fresh secret key, so that no two runs of a private study
learn the same bits. Here the key follows from the site's and the round, and a hurt run can be held
against an undisturbed one. What is debited, stored, sent and refused, and when, is the same.
"""

import sys
from pathlib import Path

from torch import Tensor

from client import release as road
from client.executor.wiring import app, approved_bundles, kinds, node_config, note_refusal, warm
from client.site import Opened
from common.messages import Instruction
from common.randomness import release_key

__all__ = ["app", "approved_bundles", "kinds", "node_config", "note_refusal", "warm"]
_as_it_is = road._private


def _with_known_noise(opened: Opened, instruction: Instruction, _: bytes) -> Tensor:
    key = release_key(opened.site.key, instruction.round_index)
    return _as_it_is(opened, instruction, key)


def start(folder: Path) -> None:
    """Run a node's service as `wardround node start` does, but with this wiring."""
    from client.executor.place import PARTS, open_place
    from client.executor.service import serve

    serve(open_place(folder), PARTS, wiring="simulation.chaos.wiring")


if __name__ == "__main__":
    start(Path(sys.argv[1]))
else:
    vars(road)["_private"] = _with_known_noise
