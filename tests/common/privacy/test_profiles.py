import pytest

from common.privacy.profiles import PROFILES, privacy_statement
from common.study import Study, make_study


def study(**privacy: object) -> Study:
    settings = {
        "name": "s",
        "features": [{"name": "f"}],
        "tasks": [{"name": "t", "column": "t"}],
        "episodes": {"support": 5, "query": 5},
        "server": {"rounds": 100},
        "sites": [{"name": "A", "patients": 2000}, {"name": "B", "patients": 1000}],
        "privacy": {"clip_norm": 0.5, "noise_multiplier": 2.16, **privacy},
    }
    return make_study(settings, where="test")


def test_the_statement_names_the_epsilon_of_each_site() -> None:
    said = privacy_statement(study(profile="masked"), private=False)
    assert said["epsilon"]["A"]["replace_one"] == pytest.approx(3.995, abs=0.001)
    assert said["epsilon"]["A"]["zero_out"] == pytest.approx(2.108, abs=0.001)
    assert set(said["epsilon"]) == {"A", "B"}
    assert said["gives"] == PROFILES["masked"].gives
    assert not said["private"]


def test_without_an_accountable_plan_there_is_no_number_but_a_reason() -> None:
    said = privacy_statement(study(coin=0.01), private=False)
    assert not said["epsilon"]
    assert "groups a round" in said["unknown"]
    plain = privacy_statement(study(clip_norm=None, noise_multiplier=0), private=False)
    assert plain["unknown"] == "the study asks for no noise"


def test_every_profile_says_what_it_lacks() -> None:
    assert all(profile.gives and profile.lacks for profile in PROFILES.values())
