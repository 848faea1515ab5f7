"""One shard: its bytes mapped into memory, found through its index, checked by CRC-32C."""

import errno
import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from shards.index import Index, IndexFileError, decode_index
from shards.manifest import FileEntry, Manifest
from shards.npy import npy_header
from shards.promise import Promise
from shards.store import DatasetError, Store
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX

logger = logging.getLogger(__name__)


class DamageError(DatasetError):
    """A sample, or a whole shard, is not what was committed."""


@dataclass(frozen=True)
class ShardFiles:
    """The two files of one shard, as the manifest lists them."""

    tar: FileEntry
    index: FileEntry


def list_shards(where: str, manifest: Manifest, split: str) -> tuple[ShardFiles, ...]:
    """Return a split's shards in the order of their names.

    Raises:
        DatasetError: The split is not there, or the manifest lists a shard without its index.
    """
    entries = {entry.path: entry for entry in manifest.files}
    name = re.compile(re.escape(split) + r"-\d{6}" + re.escape(TAR_SUFFIX))
    tars = sorted(path for path in entries if name.fullmatch(path))
    if not sum(entries[path].records for path in tars):
        found = ", ".join(sorted(split for split, count in manifest.splits.items() if count)) or "no split at all"
        raise DatasetError(f"{where} has no samples in the split {split!r}: it has {found}")
    try:
        return tuple(ShardFiles(entries[path], entries[path.removesuffix(TAR_SUFFIX) + INDEX_SUFFIX]) for path in tars)
    except KeyError as error:
        raise DatasetError(f"{where}: the manifest lists no index {error}: build it again") from error


