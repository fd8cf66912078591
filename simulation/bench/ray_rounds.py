"""Whole rounds of this project's own apps on Flower's simulation runtime (flwr 1.41 on Ray 2.55).

The server is the round engine of a deployment. Flower keeps it in a thread until the run is over,
so its rounds pass a gate there, which the caller opens for one round at a time.
"""

import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Semaphore

import torch

from common.learner import make_learner
from common.parameters import Params, unflatten
from common.sources import RunSettings
from common.study import Study, study_toml
from server.exchange import Post
from server.rounds import GridAsk, RoundEngine, call_roll
from server.state import RoundRecord, ServerState, first_state
from simulation.ray_engine import Relay, Stopped, ray_cluster

CHECK_S = 0.5
"""So often a waiting caller looks whether the runtime is still alive."""


class RayRounds:
    """A run whose rounds are asked for one by one; `close` it, for Ray's processes live until then.

    settings: which virtual sites there are (`simulation.source.DEFAULTS`). The first round comes
    when Ray is up and all sites have answered the roll call; so early rounds are slow all the same:
    a worker reads a site's data when that site first falls to it.
    """

    def __init__(self, settings: RunSettings, study: Study) -> None:
        self._study, self._learner = study, make_learner(study, seed=int(settings["seed"]))
        self._seed, self._stop = int(settings["seed"]), Event()
        self._gate, self._states = Semaphore(0), SimpleQueue[ServerState]()
        self._folder = tempfile.TemporaryDirectory(prefix="wr-")
        path = Path(self._folder.name) / "study.toml"
        path.write_text(study_toml(study), encoding="utf-8")
        config = dict(settings) | {"study": str(path)}
        with ExitStack() as opened:
            opened.callback(self._folder.cleanup)
            cluster = opened.enter_context(ray_cluster())
            pool = opened.enter_context(ThreadPoolExecutor(1))
            opened.callback(self._release)
            self._run: Future[None] = pool.submit(
                cluster.run, self._serve, config, len(study.sites), self._stop
            )
            self._next_state()
            self._opened = opened.pop_all()

    def next_round(self) -> Params:
        """Run one round and return theta after it.

        Raises:
            QuorumNotReached: too few sites gave a usable update.
        """
        self._gate.release()
        return unflatten(self._next_state().meta, self._learner.initial)

    def close(self) -> None:
        """End the run and every process that it started; may be called twice."""
        self._opened.close()

    def _release(self) -> None:
        self._stop.set()
        self._gate.release()

    def _serve(self, grid: Post) -> None:
        """Be the server: what runs in Flower's own thread, a round each time the gate is opened."""
        torch.set_num_threads(1)
        relay = Relay(grid, stop=self._stop)
        roster = call_roll(relay, self._study)
        ask = GridAsk(relay, self._study, roster)
        engine = RoundEngine(self._study, list(roster.weight_of), ask, self._seed, _keep_nothing)
        state = first_state(self._study, self._learner)
        while True:
            self._states.put(state)
            self._gate.acquire()
            relay.check()
            state = engine.round(state)

    def _next_state(self) -> ServerState:
        while True:
            try:
                return self._states.get(timeout=CHECK_S)
            except Empty:
                if self._run.done():
                    self._run.result()  # raises what ended it
                    raise Stopped from None


def _keep_nothing(state: ServerState, record: RoundRecord) -> None:
    """Save nothing: the other engines of the benchmark do not either."""


def rounds(settings: RunSettings, study: Study) -> RayRounds:
    """Return a run of the study on Ray, its roll call done and no round begun."""
    return RayRounds(settings, study)
