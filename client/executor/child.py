"""The node's two child processes: what each is started with."""

import os
import sys

from client.executor.place import Place
from common.processes.child import ALLOWED, PACKAGES, QUIET, Child, Hear


def supernode(place: Place, port: int, hear: Hear) -> Child:
    """Return the SuperNode: the network's side, with a clean environment and an empty folder."""
    told = place.site.coordinator
    command = [
        *(sys.executable, "-m", "client.executor.supernode"),
        *("--superlink", told.address, "--root-certificates", str(place.path(told.ca))),
        *("--auth-supernode-private-key", str(place.path(told.node_key))),
        *("--isolation", "process", "--superexec-auth-secret-file", str(place.secret)),
        *("--host", place.runtime_host, "--port", str(port)),
    ]
    clean = {name: os.environ[name] for name in ALLOWED if name in os.environ}
    home = {"HOME": str(place.own / "empty"), "FLWR_HOME": str(place.own / "flwr")}
    return Child(
        "supernode", command, clean | QUIET | home, place.own / "empty", hear, listened=True
    )


def executor(place: Place, port: int, hear: Hear, wiring: str) -> Child:
    """Return the executor: the patients' side, which sees the SuperNode alone."""
    command = [
        *(sys.executable, "-m", "client.executor.worker"),
        *(str(place.folder), f"{place.runtime_host}:{port}", str(place.secret), wiring),
    ]
    inherited = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    paths = [PACKAGES, *filter(None, [inherited.get("PYTHONPATH")])]
    own = {"FLWR_HOME": str(place.own / "flwr"), "PYTHONPATH": os.pathsep.join(paths)}
    quiet = {"OMP_NUM_THREADS": "1"} | inherited | QUIET | own
    return Child("executor", command, quiet, place.folder, hear, listened=False)
