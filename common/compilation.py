"""`torch.compile` for the generic path, where the machine has a C++ compiler.

Compiling takes half a minute or more for each new shape of episodes; torch keeps the result in a
cache folder of its own, so a second run starts at once.
"""

import shutil

import torch
from torch import Tensor

from common.algorithms.base import InnerSettings, Reference
from common.episodes import Episode, Rows
from common.errors import SettingsError
from common.parameters import Params

SITES = 32
"""The number of sites that is compiled for: fewer are filled up, more are cut in pieces."""


def has_compiler() -> bool:
    """Whether a C++ compiler is found where torch looks for one."""
    return any(shutil.which(name) for name in ("g++", "clang++", "c++"))


def compiled(function: Reference) -> Reference:
    """Return `function` compiled for SITES sites at a time, anew for each other shape of episodes.

    Raises:
        SettingsError: there is no compiler.
    """
    if not has_compiler():
        raise SettingsError(
            "there is no C++ compiler",
            where="arithmetic compiled",
            remedy="install g++, or take another arithmetic",
        )
    fast: Reference = torch.compile(function, dynamic=False)

    def updates(meta: Params, episodes: Episode, settings: InnerSettings) -> Tensor:
        number = len(episodes.support.weight)
        pieces = [
            fast(meta, _sites(episodes, start), settings) for start in range(0, number, SITES)
        ]
        return torch.cat(pieces)[:number]

    return updates


def _sites(episodes: Episode, start: int) -> Episode:
    """Return SITES sites from `start` on; where there are fewer, the last one comes again."""
    last = len(episodes.support.weight) - 1
    rows = torch.arange(start, start + SITES).clamp(max=last)
    return Episode(*(Rows(*(part[rows] for part in side)) for side in episodes))
