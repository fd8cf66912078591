"""What no fault from outside can reach: the clock of one party, and the life of its certificate.

Python imports a `sitecustomize` from its path at every start. A shim is a folder with one, beside
links to this checkout's packages; a service that is started from there gives it to all its
children. The code under test is the same, and no part of it knows of shims.
"""

import shutil
import subprocess
from pathlib import Path

from simulation.processes import ROOT

PACKAGES = ("client", "common", "server", "simulation", "pyproject.toml", "constraints.txt")
LIFE_S, LEFT_S = 60.0, 30.0
"""A short-lived certificate's life, and what is left of it when it is renewed."""

_CLOCK = '''"""Start this interpreter again with a wall clock that differs by what a file says."""

import os
import sys

told = {"LD_PRELOAD": "%(folder)s/clock.so", "CHAOS_OFFSET": "%(folder)s/offset"}
if os.environ.get("LD_PRELOAD") != told["LD_PRELOAD"]:
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | told)
'''
_SHORT = '''"""Have server certificates live for seconds, and be looked after each second."""

import sys

if {"start", "edge"} & set(sys.orig_argv):
    import common.certificates
    import server.coordinator.folder as folder
    import server.coordinator.serving as serving

    common.certificates.SERVER_DAYS = %(life)r / 86400
    within = 1e9 if "start" in sys.orig_argv else %(left)r / 86400  # a first one at once
    folder.renew_certificates.__kwdefaults__["within_days"] = within
    serving.RENEW_S = 1.0
'''


def clock_shim(folder: Path) -> Path | None:
    """Make a shim under whose clock a service can be put, or return None: there is no C compiler.

    `set_clock` makes it jump.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    _make(folder, _CLOCK % {"folder": folder})
    set_clock(folder, 0.0)
    source = Path(__file__).parent / "clock.c"
    words = (compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / "clock.so"), str(source))
    subprocess.run(words, check=True, capture_output=True)  # noqa: S603 (the system's compiler)
    return folder


def set_clock(shim: Path, offset: float) -> None:
    """Have the clocks below a shim differ from the machine's by so many whole seconds."""
    new = shim / "offset.new"
    new.write_text(f"{offset:+.0f}\n")
    new.replace(shim / "offset")


def short_lived_shim(folder: Path) -> Path:
    """Make a shim under which a coordinator's certificates live for `LIFE_S`."""
    _make(folder, _SHORT % {"life": LIFE_S, "left": LEFT_S})
    return folder


def _make(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PACKAGES:
        link = folder / name
        if not link.exists():
            link.symlink_to(ROOT / name)
    (folder / "sitecustomize.py").write_text(text)
