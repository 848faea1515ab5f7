"""Parquet tables: written whole or not at all, read by reference."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.copies import open_file
from pipelines.fates import Reject
from shards.manifest import FileEntry, atomic_write
from shards.object_path import AnyPath, ObjectPath, any_path

REJECT_SCHEMA: pa.Schema = pa.schema([pa.field(name, pa.string(), nullable=False) for name in Reject._fields])

ROWS_AT_A_TIME = 256
"""Of a table whose rows are taken one by one."""


BATCH_ROWS = 5_000
"""Rows of tables that are worked on together in memory."""


def write_file(folder: AnyPath, name: str, data: bytes, records: int) -> FileEntry:
    """Writes `folder/name` whole or not at all; `records` is how many rows or samples it holds."""
    atomic_write(folder / name, data)
    return FileEntry(name, len(data), hashlib.sha256(data).hexdigest(), records)


def write_table(folder: AnyPath, name: str, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> FileEntry:
    """Writes `rows` as `folder/name`, under a temporary name until it is whole."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), sink, compression="zstd")
    return write_file(folder, name, sink.getvalue(), records=len(rows))


def write_rejects(folder: AnyPath, name: str, rejects: Iterable[Reject]) -> tuple[FileEntry, ...]:
    """Writes `rejects` in order of key as `rejects-NAME.parquet`; no file where there are none."""
    rows = [reject._asdict() for reject in sorted(rejects)]
    return (write_table(folder, f"rejects-{name}.parquet", rows, REJECT_SCHEMA),) if rows else ()


@contextmanager
def opened_table(path: str | AnyPath) -> Iterator[pq.ParquetFile]:
    """Yields the finished table at `path`, wherever it lies."""
    with ExitStack() as opened:
        place = any_path(path)
        source = opened.enter_context(open_file(place, is_final=True)) if isinstance(place, ObjectPath) else place
        yield opened.enter_context(pq.ParquetFile(source))


def read_table(path: str | AnyPath, columns: tuple[str, ...] | None = None) -> pa.Table:
    """The table at `path`, or some of its columns; unlike `pq.read_table`, it need not load pyarrow's data sets."""
    with opened_table(path) as file:
        return file.read() if columns is None else file.read(columns=list(columns)).select(columns)


def read_rows(path: str | AnyPath, columns: tuple[str, ...] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of the table at `path`, or some of their columns, a few rows in memory at a time."""
    with opened_table(path) as table:
        for batch in table.iter_batches(ROWS_AT_A_TIME, columns=None if columns is None else list(columns)):
            yield from batch.to_pylist()


def in_batches(folder: AnyPath, names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The names of tables, as many together as have `BATCH_ROWS` rows, or one that has more."""
    batch: list[str] = []
    num_rows = 0
    for name in names:
        with opened_table(folder / name) as table:
            rows = table.metadata.num_rows
        if batch and num_rows + rows > BATCH_ROWS:
            yield tuple(batch)
            batch, num_rows = [], 0
        batch.append(name)
        num_rows += rows
    if batch:
        yield tuple(batch)


def rows_at(folder: AnyPath, refs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
    """The rows that are referred to as (table, row), by reference; each table is looked into once for all of them."""
    wanted: defaultdict[str, list[int]] = defaultdict(list)
    for table, row in refs:
        wanted[table].append(row)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for table, rows in wanted.items():
        values = _kept_table(f"{folder}/{table}").take(pa.array(rows, pa.int64())).to_pylist()
        found.update(zip(((table, row) for row in rows), values, strict=True))
    return found


@lru_cache(maxsize=64)
def _kept_table(path: str) -> pa.Table:
    return read_table(path)
