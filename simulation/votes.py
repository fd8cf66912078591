"""Virtual sites' votes, without messages: the same counts and the same noise as with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.episodes import Site
from common.learner import Learner
from common.privacy.ballots import Ballot
from common.privacy.histograms import CELLS
from common.study import Study
from common.voting import released_votes, virtual_votes_key
from server.state import ServerState
from server.votes import Tally
from simulation.evaluation import one_thread


@dataclass(frozen=True)
class FleetVotes:
    """Counts the votes of sites that are all here; an `AskVotes`."""

    study: Study
    learner: Learner
    sites: Sequence[Site]

    def __call__(self, state: ServerState, ballot: Ballot) -> Tally:
        """Return the sum over all sites of the ballot."""
        here = {site.name: site for site in self.sites}
        std = self.study.evaluation.metric_std
        total = np.zeros(CELLS, dtype=np.int64)
        with one_thread():
            for name in ballot.declared:
                key = virtual_votes_key(here[name].key, ballot.release, ballot.task)
                total += released_votes(
                    self.learner, state.meta, here[name], ballot.task, std=std, key=key
                )
        return Tally(total, tuple(ballot.declared), {})
