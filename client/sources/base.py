"""What every source of patients offers: names of columns, and rows in chunks of bounded size."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import pandas as pd

CHUNK_ROWS = 50_000


class LocalColumn(NamedTuple):
    """A column as the hospital has it. unit: "" where the source does not say."""

    name: str
    unit: str = ""


class Source(Protocol):
    """A hospital's patients, read-only, one row a patient.

    A reading never quotes an entry in an error, and never holds more than a chunk.
    """

    @property
    def where(self) -> str:
        """The place, for errors: a path or a URL without password."""
        ...

    def columns(self) -> list[LocalColumn]:
        """Return the columns that there are.

        Raises:
            TableError: the source cannot be read.
        """
        ...

    def chunks(self, columns: Sequence[str], *, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Yield the rows in these columns, in an order that is the same every time.

        Raises:
            TableError: the source cannot be read to its end, or lacks a column.
        """
        ...
