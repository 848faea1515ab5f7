"""What a story is made of: facts, and the rows of a stage's tables that hold them."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.tables import read_table
from shards.object_path import AnyPath

Row = dict[str, Any]


class Fact(NamedTuple):
    """One line of a story: what it is about, and what there is to say."""

    about: str
    said: str


def find_rows(folder: AnyPath, prefix: str, column: str, value: str) -> Iterator[Row]:
    """The rows of a stage's tables that have a value in a column; only that column is read of the others."""
    paths: list[AnyPath] = sorted(folder.glob(f"{prefix}*.parquet"))
    for path in paths:
        if pc.any(pc.equal(_column(path, column), value)).as_py():
            table = _table(path)
            yield from table.filter(pc.equal(table[column], value)).to_pylist()


@lru_cache(maxsize=8)
def _table(path: AnyPath) -> pa.Table:
    return read_table(path)


@lru_cache(maxsize=64)
def _column(path: AnyPath, column: str) -> pa.ChunkedArray:
    """A column of a table; a committed table never changes."""
    return read_table(path, (column,))[column]
