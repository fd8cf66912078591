"""What a study's privacy profile protects, what it does not, what it costs: for every report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import PrivacyError, SettingsError
from common.privacy.cost import study_cost
from common.study import Study

SIMULATED = (
    "This was a simulation: its noise follows from the seed, so whoever knows the seed can take it "
    "off. The epsilon is what the same plan would cost with secret noise."
)


@dataclass(frozen=True)
class Profile:
    """gives, lacks: sentences on what is protected, and on what is not."""

    gives: str
    lacks: str


PROFILES: Mapping[str, Profile] = {
    "none": Profile(
        gives="Nothing: the coordinator sees each site's update in clear.",
        lacks="Patients: rows of an episode can be restored from one update (wardround attack). "
        "Such a study is for public or generated data.",
    ),
    "masked": Profile(
        gives="Noise at each site bounds what all its messages together tell of one patient. "
        "Secure aggregation shows the coordinator sums over sites only.",
        lacks="Poisoning: a masked update cannot be looked at, so a few lying sites bend the sum. "
        "Facts about a site (prevalence, case mix, attendance) are not hidden by noise.",
    ),
    "robust": Profile(
        gives="Noise at each site bounds what all its messages together tell of one patient. "
        "Robust aggregation bounds what a minority of lying sites can do.",
        lacks="Single updates: the coordinator sees each site's noised update, so only the site's "
        "own epsilon counts. Facts about a site (prevalence, case mix) are not hidden by noise.",
    ),
}


def privacy_statement(study: Study, *, private: bool) -> dict[str, Any]:
    """Return the statement of a run, for its results: profile, plan, cost of each site.

    private: whether the noise came from secrets of the sites. epsilon: by site, the whole plan's;
    `unknown` says why there is none.
    """
    privacy, profile = study.privacy, PROFILES[study.privacy.profile]
    said: dict[str, Any] = {
        "profile": privacy.profile,
        "private": private,
        "gives": profile.gives,
        "lacks": profile.lacks,
        "plan": privacy.model_dump(mode="json"),
        "epsilon": {},
        "unknown": "",
    }
    if not privacy.noise_multiplier:
        return said | {"unknown": "the study asks for no noise"}
    from common.algorithms.base import find_algorithm  # torch, which the words do without

    group_wise = find_algorithm(study.algorithm.name).group_wise
    try:
        for site in study.sites:
            cost = study_cost(study, site.name, group_wise=group_wise)
            said["epsilon"][site.name] = {
                "replace_one": cost.replace_one,
                "zero_out": cost.zero_out,
                "delta": cost.delta,
            }
    except (PrivacyError, SettingsError) as error:
        return said | {"epsilon": {}, "unknown": error.what}
    return said
