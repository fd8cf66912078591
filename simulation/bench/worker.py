"""One contestant in a process of its own: `python -m simulation.bench.worker KEY SITES STEPS SEED`.

It says `{"ready": ...}` once it is set up and warm, then runs one repetition for each line that it
reads, and answers with what that cost. A process each keeps memory and threads apart; the processes
take turns, so none computes while another does.
"""

import json
import sys
from typing import Any

import torch

from simulation.bench.contestants import Contestant, contestants
from simulation.bench.measure import peak_rss_mib, timed
from simulation.bench.ours import Repetition
from simulation.bench.work import Work, peak_flops

SHORTEST_S, SHORTEST_FAMILY_S = 0.2, 1.0
"""A repetition is repeated until it takes so long: clocks have steps."""


def main() -> None:
    """Run the contestant that the arguments name."""
    key, sites, steps, seed = sys.argv[1:]
    torch.set_num_threads(1)
    work = Work(sites=int(sites), inner_steps=int(steps), seed=int(seed))
    (contestant,) = [c for c in contestants() if c.key == key]
    with contestant.open(work) as repetition:
        serve(contestant, work, repetition)


def serve(contestant: Contestant, work: Work, repetition: Repetition) -> None:
    """Warm up, then measure as often as asked."""
    family = contestant.family
    repetition.run()
    first = timed(repetition.run, family=family)
    shortest = SHORTEST_FAMILY_S if family else SHORTEST_S
    times = max(1, round(shortest / max(first.wall, 1e-6)))
    say({"ready": True, "wall_s": first.wall})
    for _ in sys.stdin:
        before = dict(repetition.split)
        cost = timed(lambda: [repetition.run() for _ in range(times)], family=family)
        done = times * work.sites
        split = {k: 1e6 * (v - before.get(k, 0)) / done for k, v in repetition.split.items()}
        say(
            {
                "cpu_us": 1e6 * cost.cpu / done,
                "wall_us": 1e6 * cost.wall / done,
                "rss_mib": peak_rss_mib(family=family),
                "peak_flops": peak_flops(0.1),
                "split": split,
            }
        )


def say(what: dict[str, Any]) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
