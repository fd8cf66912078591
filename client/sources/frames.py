"""Arrow's batches as chunks of rows in pandas' types that keep an entry as it is."""

from collections.abc import Generator, Iterable
from typing import Any

import pandas as pd
import pyarrow as pa

_NULLABLE: dict[Any, Any] = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
"""Else a missing entry would turn a chunk's whole numbers into 7.0, another patient than 7."""


def frames(batches: Iterable[pa.RecordBatch], rows: int) -> Generator[pd.DataFrame, None, None]:
    """Yield all rows of the batches in frames of so many rows; the last may have fewer."""
    held: list[pa.RecordBatch] = []
    count = 0
    for whole in batches:
        batch = whole
        while batch.num_rows:
            head = batch.slice(0, rows - count)
            held.append(head)
            count += head.num_rows
            batch = batch.slice(head.num_rows)
            if count == rows:
                yield _frame(held)
                held, count = [], 0
    if held:
        yield _frame(held)


def _frame(batches: list[pa.RecordBatch]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.Table.from_batches(batches).to_pandas(types_mapper=_NULLABLE.get)
    return frame
