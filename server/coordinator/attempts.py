"""The records of attempts at rounds, read while a run appends to them."""

import json
from collections.abc import Iterator
from pathlib import Path

from server.state import RECORDS_FILE


def attempts(run: Path, start: int = 0) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the records in a run's folder from a byte of their file on, each with its end."""
    path = run / RECORDS_FILE
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            start += len(line)
            yield start, json.loads(line)