class Shard:
    """One shard, mapped into memory.

    Args:
        store: Of the dataset.
        files: The shard's.
        is_tolerant: Whether it is read as far as it goes, for a reader that replaces what is damaged.
        row: The only sample that is wanted of it; all if None.
        promise: What its samples must be; not looked at if None.

    Attributes:
        index: Where its members stand.
        view: Its bytes.
        is_renewed: Whether it was opened after its files in a disk cache were seen to be whole.

    Raises:
        DamageError: A file is missing, is not the one that the manifest lists, or, unless tolerated, has other samples.
        DatasetError: A file cannot be read.
    """

    def __init__(
        self,
        store: Store,
        files: ShardFiles,
        is_tolerant: bool = False,
        row: int | None = None,
        promise: Promise | None = None,
    ) -> None:
        self.path = f"{store.where}/{files.tar.path}"
        with _reading(store):
            self.index = _read_index(store, files, is_tolerant)
            if row is None:
                self.view = store.map(files.tar)
                if len(self.view) != files.tar.bytes and not is_tolerant:
                    told = f"{self.path} has {len(self.view)} bytes, the manifest says {files.tar.bytes}"
                    raise DamageError(f"{told}: {_mend(store)}")
            else:
                start, end = int(self.index.offsets[row, 0]), int(self.index.offsets[row, -1])
                self.view = store.slice(files.tar, start, end + int(self.index.lengths[row, -1]) - start)
                self.index = replace(self.index, offsets=self.index.offsets - start)
        self._columns = {extension: column for column, extension in enumerate(self.index.extensions)}
        self._lost: NDArray[np.bool_] = np.arange(max(files.tar.records, len(self.index))) >= len(self.index)
        if promise is not None:
            self._refuse_foreign(promise, range(len(self.index)) if row is None else (row,))
            for is_broken, how in self._breaches(promise, is_all=row is None):
                if is_broken.any() and (is_broken.all() or not is_tolerant):
                    key = self.index.keys[int(np.argmax(is_broken))].decode()
                    raise DamageError(f"{self.path}: sample {key} is damaged: {how}")
                self._lost[: len(is_broken)] |= is_broken
        self._has_lost = bool(self._lost.any())
        self.is_renewed = False

    def _refuse_foreign(self, promise: Promise, rows: Iterable[int]) -> None:
        """Check by one array of each kind and one record that the samples are those that the manifest's spec promises.

        They stand for all of the shard: what else has their length was written with them.

        Raises:
            DamageError: They are others.
        """
        for extension in promise.extensions:
            self.column(extension)
        for extension in (*promise.arrays, promise.extensions[-1]):
            content = next((self.read(row, extension) for row in rows if self.is_whole(row, (extension,))), None)
            if content is not None and (told := promise.breach(extension, content)):
                raise DamageError(f"{self.path}: {told}")

    def _breaches(self, promise: Promise, is_all: bool) -> Iterator[tuple[NDArray[np.bool_], str]]:
        """Yield which samples, bool `(N,)`, are none that the spec promises or not within the tar, and how."""
        yield from promise.breaches(self.index)
        if is_all:
            offsets, lengths = self.index.offsets, self.index.lengths
            is_outside = (offsets < 0) | (lengths < 0) | (offsets > len(self.view) - lengths)
            yield np.logical_or.reduce(is_outside, axis=1), "it does not lie within the tar"

    def column(self, extension: str) -> int:
        """Return a member's place in a sample.

        Raises:
            DamageError: The shard's samples have no such member.
        """
        try:
            return self._columns[extension]
        except KeyError as error:
            have = ", ".join(self.index.extensions)
            raise DamageError(f"{self.path}: its samples have {have}, but no {extension}") from error

    def refuse_lost(self, rows: NDArray[np.int64]) -> None:
        """Check that samples are there.

        Raises:
            DamageError: One is in the manifest's count only, or none that its spec promises.
        """
        if self._has_lost and (lost := rows[self._lost[rows]]).size:
            raise DamageError(f"{self.path}: sample number {lost[0]} is not there, or not what the manifest promises")

    def member(self, row: int, extension: str) -> memoryview:
        """Return one member of one sample, as it is mapped.

        Raises:
            DamageError: The member is missing or damaged.
        """
        column = self.column(extension)
        offset, length = int(self.index.offsets[row, column]), int(self.index.lengths[row, column])
        member = self.view[offset : offset + length]
        if crc32c(member) != self.index.crcs[row, column]:
            raise self.damage(row, extension)
        return member

    def read(self, row: int, extension: str) -> bytes:
        """Return one member of one sample; errors as `member`."""
        return bytes(self.member(row, extension))

    def array(self, row: int, extension: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return one array member of one sample, of this type string and shape.

        Raises:
            DamageError: The member is missing, damaged, or of another type or shape.
        """
        header, member = npy_header(dtype, shape), self.member(row, extension)
        array = np.empty(shape, dtype)
        if member[: len(header)] != header or len(member) != len(header) + array.nbytes:
            raise self.damage(row, extension, f"is no array of {dtype} {shape}")
        array.reshape(-1).view(np.uint8).data[:] = member[len(header) :]
        return array

    def is_whole(self, row: int, extensions: Iterable[str]) -> bool:
        """Return whether a sample is there and these members of it are what was committed."""
        if self._lost[row]:
            return False
        try:
            return all(self.member(row, extension) is not None for extension in extensions)
        except DamageError:
            return False

    def damage(self, row: int, extension: str, how: str = "has another CRC-32C than its index says") -> DamageError:
        """Return the error that a damaged member is."""
        key = self.index.keys[row].decode()
        return DamageError(f"{self.path}: sample {key} is damaged: {extension} {how}")


@contextmanager
def _reading(store: Store) -> Iterator[None]:
    """Tell what is damaged from what cannot be read."""
    try:
        yield
    except (FileNotFoundError, IndexFileError) as error:
        told = f"{error.filename or error} is missing" if isinstance(error, FileNotFoundError) else error
        raise DamageError(f"{told}: {_mend(store)}") from error
    except OSError as error:
        kind = DamageError if error.errno == errno.EIO else DatasetError
        raise kind(f"{store.where}: a shard cannot be read ({error})") from error


def _mend(store: Store) -> str:
    return f"copy the dataset again, or remove {store.where} and build it again"


def _read_index(store: Store, files: ShardFiles, is_tolerant: bool) -> Index:
    entry = files.index
    path, data = f"{store.where}/{entry.path}", store.map(entry)
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise IndexFileError(f"{path} is damaged: its SHA-256 is not the manifest's")
    try:
        index = decode_index(data)
    except IndexFileError as error:
        raise IndexFileError(f"{path}: {error}") from error
    for told in sorted({entry.records, files.tar.records} - {len(index)}):
        if not is_tolerant:
            raise IndexFileError(f"{path} has {len(index)} samples, the manifest says {told}")
        logger.warning("%s has %d samples, the manifest says %d", path, len(index), told)
    return index
