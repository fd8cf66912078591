"""What lying hospitals send: what does the most harm, or nothing of worth.

By the name of the lie:

    sign-flip, scaling   the own update times -1, times 100
    gaussian             noise of standard deviation 1
    label-flip           an honest update from flipped labels
    alie                 mean - z std of the honest ones: Baruch, Baruch, Goldberg, "A Little Is
                         Enough", NeurIPS 2019, arXiv 1902.06156, algorithm 3
    inner-product        -5 times the honest mean: Xie, Koyejo, Gupta, "Fall of Empires", UAI 2019,
                         arXiv 1903.03936
    nan, inf             what no number is
    zero, replay         free riders: nothing, or the last step that all have seen
    tailored             the honest mean reversed, as long as passes the checks of server/robust.py,
                         under noise as an honest site's
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from server.robust import Noise

EXTREME = 5.0


@dataclass(frozen=True)
class Scene:
    """What liars know when they speak: their own honest updates, the others', the last step.

    noise: what is public of an honest site's noise and length, if there is any.
    """

    own: Tensor
    honest: Tensor
    last: Tensor
    noise: Noise | None
    rng: np.random.Generator


Lie = Callable[[Scene], Tensor]
"""What the liars send [f, d]."""


def alie(scene: Scene) -> Tensor:
    """Return the mean less z standard deviations, as far out as half of all still are."""
    h, f = len(scene.honest), len(scene.own)
    supporters = (h + f) // 2 + 1 - f
    z = float(stats.norm.ppf((h - supporters) / h))
    sent: Tensor = (scene.honest.mean(0) - z * scene.honest.std(0)).expand_as(scene.own)
    return sent


def tailored(scene: Scene) -> Tensor:
    """Return the reversed mean under noise of the right size, of each liar's own.

    The liars share the reversed mean, so its square must stay within what two honest updates can
    have in common: `common.robust.independent`.
    """
    mean = scene.honest.mean(0)
    if scene.noise is None:
        return LIES["inner-product"](scene)
    std, bound = float(scene.noise.std[0]), float(scene.noise.bound[0])
    in_common = bound**2 + 3 * (std**2 * mean.numel() ** 0.5 + 2 * std * bound)
    drawn = torch.from_numpy(scene.rng.standard_normal(tuple(scene.own.shape))).float()
    sent: Tensor = std * drawn - (in_common**0.5) * mean / mean.norm()
    return sent


def _gaussian(scene: Scene) -> Tensor:
    return torch.from_numpy(scene.rng.standard_normal(tuple(scene.own.shape))).float()


LIES: Mapping[str, Lie] = {
    "sign-flip": lambda scene: -scene.own,
    "scaling": lambda scene: 100 * scene.own,
    "gaussian": _gaussian,
    "label-flip": lambda scene: scene.own,  # the labels lie already
    "alie": alie,
    "inner-product": lambda scene: (-EXTREME * scene.honest.mean(0)).expand_as(scene.own),
    "nan": lambda scene: torch.full_like(scene.own, torch.nan),
    "inf": lambda scene: torch.full_like(scene.own, torch.inf),
    "zero": lambda scene: torch.zeros_like(scene.own),
    "replay": lambda scene: scene.last.expand_as(scene.own),
    "tailored": tailored,
}
