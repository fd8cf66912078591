import os
import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from client.sources.scratch import confine, scratch


def test_a_place_is_private_lies_in_the_state_and_goes(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with scratch(tmp_path) as place:
        assert place.parent == tmp_path / "state"
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        (place / "patients").write_text("x")
    assert not list((tmp_path / "state").iterdir())


def test_without_a_state_nothing_is_written_to_the_folder(tmp_path: Path) -> None:
    with scratch(tmp_path) as place:
        assert tmp_path not in place.parents


def test_what_a_killed_process_left_is_removed_and_a_running_ones_stays(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    script = (
        "import pathlib, sys; from client.sources.scratch import scratch\n"
        f"with scratch(pathlib.Path({str(tmp_path)!r})) as place:\n"
        "    (place / 'patients').write_text('x'); print(place, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().strip())
        os.utime(left, (0, 0))  # made long ago
        with scratch(tmp_path):
            assert left.exists()
        other.kill()
        other.wait()
        with scratch(tmp_path):
            assert not left.exists()
    fresh = tmp_path / "state" / "reading-fresh"
    fresh.mkdir()
    with scratch(tmp_path):
        assert fresh.exists()


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM read_csv('/etc/passwd')", "COPY (SELECT 1) TO '/tmp/x'", "INSTALL httpfs"],
)
def test_a_confined_connection_reaches_nothing_else(statement: str, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        confine(connection, tmp_path, files=False)
        with pytest.raises(duckdb.Error):
            connection.execute(statement)
        with pytest.raises(duckdb.Error):
            connection.execute("SET enable_external_access = true")
