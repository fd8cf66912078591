"""The ServerApp's side of a quick round: two names of flwr 1.41 that are set from outside.

tests/server/coordinator/test_quick.py holds both against the installed version. Flower's Grid waits
1 s, then 2, 4 ... for a reply's parts that are still on their way; ours looks again soon.
"""

from functools import partial

FIRST_WAIT_S, LONGEST_WAIT_S = 0.01, 0.5


def quicken_grid() -> None:
    """Have the Grid of this process look for a reply's parts at short waits."""
    from flwr.superlink.grid import http_grid

    names = vars(http_grid)
    pull = names["pull_objects"]
    if not isinstance(pull, partial):
        names["pull_objects"] = partial(
            pull, initial_backoff=FIRST_WAIT_S, backoff_cap=LONGEST_WAIT_S
        )
