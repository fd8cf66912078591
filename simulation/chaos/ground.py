"""What only root may do to a machine, and only to its own: network namespaces, small disks.

Where it is not permitted, other means stand in (simulation/chaos/faults.py) or the case is missed.
"""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

DISK_MB = {"coordinator": 96, "state": 48}
LOST_PERCENT = 30


def may_use_namespaces() -> bool:
    """Return whether network namespaces can be made here."""
    if os.geteuid() or not (shutil.which("ip") and shutil.which("nft")):
        return False
    name = f"chaos-{os.getpid()}-probe"
    made = _try("ip", "netns", "add", name)
    return made and _try("ip", "netns", "del", name)


class Network:
    """A hospital's own network namespace, with one wire to the coordinator's side.

    number: of the network, below 16384, of its own on this machine. `address` is the coordinator's
    end of the wire; words of a command behind `inside` run at the hospital.
    """

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.inside = ("ip", "netns", "exec", name)
        block = f"10.{192 + number // 4096}.{number // 64 % 64}"
        self.address, own = (f"{block}.{4 * (number % 64) + i}" for i in (1, 2))
        here, there = f"ch{number}a", f"ch{number}b"
        _do("ip", "netns", "add", name)
        _do("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        _do("ip", "addr", "add", f"{self.address}/30", "dev", here)
        _do("ip", "link", "set", here, "up")
        for words in (("addr", "add", f"{own}/30", "dev", there), ("link", "set", there, "up"),
                      ("link", "set", "lo", "up")):  # fmt: skip
            _do(*self.inside, "ip", *words)

    def lose(self, percent: int) -> None:
        """Throw so many of a hundred packets away, both ways, until `mend`."""
        some = "" if percent >= 100 else f"numgen random mod 100 < {percent} "
        rule = f'iifname != "lo" oifname != "lo" {some}drop'
        chains = "".join(
            f"chain {hook} {{ type filter hook {hook} priority 0; {_one_way(rule, hook)}; }}\n"
            for hook in ("input", "output")
        )
        self.mend()
        _do(*self.inside, "nft", f"table inet chaos {{\n{chains}}}")

    def mend(self) -> None:
        """Let everything through."""
        _try(*self.inside, "nft", "delete", "table", "inet", "chaos")

    def close(self) -> None:
        """Remove it, and the wire with it."""
        _try("ip", "netns", "del", self.name)


def _one_way(rule: str, hook: str) -> str:
    """Return the rule with the name of the interface that the hook knows."""
    unknown = 'oifname != "lo" ' if hook == "input" else 'iifname != "lo" '
    return rule.replace(unknown, "")


class Disk:
    """A small disk of its own (tmpfs) in place of a folder, which must be empty."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._folder, self._ballast = folder, folder / ".ballast"
        _do("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(folder))

    def fill(self) -> None:
        """Use up all that is left of it; until `empty`."""
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            for size in (2**20, 2**12):
                with suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def empty(self) -> None:
        """Give back what was used up."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Take it away; what is in it is lost."""
        _try("umount", "-l", str(self._folder))


def _do(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)  # noqa: S603 (fixed programs)


def _try(*words: str) -> bool:
    return subprocess.run(words, check=False, capture_output=True).returncode == 0  # noqa: S603
