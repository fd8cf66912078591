"""Shims: what a program below one sees, and its children with it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulation.chaos.shims import LIFE_S, clock_shim, set_clock, short_lived_shim
from simulation.processes import environment

CLOCKS = """
import subprocess, sys, time
own = f"{time.time():.0f} {time.monotonic():.0f}"
kept = {"PYTHONPATH": sys.argv[1]}  # as our services give to their children, and no more
ask = "import time; print(f'{time.time():.0f} {time.monotonic():.0f}')"
print(own, subprocess.check_output([sys.executable, "-c", ask], env=kept, text=True))
"""
CERTIFICATE = """
import sys
sys.orig_argv.append("start")
import sitecustomize
from datetime import UTC, datetime
from pathlib import Path
from common.certificates import days_left
from server.coordinator.folder import init_folder
folder = init_folder(Path(sys.argv[1]), "wards", ["127.0.0.1"], port=1, now=datetime.now(UTC))
print(days_left(folder.server_certificate.read_bytes(), now=datetime.now(UTC)) * 86400)
"""


def said(shim: Path, text: str, *words: str) -> list[float]:
    done = subprocess.check_output(
        [sys.executable, "-c", text, *words], env=environment(shim, shim), text=True
    )
    return [float(word) for word in done.split()]


def test_a_clock_jumps_for_a_process_and_its_children_and_the_monotonic_one_does_not(
    tmp_path: Path,
) -> None:
    shim = clock_shim(tmp_path / "shim")
    if shim is None:
        pytest.skip("there is no C compiler")
    here = (time.time(), time.monotonic())
    set_clock(shim, -3600)
    own_wall, own_steady, child_wall, child_steady = said(shim, CLOCKS, str(shim))
    for wall, steady in ((own_wall, own_steady), (child_wall, child_steady)):
        assert wall - here[0] == pytest.approx(-3600, abs=60)
        assert steady - here[1] == pytest.approx(0, abs=60)


def test_a_short_lived_certificate_is_one_and_the_code_is_this_checkouts(tmp_path: Path) -> None:
    shim = short_lived_shim(tmp_path / "shim")
    (left,) = said(shim, CERTIFICATE.replace("import sitecustomize", ""), str(tmp_path / "c"))
    assert left > LIFE_S * 1000  # no service, no shim
    text = CERTIFICATE.replace("import sitecustomize", "import importlib, sitecustomize\n"
                               "importlib.reload(sitecustomize)")  # fmt: skip
    (left,) = said(shim, text, str(tmp_path / "d"))
    assert 0 < left <= LIFE_S
