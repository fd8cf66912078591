"""The robust profile: single noised updates, checked for being what a site would send, combined.

An honest update carries noise whose standard deviation is public, over a part whose norm is
bounded by what the study says. So the server need not guess what is too long: an update beyond the
bound, one without its noise, and updates that share what should be independent are dropped by name.
The rest is aggregated so that a minority's influence is bounded (common/robust.py).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from common.aggregation import WeightedSum, nothing
from common.errors import SettingsError
from common.privacy.groups import Grouping
from common.robust import find_aggregation, independent, plausible_norms
from common.study import Study

IMPLAUSIBLE, SHARED, TOO_FEW = "implausible-norm", "not-independent", "too-few"


class Noise(NamedTuple):
    """What is public of sites' updates: std [k] of the noise, bound [k] of what is under it."""

    std: Tensor
    bound: Tensor


def check_aggregation(study: Study) -> None:
    """Refuse a robust aggregation that is not there, and weights: it counts sites alike.

    Raises:
        SettingsError: none of the name is installed, or the roster's weights differ.
    """
    if study.privacy.aggregation == "mean":
        return
    find_aggregation(study.privacy.aggregation)
    if len({site.weight for site in study.sites}) > 1:
        raise SettingsError(
            f"{study.privacy.aggregation} counts all sites alike, but their weights differ",
            where="sites.weight",
            remedy="give all sites the same weight, or aggregate by the mean",
        )


def combine(
    study: Study, updates: Mapping[str, Tensor], dim: int
) -> tuple[WeightedSum, dict[str, str]]:
    """Return the robust aggregate as a sum of weight 1, and why sites were dropped from it.

    updates [dim] by site. Liars among those that are left are at most the study's share of all; if
    too few are left to withstand them, all are dropped, and the round has no quorum.
    """
    if not updates:
        return nothing(dim), {}
    names, stacked = list(updates), torch.stack(list(updates.values()))
    dropped: dict[str, str] = {}
    if study.privacy.noise_multiplier:
        dropped = _lies(study, names, stacked)
        stacked = stacked[[name not in dropped for name in names]]
    malicious = math.floor(study.privacy.malicious_share * len(updates))
    # Of two that share, one may be honest: only what is implausible has surely been a liar.
    left = max(malicious - list(dropped.values()).count(IMPLAUSIBLE), 0)
    aggregation = find_aggregation(study.privacy.aggregation)
    if len(stacked) < aggregation.fewest(left):
        return nothing(dim), dict.fromkeys(names, TOO_FEW) | dropped
    total = aggregation(stacked, malicious=left)
    return WeightedSum(total.double(), 1.0), dropped


def _lies(study: Study, names: list[str], updates: Tensor) -> dict[str, str]:
    """Return why sites are dropped. An implausible update is no witness against the others."""
    noise = public_noise(study, names)
    fits = plausible_norms(updates, **noise._asdict())
    left = Noise(*(part[fits] for part in noise))
    alone = independent(updates[fits], **left._asdict())
    rest = [name for name, fit in zip(names, fits.tolist(), strict=True) if fit]
    shared = {name: SHARED for name, own in zip(rest, alone.tolist(), strict=True) if not own}
    return {name: IMPLAUSIBLE for name in names if name not in rest} | shared


def public_noise(study: Study, names: list[str]) -> Noise:
    """Return what the study tells of these sites' updates.

    Of the groups that take part, binomial in number, six deviations more than expected are allowed.
    """
    privacy, size = study.privacy, study.group_size
    slots = {site.name: site.patients for site in study.sites}
    groupings = [
        Grouping(slots=slots[name], size=size, coin=privacy.coin, tasks=1) for name in names
    ]
    expected = torch.tensor([grouping.expected for grouping in groupings])
    clip_norm = privacy.clip_norm or 0.0
    most = expected + 6 * (expected * (1 - privacy.coin)).sqrt() + 1
    return Noise(privacy.noise_multiplier * clip_norm / expected, clip_norm * most / expected)
