"""An invitation is for a span of time and for a name that can be shown."""

import time

import pytest

from common.errors import SettingsError
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.invitations import invite, seconds_of
from tests.coordinating import HOUR

NOW = time.time()


@pytest.mark.parametrize(("span", "seconds"), [("90m", 5400), ("72h", 259_200), ("30d", 2_592_000)])
def test_a_span_is_in_seconds(span: str, seconds: int) -> None:
    assert seconds_of(span) == seconds


@pytest.mark.parametrize("span", ["", "0h", "31d", "-1h", "1w", "1.5h", "72", "99999d"])
def test_what_is_no_span_is_refused(span: str) -> None:
    with pytest.raises(SettingsError):
        seconds_of(span)


@pytest.mark.parametrize("name", ["", " Ash", "A\x1b[2J", "A" * 81, "A\nB"])
def test_what_is_no_name_is_not_invited(folder: CoordinatorFolder, name: str) -> None:
    with pytest.raises(SettingsError):
        invite(folder, name, ttl_s=HOUR, now=NOW)
