"""The systemd units: well-formed, and as closed as docs/node-service.md says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UNITS = ("wardround-node@.service", "wardround-supernode@.service")


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit as installed here: its command is one that exists."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    name = str(request.param).replace("@", "@st-mary")
    for each in UNITS:
        text = (ROOT / "docker" / each).read_text()
        command = str(Path(sys.executable).parent / "wardround")
        text = text.replace("/opt/wardround/bin/wardround", command)
        (tmp_path / each).write_text(text)
    (tmp_path / name).write_text((tmp_path / request.param).read_text())
    return tmp_path / name


def analyze(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_nothing_wrong(unit: Path) -> None:
    said = analyze("verify", "--man=no", str(unit))
    assert unit.name not in said


def test_the_exposure_stays_below_two_of_ten(unit: Path) -> None:
    said = analyze("security", "--offline=true", "--threshold=20", str(unit))
    (score,) = re.findall(r"exposure level for .*: ([0-9.]+)", said)
    print(unit.name, score)
    assert float(score) <= 2.0


def test_the_sides_are_kept_apart() -> None:
    patients, network = ((ROOT / "docker" / name).read_text() for name in UNITS)
    assert "IPAddressDeny=any" in patients
    assert "--only executor" in patients
    assert "--only supernode" in network
    assert "InaccessiblePaths=" in network
    assert "TemporaryFileSystem=/var/lib/wardround/%i/state" in network
