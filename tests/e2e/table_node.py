"""A node as `wardround node start` runs it, with a wiring and a patience of the test's."""

import sys
from pathlib import Path

from client.executor.place import PARTS, open_place
from client.executor.service import serve
from common.errors import WardroundError

if __name__ == "__main__":
    folder, wiring, patience_s, *parts = sys.argv[1:]
    try:
        serve(
            open_place(Path(folder)),
            tuple(parts) or PARTS,
            wiring=wiring,
            patience_s=float(patience_s),
        )
    except WardroundError as error:
        sys.exit(f"wardround: {error}")
