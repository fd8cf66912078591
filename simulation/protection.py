"""A study under a privacy profile at a given epsilon: the settings that a simulation fills in."""

import math
from collections.abc import Mapping
from typing import Any

from common.errors import SettingsError
from common.privacy.accounting import MetricReleases, noise_multiplier_for
from common.privacy.cost import FEWEST_GROUPS

CLIP_NORM, COIN, GROUP, META_LR = 0.2, 0.1, 5, 1.0
AGGREGATION = {"none": "mean", "masked": "mean", "robust": "centred-clipping"}


def protect(
    dump: dict[str, Any], patients: Mapping[str, int], *, profile: str, epsilon: float
) -> None:
    """Set a study's settings so that its rounds cost each site at most `epsilon`, replace-one.

    dump: the study, changed in place. patients: slots of each site. Groups are of 5 + 5 patients;
    the coin is .1, or what brings the smallest site to 8 expected groups. The server takes plain
    steps: Adam would inflate the noise.

    Raises:
        SettingsError: a site is too small, or the profile is unknown or lacks an epsilon.
    """
    if profile not in AGGREGATION or epsilon <= 0:
        raise SettingsError(
            f"profile {profile or 'none'} with epsilon {epsilon:g}",
            where="privacy",
            remedy=f"give --profile {' or '.join(AGGREGATION)} and an --epsilon above 0",
        )
    smallest = min(patients.values()) // (2 * GROUP)
    if smallest < FEWEST_GROUPS:
        raise SettingsError(
            f"a site has {min(patients.values())} patients, too few for a private update",
            where="privacy",
            remedy=f"have {FEWEST_GROUPS * 2 * GROUP} patients a site, or leave --epsilon out",
        )
    coin = max(COIN, math.ceil(1000 * FEWEST_GROUPS / smallest) / 1000)
    dump["episodes"] |= {"support": GROUP, "query": GROUP, "prevalence": "natural"}
    dump["server"] |= {"optimizer": "sgd", "meta_lr": META_LR}
    dump["privacy"] |= {
        "profile": profile,
        "aggregation": AGGREGATION[profile],
        "clip_norm": CLIP_NORM,
        "coin": coin,
        "noise_multiplier": noise_multiplier_for(
            epsilon,
            coin=coin,
            rounds=dump["server"]["rounds"] + dump["privacy"]["spare_rounds"],
            delta=dump["privacy"]["delta"],
            metrics=_metrics(dump["evaluation"]),
        ),
    }


def _metrics(evaluation: Mapping[str, Any]) -> list[MetricReleases]:
    """Return the releases of metrics that a site would make at most."""
    releases, std = evaluation["metric_releases"], evaluation["metric_std"]
    return [MetricReleases(std=std, releases=releases)] if releases else []
