"""The ServerApp's side of a quick round: a function of flwr 1.41 that is called with waits of ours.

tests/server/coordinator/test_quick.py holds that against the installed version. Flower's Grid waits
1 s, then 2, 4 ... for a reply's parts that are still on their way; ours looks again soon. It waits
for two hours, and for nothing else meanwhile: a line that broke in the middle of a reply would hold
the whole run. Ours gives that one reply up after a minute.
"""

from functools import partial

FIRST_WAIT_S, LONGEST_WAIT_S, PARTS_S = 0.01, 0.5, 60.0


def quicken_grid() -> None:
    """Have the Grid of this process look for a reply's parts at short waits."""
    from flwr.superlink.grid import http_grid

    names = vars(http_grid)
    pull = names["pull_objects"]
    if not isinstance(pull, partial):
        names["pull_objects"] = partial(
            pull,
            initial_backoff=FIRST_WAIT_S,
            backoff_cap=LONGEST_WAIT_S,
            max_time=PARTS_S,
        )
