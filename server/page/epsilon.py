"""Which sites' epsilon the page may show, and how patients are counted on it."""

from common.errors import PrivacyError, SettingsError
from common.study import Study

FEWEST = 20
"""Fewer declared patients than this are never shown as a number."""


def shown_patients(patients: int) -> str:
    """Return the declared number of patients, or only that it is small."""
    if not patients:
        return "not declared"
    return f"{patients:,}" if patients >= FEWEST else f"<{FEWEST}"


def shown_epsilon(study: Study) -> dict[str, float]:
    """Return the plan's epsilon (replace-one) of sites that have allowed it to be shown.

    It follows from the public plan alone and tells nothing of the site's number of patients. A site
    that no epsilon describes (`study_cost` refuses it) is left out.
    """
    allowed = [s.name for s in study.sites if s.show_epsilon]
    if not allowed or not study.privacy.noise_multiplier:
        return {}
    from common.algorithms.base import find_algorithm  # torch: only where there is a number
    from common.privacy.cost import study_cost

    group_wise = find_algorithm(study.algorithm.name).group_wise
    found = {}
    for name in allowed:
        try:
            found[name] = study_cost(study, name, group_wise=group_wise).replace_one
        except (PrivacyError, SettingsError):
            continue
    return found
