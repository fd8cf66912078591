"""A federation of virtual hospitals on Ray: the real apps in Flower's own simulation runtime.

`flwr.simulation.run_simulation` of Flower 1.41 hands no run config to the clients, so the settings
travel with the client app. It also starts Ray only if nobody has: this module starts it, or joins
the cluster at RAY_ADDRESS, and afterwards sees to it that no process is left behind.
"""

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from threading import Event
from typing import Any, cast

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from client.app import app as client_app
from common.errors import SettingsError
from common.sources import RunSettings
from server.app import app as server_app
from server.exchange import Post
from simulation.training import OnRound, Training

KNOCK_S, END_S = 5.0, 10.0
"""How long a cluster may take to answer, and a process to end: once by itself, once when asked."""

_ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray warns until it is told either way
}
"""Flower and Ray report their use over the network unless they are told not to."""

_RESOURCES = {"client_resources": {"num_cpus": 1, "num_gpus": 0}}
"""As many virtual sites run at a time as Ray has CPUs; Flower's own default is two CPUs each."""


class Stopped(Exception):
    """The run was ended from outside."""


@dataclass(frozen=True)
class VirtualClient:
    """The client app and the run config that Flower does not give it; sent to Ray's workers."""

    settings: dict[str, str | int | float | bool]

    def __call__(self, message: Message, context: Context) -> Message:
        """Return the app's reply; the given context stays as it is, as Flower demands."""
        return client_app(message, replace(context, run_config=self.settings))


@dataclass(frozen=True)
class Relay:
    """The grid as the server sees it: tells of each round, and raises once `stop` is set."""

    grid: Post
    on_round: OnRound = lambda round_index: None
    stop: Event = field(default_factory=Event)

    def get_node_ids(self) -> Iterable[int]:
        """Return the ids of the virtual sites that are online."""
        self.check()
        return self.grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages."""
        self.check()
        batch = list(messages)
        if batch:
            self.on_round(int(batch[0].metadata.group_id or 0))
        return self.grid.push_messages(batch)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that have come."""
        self.check()
        return self.grid.pull_messages(message_ids)

    def check(self) -> None:
        """Raise if the run was told to end."""
        if self.stop.is_set():
            raise Stopped


def run_on_ray(training: Training) -> None:
    """Run all rounds that are left.

    Raises:
        QuorumNotReached: too few virtual sites gave a usable update.
        SettingsError: Ray is not installed, or the cluster cannot be joined.
    """
    if training.study.privacy.profile == "masked":
        raise SettingsError(
            "Ray's workers forget what secure aggregation has to remember between two phases",
            where="engine ray",
            remedy="take --engine grid for a study with the masked profile",
        )
    config, sites, stop = training.run_config(), len(training.study.sites), Event()
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=config)

    def server(grid: Post) -> None:
        server_app(cast(Grid, Relay(grid, training.on_round, stop)), context)

    with ray_cluster() as cluster, ThreadPoolExecutor(1) as pool:
        run = pool.submit(cluster.run, server, config, sites, stop)
        try:
            run.result()
        except BaseException:  # Ctrl-C above all: in the main thread Flower's runtime ignores it
            stop.set()
            raise


@dataclass(frozen=True)
class Cluster:
    """Ray, joined or started here; `started`: the processes that then have to end with it."""

    joined: bool
    started: set[Any] = field(default_factory=set)

    def run(
        self, server: Callable[[Post], None], settings: RunSettings, sites: int, stop: Event
    ) -> None:
        """Run `server` with a grid of `sites` virtual sites, each on one CPU of Ray, to its end.

        Whatever `server` raises is raised here. Flower disconnects from Ray at the end, so this is
        done once; `stop` is then set, if it was not before.
        """
        from flwr.simulation import run_simulation

        def serve(grid: Grid, context: Context) -> None:
            try:
                server(grid)
            finally:
                self.look()

        app = ServerApp()
        app.main()(serve)
        client = cast(ClientApp, VirtualClient(dict(settings)))
        try:
            with _muted("flwr"):
                run_simulation(app, client, sites, backend_config=cast(Any, dict(_RESOURCES)))
        finally:
            stop.set()  # should the runtime have failed, its server thread must not wait on

    def look(self) -> None:
        """Remember the processes that were started since; a joined cluster's are not ours."""
        import psutil  # Ray brings its own copy

        if not self.joined:
            self.started.update(psutil.Process().children(recursive=True))


@contextmanager
def ray_cluster() -> Iterator[Cluster]:
    """Join the cluster at RAY_ADDRESS or start one; leave no process and no file of it behind.

    To be entered in the main thread: there a request to end (SIGTERM) then ends Ray first.

    Raises:
        SettingsError: Ray is not installed, or the cluster cannot be joined.
    """
    if find_spec("ray") is None:
        raise SettingsError(
            "ray is not installed", where="engine ray", remedy="pip install 'wardround[ray]'"
        )
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    address, before = os.environ.get("RAY_ADDRESS"), signal.getsignal(signal.SIGTERM)
    main = threading.current_thread() is threading.main_thread()
    with tempfile.TemporaryDirectory(prefix="wr-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(joined=bool(address))
        try:
            _connect(address, folder)
            cluster.look()
            if main:  # Ray's own handlers, one of them not Python's, would abort this process
                signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
            yield cluster
        finally:
            ray.shutdown()
            _end(cluster.started)
            if main:
                signal.signal(signal.SIGTERM, before)


def _connect(address: str | None, folder: str) -> None:
    """Connect to Ray; its workers find the packages where this process finds them."""
    import ray

    own: dict[str, Any] = {} if address else {"include_dashboard": False, "_temp_dir": folder}
    try:
        _knock(address or "")
        ray.init(
            address=address or "local",  # never a cluster that happens to run here
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
            logging_level=logging.ERROR,
            log_to_driver=False,
            **own,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"Ray cannot be reached: {error}",
            where=f"RAY_ADDRESS {address}" if address else "engine ray",
            remedy="check the address, or unset RAY_ADDRESS to start Ray here",
        ) from error


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at `address`; Ray itself would try for three minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=KNOCK_S).close()


def _end(processes: Iterable[Any]) -> None:
    """Wait for the processes to end; ask those that have not, and end those that do not heed."""
    import psutil

    alive = psutil.wait_procs(list(processes), timeout=END_S)[1]
    for process in alive:
        process.terminate()
    for process in psutil.wait_procs(alive, timeout=END_S)[1]:
        process.kill()


@contextmanager
def _muted(name: str) -> Iterator[None]:
    """Let a logger pass errors only."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
