import copy
import multiprocessing
import re
from inspect import getmembers, isclass

import pytest

from common import errors
from common.errors import InvalidMessage, SettingsError, WardroundError

KINDS = [kind for _, kind in getmembers(errors, isclass) if issubclass(kind, WardroundError)]


def make(kind: type[WardroundError]) -> WardroundError:
    if issubclass(kind, InvalidMessage):
        return kind("code-7", "k is 3", where="study.toml", remedy="give 4")
    return kind("k is 3", where="study.toml", remedy="give 4")


def refuse(number: int) -> None:
    raise SettingsError(f"k is {number}", where="study.toml", remedy="give 4")


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_the_same_error_with_all_it_says(kind: type[WardroundError]) -> None:
    error = make(kind)
    twin = copy.copy(error)
    assert type(twin) is kind
    assert str(twin) == str(error) == "k is 3 (study.toml): give 4"
    assert vars(twin) == vars(error)


def test_an_error_of_a_worker_process_reaches_the_parent_as_itself() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:  # noqa: SIM117
        with pytest.raises(SettingsError, match=re.escape("k is 3 (study.toml): give 4")) as found:
            pool.map(refuse, [3])
    assert found.value.remedy == "give 4"
