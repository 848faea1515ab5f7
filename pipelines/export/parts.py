"""The Parquet files of one part of a stage: one for each split that has rows in it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.export.columns import Columns, num_bytes, schema, table
from shards.manifest import FileEntry, atomic_open

GROUP_BYTES = 16 * 2**20
"""Of rows that are held in memory and written together: readers fetch single groups."""

GROUP_ROWS = 1_000


def write_part(
    folder: Path, name: str, numbers: Counter[str], columns: Columns, rows: Iterable[tuple[str, dict[str, Any]]]
) -> Iterator[FileEntry]:
    """Writes `NAME/SPLIT-NUMBER.parquet` below `folder` for each split; yields them, in order of split.

    Args:
        folder: of the export.
        name: of the configuration.
        numbers: files that each split has so far; counted on.
        columns: of the rows.
        rows: with the split of each.
    """
    files: dict[str, _File] = {}
    with ExitStack() as opened:
        for split, row in rows:
            if split not in files:
                path = f"{name}/{split}-{numbers[split]:05d}.parquet"
                files[split] = _File(path, opened.enter_context(atomic_open(folder / path)), columns)
            files[split].add(row)
        for file in files.values():
            file.close()
    numbers.update(files.keys())
    yield from (files[split].entry for split in sorted(files))


class _File:
    """A file in the making; `entry` is there when it is closed."""

    entry: FileEntry

    def __init__(self, path: str, file: BinaryIO, columns: Columns) -> None:
        self._path, self._file, self._columns = path, file, columns
        plain = [name for name, column in columns.items() if column.arrow == pa.string()]
        self._writer = pq.ParquetWriter(file, schema(columns), compression="zstd", use_dictionary=plain)
        self._rows: list[dict[str, Any]] = []
        self._held = self._num_rows = 0

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self._held += num_bytes(row)
        if self._held >= GROUP_BYTES or len(self._rows) >= GROUP_ROWS:
            self._write()

    def close(self) -> None:
        self._write()
        self._writer.close()
        self._file.flush()
        num_bytes_ = self._file.tell()
        self._file.seek(0)
        digest = hashlib.file_digest(cast(BufferedReader, self._file), "sha256").hexdigest()
        self.entry = FileEntry(self._path, num_bytes_, digest, self._num_rows)

    def _write(self) -> None:
        if self._rows:
            self._writer.write_table(table(self._rows, self._columns), row_group_size=len(self._rows))
            self._num_rows += len(self._rows)
            self._rows, self._held = [], 0
