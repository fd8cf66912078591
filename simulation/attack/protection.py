"""What an attacker at the coordinator sees of a site in one round, without and with protection.

The attacker is given every advantage: it chooses theta, holds the study and so the clip and the
public number of groups by which a sum is divided, and knows what every other site sends up to that
site's own noise. With the masked profile it sees the sum over the sites, with the robust one each
site's release.
"""

import math
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from common.crypto import ByteStream
from common.privacy.mechanism import Mechanism
from common.study_sections import Profile

PROFILES: tuple[Profile, ...] = get_args(Profile)

CLIP_NORM, NOISE_MULTIPLIER = 0.5, 2.16
COIN, ROUNDS, EXPECTED_GROUPS = 0.1, 100, 8
"""The plan of a run: replace-one epsilon 3.995 at delta 1e-5, by privacy loss distributions."""
SITES = 5
"""Sites in a masked sum."""


def seen(groups: Tensor, profile: Profile, rng: np.random.Generator) -> Tensor:
    """Return what is seen [d] of a site whose groups of this round have the updates [g, d]."""
    if profile == "none":
        return groups.sum(0) / EXPECTED_GROUPS
    multiplier = noise_std(profile) * EXPECTED_GROUPS / CLIP_NORM
    mechanism = Mechanism(clip_norm=CLIP_NORM, noise_multiplier=multiplier)
    secret = ByteStream(rng.bytes(32))
    released = mechanism.release(groups.numpy(), secret, expected=EXPECTED_GROUPS)
    return torch.from_numpy(released).float()


def noise_std(profile: Profile) -> float:
    """Return the standard deviation of an entry's noise in what is seen; public."""
    sites = {"none": 0, "robust": 1, "masked": SITES}[profile]
    return NOISE_MULTIPLIER * CLIP_NORM * math.sqrt(sites) / EXPECTED_GROUPS
