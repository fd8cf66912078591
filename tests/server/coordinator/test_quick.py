"""What is set from outside in Flower's Grid is still there, and takes what it is given."""

import inspect

import pytest
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectUnavailableError,
    pull_objects,
)
from flwr.superlink.grid import http_grid

from server.coordinator.quick import FIRST_WAIT_S, PARTS_S, quicken_grid


def test_the_grid_looks_for_a_replys_parts_at_short_waits() -> None:
    before = vars(http_grid)["pull_objects"]
    assert {"initial_backoff", "backoff_cap", "max_time"} <= set(
        inspect.signature(before).parameters
    )
    source = inspect.getsource(http_grid.HttpGrid.pull_messages)
    assert "pull_objects(" in source
    assert "initial_backoff" not in source
    try:
        quicken_grid()
        quicken_grid()
        assert vars(http_grid)["pull_objects"].keywords["initial_backoff"] == FIRST_WAIT_S
        assert vars(http_grid)["pull_objects"].keywords["max_time"] == PARTS_S
        assert vars(http_grid)["pull_objects"].func is before
    finally:
        vars(http_grid)["pull_objects"] = before


def test_a_reply_whose_parts_never_come_is_given_up_by_flower_and_not_the_run() -> None:
    def never(object_id: str) -> bytes:
        raise ObjectUnavailableError(object_id)

    with pytest.raises(ObjectPullError):
        pull_objects(["part"], never, initial_backoff=0.01, backoff_cap=0.02, max_time=0.05)
    assert "except ObjectPullError" in inspect.getsource(http_grid.HttpGrid.pull_messages)
