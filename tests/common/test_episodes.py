from typing import Any

import pytest

from common.episodes import EpisodePlan
from common.errors import SettingsError


@pytest.mark.parametrize(
    "sizes",
    [{"support": 0}, {"query": 0}, {"meta_batch": 0}, {"support": -3}, {"meta_batch": -1}],
    ids=str,
)
def test_a_plan_without_patients_or_episodes_is_refused(sizes: dict[str, Any]) -> None:
    ((name, value),) = sizes.items()
    with pytest.raises(SettingsError, match=f"{name} is {value} .*give 1 or more"):
        EpisodePlan(**sizes)
