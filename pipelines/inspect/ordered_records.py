"""What a version of a stage kept, one record after the other, in the order of the keys' hashes.

Tables and datasets alike lie in that order, so that two versions can be gone through side by side.
"""

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import StageError
from pipelines.folders import is_committed
from shards.index import IndexFileError, decode_index
from shards.manifest import Manifest, read_manifest
from shards.writer import INDEX_SUFFIX, split_of

TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "images": ("images-", ("key", "split", "url")),
    "score": ("scores-", ("key", "url")),
    "text": ("documents-", ("key", "split", "url")),
}
"""The tables of what a stage kept, and what is read of them; triplets and windows have indexes."""

ROWS_AT_A_TIME = 10_000


class Record(NamedTuple):
    """What a stage kept, by the hash that orders it; "" where a split or a URL is not told."""

    order: bytes
    key: str
    split: str
    url: str


@dataclass(frozen=True)
class Version:
    """One version of a stage.

    Attributes:
        folder: where it lies.
        manifest: what it holds.
    """

    folder: Path
    manifest: Manifest

    def source(self, stage: str) -> "Version | None":
        """The version of a stage that this one was made from, directly or not, or itself; None where it is gone."""
        if stage == self.manifest.stage:
            return self
        for entry in self.manifest.inputs:
            folder = self.folder.parents[1] / entry.stage / entry.fingerprint
            if entry.stage != self.manifest.stage and is_committed(folder):
                found = Version(folder, read_manifest(folder)).source(stage)
                if found is not None:
                    return found
        return None

    def tables(self, prefix: str) -> list[Path]:
        """Its tables whose names begin so."""
        names = (file.path for file in self.manifest.files)
        return [self.folder / name for name in sorted(names) if name.startswith(prefix) and name.endswith(".parquet")]


def records(version: Version) -> Iterator[Record]:
    """What a version of a stage kept, in the order of the keys' hashes.

    Raises:
        StageError: a table or an index cannot be read, or is not in order.
    """
    last = b""
    for record in _of_tables(version) if version.manifest.stage in TABLES else _of_indexes(version):
        if record.order <= last:
            told = "is not where its hash belongs, or is there twice"
            raise StageError(f"{version.folder}: {record.key} {told}; remove that folder and build again")
        last = record.order
        yield record


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of a table, a few thousand rows at a time.

    Raises:
        StageError: it cannot be read, or has no such columns.
    """
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(ROWS_AT_A_TIME, columns=list(columns)):
                yield batch.select(list(columns))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise StageError(f"{path} cannot be read ({_said(error)}); remove its folder and build again") from error


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _of_tables(version: Version) -> Iterator[Record]:
    prefix, columns = TABLES[version.manifest.stage]
    for path in version.tables(prefix):
        for batch in read_batches(path, columns):
            known = batch.to_pydict()
            splits = known.get("split") or [""] * len(batch)
            for key, split, url in zip(known["key"], splits, known["url"], strict=True):
                yield Record(_order(key), key, split, url)


def _of_indexes(version: Version) -> Iterator[Record]:
    names = sorted(file.path for file in version.manifest.files if file.path.endswith(INDEX_SUFFIX))
    splits: dict[str, list[str]] = {}
    for name in names:
        splits.setdefault(split_of(name), []).append(name)
    yield from heapq.merge(*(_of_split(version.folder, split, some) for split, some in splits.items()))


def _of_split(folder: Path, split: str, names: Sequence[str]) -> Iterator[Record]:
    for name in names:
        try:
            keys = decode_index((folder / name).read_bytes()).keys
        except (OSError, IndexFileError) as error:
            raise StageError(f"{folder / name} cannot be read ({_said(error)}); build it again") from error
        for key in keys.tolist():
            yield Record(hashlib.sha256(key).digest(), key.decode(), split, "")


def _order(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
