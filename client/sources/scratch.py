"""DuckDB's place to work in: bounded memory, and a folder of its own for what does not fit."""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from client.site_file import STATE

MEMORY = "1GB"
_PREFIX, _LOCK = "reading-", "lock"
_NEW = 60.0  # seconds


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Make a folder of mode 0700 that is removed in the end.

    It lies in the node's state, which nobody else may enter, or without one among the system's
    temporary files. What a killed process left behind in the state is removed first.
    """
    state = folder / STATE
    place = state if state.is_dir() else None
    for left in state.glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX, dir=place) as name,
        (Path(name) / _LOCK).open("w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the process ends, however it does
        yield Path(name)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose lock nobody holds; one just made may not have taken it yet."""
    try:
        if time.time() - folder.stat().st_mtime < _NEW:
            return
        with (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
    except OSError:  # somebody is reading, or has removed it meanwhile
        return


def confine(
    connection: duckdb.DuckDBPyConnection, spill: Path, *, files: bool
) -> duckdb.DuckDBPyConnection:
    """Return a connection of bounded memory. files: whether it may open others; a query may not.

    What does not fit spills to a file in `spill`, in the clear: DuckDB 2.0 encrypts such files only
    with an extension that it would have to fetch. No extension is fetched, and no variable of this
    program can be read as a table.
    """
    settings = {
        "memory_limit": MEMORY,
        "temp_directory": str(spill),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "enable_progress_bar": False,
    }
    for name, value in settings.items():
        connection.execute(f"SET {name} = ?", [value])
    if not files:
        connection.execute("SET enable_external_access = false")
    return connection
