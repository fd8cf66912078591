"""A small federation that stays up: a coordinator, its hospitals, and a line to each of these."""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from client.executor.status import summary
from server.control import read_status
from server.coordinator.folder import CoordinatorFolder, open_folder, renew_certificates
from simulation.chaos.cases import COORDINATOR, NODE, OF_HOSPITALS, SERVERAPP
from simulation.chaos.ground import DISK_MB, Disk, Network
from simulation.chaos.proxy import Line
from simulation.chaos.studies import SITES
from simulation.founding import free_port, set_ports, wait_for
from simulation.processes import (
    ROOT,
    WARDROUND,
    child_of,
    end,
    end_leftovers,
    launch_program,
    orphans,
    wait_until,
)

MARKS = {"supernode": "client.executor.supernode", "executor": "client.executor.worker"}
WIRING = "simulation.chaos.wiring"


class Federation:
    """A copy of a founded federation in a folder of its own, and the processes that stay.

    number: of the federation, of its own in this process. permitted: whether hospitals get networks
    and disks of their own, for which one has to be root.
    """

    def __init__(
        self, template: Path, folder: Path, study: str, profile: str, number: int, permitted: bool
    ) -> None:
        self.folder, self.study, self.profile, self.sites = folder, study, profile, SITES[profile]
        self.services: dict[str, subprocess.Popen[bytes]] = {}
        self.lines: dict[str, Line] = {}
        self.networks: dict[str, Network] = {}
        self.disks: dict[str, Disk] = {}
        self.code: dict[str, Path] = {}
        """Where a service's packages come from, if not from this checkout (shims.py)."""
        self.over, self.behind = False, 0.0
        """Until this time (Unix) somebody's books may say that the clock stands before them."""
        self._edge = free_port()
        try:
            self._copy(template, number, permitted)
        except BaseException:
            self.close()
            raise

    @property
    def coordinator(self) -> CoordinatorFolder:
        """The coordinator's folder."""
        return open_folder(self.folder / COORDINATOR)

    @property
    def run_folder(self) -> Path:
        """Where the study's run is kept; it is moved away after each."""
        return self.folder / COORDINATOR / "runs" / self.study[:12]

    def _copy(self, template: Path, number: int, permitted: bool) -> None:
        disks = [COORDINATOR, *(f"{site}/state" for site in self.sites)]
        for place in disks if permitted else []:
            folder = self.folder / place
            folder.mkdir(parents=True)
            self.disks[place.partition("/")[0]] = Disk(folder, DISK_MB[place.rpartition("/")[2]])
        shutil.copytree(template, self.folder, dirs_exist_ok=True)
        for place in (*self.sites, *disks):
            (self.folder / place).chmod(0o700)
        for i, site in enumerate(self.sites):
            address = "127.0.0.1"
            if permitted:
                block = os.getpid() % 200 * 64 + number % 8 * 8 + i
                self.networks[site] = Network(f"chaos-{os.getpid()}-{number}-{site}", block)
                address = self.networks[site].address
            self._connect(site, address)
        self._settle()

    def _connect(self, site: str, address: str) -> None:
        """Have a hospital reach the edge by a line of its own."""
        self.lines[site] = Line(self._edge, address)
        rules, told = self.folder / site / "site.toml", f"{address}:{self.lines[site].port}"
        lines = rules.read_text().splitlines()
        kept = [f'address = "{told}"' if x.startswith("address = ") else x for x in lines]
        rules.write_text("\n".join(kept) + "\n")

    def _settle(self) -> None:
        """Give the coordinator its ports, and a certificate for the addresses of the lines."""
        settings = self.folder / COORDINATOR / "coordinator.toml"
        set_ports(settings, self._edge, free_port())
        hosts = ["127.0.0.1", *(network.address for network in self.networks.values())]
        text = settings.read_text()
        start, end = text.index("hosts = ["), text.index("roster_days")
        text = f"{text[:start]}hosts = {hosts}\n{text[end:]}"
        # All hospitals come from one address, the proxy's.
        text = text.replace("rate = 50.0", "rate = 1000.0").replace("burst = 200", "burst = 2000")
        settings.write_text(text)
        renew_certificates(self.coordinator, now=datetime.now(UTC), within_days=1e6)

    def start(self, name: str) -> None:
        """Start a service: the coordinator's, or a hospital's, as systemd would.

        Raises:
            RuntimeError: all is to end.
        """
        if self.over:
            raise RuntimeError(f"{self.folder} was given up")
        if name == COORDINATOR:
            program = [*WARDROUND, COORDINATOR, "start", "--folder", COORDINATOR]
        else:
            program = [sys.executable, "-m", WIRING, str(self.folder / name)]
        if name in self.networks:
            program = [*self.networks[name].inside, *program]
        code = self.code.get(name, ROOT)
        self.services[name] = launch_program(self.folder, name, program, code=code)

    def begin(self) -> None:
        """Start everything and wait until all hospitals are connected."""
        self.start(COORDINATOR)
        wait_for(self._edge)
        self.heal(600.0)  # on a new machine executors compile first

    def pid_of(self, part: str, site: str) -> int:
        """Return the pid of a part now, or 0; site: of a hospital's part."""
        if part in (COORDINATOR, NODE):
            return self.services[site or COORDINATOR].pid
        if part == SERVERAPP:
            status = read_status(self.run_folder) if self.run_folder.exists() else None
            return status.pid if status and status.alive else 0
        if part in OF_HOSPITALS:
            return child_of(self.services[site].pid, MARKS[part])
        return child_of(self.services[COORDINATOR].pid, "server.coordinator.flower_process", part)

    def heal(self, seconds: float = 240.0) -> None:
        """Take all faults back, start what has ended, wait until all nodes are connected again.

        Raises:
            RuntimeError: they are not.
        """
        for line in self.lines.values():
            line.mend()
        for network in self.networks.values():
            network.mend()
        for disk in self.disks.values():
            disk.empty()
        for name in (COORDINATOR, *self.sites):
            if name not in self.services or self.services[name].poll() is not None:
                self.start(name)
        wait_until(self.connected, "all hospitals connected", seconds=seconds)
        time.sleep(max(0.0, self.behind - time.time()))

    def wear(self, name: str, shim: Path) -> None:
        """Start a service anew under a shim, which it keeps until `undress`."""
        self.code[name] = shim
        end(self.services[name])
        self.start(name)

    def undress(self) -> None:
        """Start anew what is under a shim."""
        for name in list(self.code):
            del self.code[name]
            end(self.services[name])

    def connected(self) -> bool:
        """Whether every hospital is connected.

        Raises:
            RuntimeError: all is to end.
        """
        if self.over:
            raise RuntimeError(f"{self.folder} was given up")
        return all(summary(self.folder / site)["state"] == "connected" for site in self.sites)

    def orphans(self) -> list[int]:
        """Return the ids of our processes that no service looks after."""
        return orphans(self.folder, {service.pid for service in self.services.values()})

    def closed(self) -> int:
        """Return how many rounds of the present run have closed."""
        path = self.run_folder / "rounds.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return sum('"closed":true' in line for line in lines)

    def forget(self) -> None:
        """Have hospitals forget the masked sessions of the run before; ledgers stay.

        For them a masked study is run once: a round whose sum is known is never summed again.
        """
        for site in self.sites:
            (self.folder / site / "state" / f"masking-{self.study[:16]}").unlink(missing_ok=True)

    def put_away(self, name: str) -> Path:
        """Move the run's folder to one of its own, so that the next begins anew; return it."""
        kept = self.folder / "kept" / name
        kept.parent.mkdir(exist_ok=True)
        if self.run_folder.exists():
            shutil.move(self.run_folder, kept)
        return kept

    def stop(self) -> None:
        """End all processes."""
        for service in reversed(self.services.values()):
            end(service)
        self.services.clear()
        end_leftovers(self.folder)

    def give_up(self) -> None:
        """End all processes, and let nobody start one."""
        self.over = True
        end_leftovers(self.folder)

    def close(self) -> None:
        """End all processes, lines, networks and disks."""
        self.stop()
        for line in self.lines.values():
            line.close()
        for network in self.networks.values():
            network.close()
        for disk in self.disks.values():
            disk.close()
