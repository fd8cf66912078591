"""What is set from outside in Flower's Grid is still there, and takes what it is given."""

import inspect

from flwr.superlink.grid import http_grid

from server.coordinator.quick import FIRST_WAIT_S, quicken_grid


def test_the_grid_looks_for_a_replys_parts_at_short_waits() -> None:
    before = vars(http_grid)["pull_objects"]
    assert {"initial_backoff", "backoff_cap"} <= set(inspect.signature(before).parameters)
    source = inspect.getsource(http_grid.HttpGrid.pull_messages)
    assert "pull_objects(" in source
    assert "initial_backoff" not in source
    try:
        quicken_grid()
        quicken_grid()
        assert vars(http_grid)["pull_objects"].keywords["initial_backoff"] == FIRST_WAIT_S
        assert vars(http_grid)["pull_objects"].func is before
    finally:
        vars(http_grid)["pull_objects"] = before
