"""What a story is made of: facts, and the rows of a stage's tables that hold them."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Row = dict[str, Any]


class Fact(NamedTuple):
    """One line of a story: what it is about, and what there is to say."""

    about: str
    said: str


def find_rows(folder: Path, prefix: str, column: str, value: str) -> Iterator[Row]:
    """The rows of a stage's tables that have a value in a column; only that column is read of the others."""
    for path in sorted(folder.glob(f"{prefix}*.parquet")):
        if pc.any(pc.equal(_column(path, column), value)).as_py():
            table = _table(path)
            yield from table.filter(pc.equal(table[column], value)).to_pylist()


@lru_cache(maxsize=8)
def _table(path: Path) -> pa.Table:
    return pq.read_table(path)


@lru_cache(maxsize=64)
def _column(path: Path, column: str) -> pa.ChunkedArray:
    """A column of a table; a committed table never changes."""
    return pq.read_table(path, columns=[column])[column]
