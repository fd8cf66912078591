"""Flower as it comes, for `rounds.py`: its SuperLink, SuperNodes and FedAvg, over TLS.

The client app does no work: it sends the array back that it was sent. So what is measured is
Flower alone.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from common.certificates import NodeKey, flower_form
from server.coordinator.fleet import SuperLinkDown, control_api
from server.coordinator.folder import CoordinatorFolder, init_folder
from server.coordinator.settings import SuperLinkSettings
from server.coordinator.start import PARTS, SUPEREXEC, SUPERLINK
from simulation.founding import free_port
from simulation.processes import end, end_leftovers, environment, wait_until

SERVER = """
import json, time
import numpy as np
from flwr.app import ArrayRecord, Array
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()

class Timed(FedAvg):
    ends = []
    def aggregate_train(self, server_round, replies):
        result = super().aggregate_train(server_round, replies)
        self.ends.append(time.monotonic())
        return result

@app.main()
def main(grid, context):
    config = context.run_config
    hospitals = int(config["hospitals"])
    strategy = Timed(fraction_evaluate=0.0, min_train_nodes=hospitals,
                     min_available_nodes=hospitals)
    arrays = ArrayRecord({"vector": Array(np.zeros(int(config["dim"]), np.float32))})
    strategy.start(grid, arrays, num_rounds=int(config["rounds"]))
    with open(config["output"], "w") as file:
        json.dump(strategy.ends, file)
"""
CLIENT = """
from flwr.app import Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()

@app.train()
def train(message, context):
    content = RecordDict({"arrays": message.content["arrays"],
                          "metrics": MetricRecord({"num-examples": 1})})
    return Message(content, reply_to=message)
"""
PROJECT = """
[project]
name = "stock-rounds"
version = "1.0.0"
license = "Apache-2.0"

[tool.flwr.app]
publisher = "wardround"
fab-include = ["**/*.py"]
components = { serverapp = "stock_rounds.server:app", clientapp = "stock_rounds.client:app" }
config = { hospitals = 0, rounds = 0, dim = 0, output = "" }
"""
DIM = 100


class Stock:
    """A SuperLink and SuperNodes below one folder; `found` starts them, `close` ends them."""

    def __init__(self, folder: Path, *, hospitals: int, rounds: int) -> None:
        self._folder, self._hospitals, self._rounds = folder.resolve(), hospitals, rounds
        self._processes: list[subprocess.Popen[bytes]] = []

    def found(self) -> None:
        """Set everything up and wait until all nodes are online."""
        self._folder.mkdir(parents=True)
        made = init_folder(
            self._folder / "link", "stock", ["127.0.0.1"], port=free_port(), now=datetime.now(UTC)
        )
        inner = made.settings.model_copy(update={"superlink": SuperLinkSettings(port=free_port())})
        self._link: CoordinatorFolder = made._replace(settings=inner)
        self._start("flower-superlink", *PARTS[SUPERLINK](self._link))
        wait_until(self._answers, "the SuperLink answers")
        self._start("flower-superexec", *PARTS[SUPEREXEC](self._link))
        for number in range(self._hospitals):
            self._join(self._folder / f"node{number}.key")
        wait_until(self._online, "all nodes online")
        self._bundle = self._build()

    def run(self) -> list[float]:
        """Run FedAvg once and return the seconds from the end of each round to the next's."""
        output = self._folder / "ends.json"
        output.unlink(missing_ok=True)
        told = {"hospitals": self._hospitals, "rounds": self._rounds, "dim": DIM}
        with control_api(self._link) as api:
            run = api.start_run(self._bundle, told | {"output": str(output)})
            wait_until(lambda: api.run_status(run).startswith("finished"), "the run", every_s=1.0)
        ends = json.loads(output.read_text())
        return [after - before for before, after in pairwise(ends)]

    def close(self) -> None:
        """End all processes."""
        for process in reversed(self._processes):
            end(process)
        end_leftovers(self._folder)

    def _join(self, path: Path) -> None:
        key = NodeKey.new()
        path.touch(mode=0o600)
        path.write_bytes(key.content)
        with control_api(self._link) as api:
            api.register(flower_form(key.public), path.stem)
        self._start(
            "flower-supernode",
            *("--superlink", self._link.settings.superlink_address),
            *("--root-certificates", str(self._link.ca)),
            *("--auth-supernode-private-key", str(path)),
            *("--host", "127.0.0.1", "--port", str(free_port())),
        )

    def _answers(self) -> bool:
        try:
            with control_api(self._link) as api:
                api.nodes()
        except SuperLinkDown:
            return False
        return True

    def _online(self) -> bool:
        with control_api(self._link) as api:
            return sum(node.status == "online" for node in api.nodes()) == self._hospitals

    def _build(self) -> bytes:
        app, folder = self._folder / "app", self._folder / "app" / "stock_rounds"
        folder.mkdir(parents=True)
        for name, text in (("__init__", ""), ("server", SERVER), ("client", CLIENT)):
            (folder / f"{name}.py").write_text(text)
        (app / "pyproject.toml").write_text(PROJECT)
        words = [str(Path(sys.executable).parent / "flwr"), "build", "--app", str(app)]
        subprocess.run(  # noqa: S603 (Flower's own command)
            words, cwd=self._folder, env=self._environment(), capture_output=True, check=True
        )
        (bundle,) = self._folder.glob("*.fab")
        return bundle.read_bytes()

    def _start(self, command: str, *words: str) -> None:
        with (self._folder / f"{command}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(  # noqa: S603 (Flower's own commands)
                    [str(Path(sys.executable).parent / command), *words],
                    cwd=self._folder,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )

    def _environment(self) -> dict[str, str]:
        quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
        path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        return environment(self._folder) | quiet | path
