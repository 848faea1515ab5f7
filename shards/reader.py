"""The bytes of a dataset's shards: memory maps, found through the index, checked by CRC-32C."""

import errno
import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from shards.buffers import Buffers
from shards.index import Index, IndexFileError, decode_index
from shards.manifest import FileEntry, Manifest
from shards.npy import npy_header
from shards.store import DatasetError, Store
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX

MAX_OPEN_SHARDS = 64


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
    if not tars:
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
        is_tolerant: Whether a tar of another length is read as far as it goes.
        row: The only sample that is wanted of it; all if None.

    Raises:
        DamageError: A file is missing, or is not the one that the manifest lists.
        DatasetError: A file cannot be read.
    """

    def __init__(self, store: Store, files: ShardFiles, is_tolerant: bool = False, row: int | None = None) -> None:
        self.path = f"{store.where}/{files.tar.path}"
        with _reading(store):
            self.index = _read_index(store, files.index)
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

    def column(self, extension: str) -> int:
        """Return a member's place in a sample.

        Raises:
            DatasetError: The shard's samples have no such member.
        """
        try:
            return self._columns[extension]
        except KeyError as error:
            have = ", ".join(self.index.extensions)
            raise DatasetError(f"{self.path}: its samples have {have}, but no {extension}") from error

    def member(self, row: int, extension: str) -> memoryview:
        """Return one member of one sample, as it is mapped.

        Raises:
            DatasetError: The member is missing or damaged.
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
            DatasetError: The member is missing, damaged, or of another type or shape.
        """
        header, member = npy_header(dtype, shape), self.member(row, extension)
        array = np.empty(shape, dtype)
        if member[: len(header)] != header or len(member) != len(header) + array.nbytes:
            raise self.another_layout(extension, header)
        array.reshape(-1).view(np.uint8).data[:] = member[len(header) :]
        return array

    def is_whole(self, row: int, extensions: Iterable[str]) -> bool:
        """Return whether these members of a sample are what was committed."""
        try:
            return all(self.read(row, extension) is not None for extension in extensions)
        except DamageError:
            return False

    def another_layout(self, extension: str, header: bytes) -> DatasetError:
        """Return the error that a member with another `.npy` header than the promised one is."""
        promised = header[10:].decode("latin-1").strip()
        return DatasetError(f"{self.path}: {extension} is not what the manifest's spec promises, {promised}")

    def damage(self, row: int, extension: str) -> DamageError:
        """Return the error that a damaged member is."""
        key = self.index.keys[row].decode()
        return DamageError(f"{self.path}: sample {key} is damaged: {extension} has another CRC-32C than its index says")


class Shards:
    """The shards of a split, opened when they are asked for; at most `max_open` stay open. Threads may share it.

    Args:
        store: Of the dataset.
        files: The shards', in their order.
        is_tolerant: Whether a tar of another length is read as far as it goes.
    """

    def __init__(self, store: Store, files: Sequence[ShardFiles], is_tolerant: bool = False) -> None:
        self.store = store
        self.files = tuple(files)
        self.is_tolerant = is_tolerant
        self.max_open = MAX_OPEN_SHARDS
        self._open: OrderedDict[int, Shard] = OrderedDict()
        self._buffers = Buffers()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs; it opens its own maps."""
        return self.__dict__ | {"_open": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what another process had."""
        self.__dict__ |= state | {"_lock": threading.Lock()}

    def __getitem__(self, number: int) -> Shard:
        with self._lock:
            if number in self._open:
                self._open.move_to_end(number)
                return self._open[number]
        shard = Shard(self.store, self.files[number], self.is_tolerant)  # outside: it may have to be fetched
        with self._lock:
            while len(self._open) >= self.max_open:
                self._open.popitem(last=False)
            return self._open.setdefault(number, shard)

    def only(self, number: int, row: int) -> Shard:
        """Return a shard of which one sample is at hand: all, or that one alone where the rest takes a network."""
        if not self.store.is_remote or number in self._open:
            return self[number]
        return Shard(self.store, self.files[number], self.is_tolerant, row)

    def keep(self, count: int) -> None:
        """Make room for the files of so many shards, and let no more stay open, where they take room of their own.

        Raises:
            ValueError: The store may not take as much.
        """
        if self.store.is_remote:
            self.max_open = count
            sizes = sorted((files.tar.bytes + files.index.bytes for files in self.files), reverse=True)
            self.store.keep(sum(sizes[:count]))

    def want(self, numbers: Iterable[int]) -> None:
        """Begin to fetch shards that will be read soon."""
        wanted = [self.files[number] for number in numbers if number not in self._open]
        self.store.want(entry for files in wanted for entry in (files.index, files.tar))

    def path(self, number: int) -> str:
        """Return where a shard's tar lies."""
        return f"{self.store.where}/{self.files[number].tar.path}"

    def are_whole(
        self, shards: NDArray[np.int64], rows: NDArray[np.int64], extensions: Collection[str]
    ) -> NDArray[np.bool_]:
        """Return which of B samples have these members as they were committed, bool `(B,)`."""
        places = zip(shards.tolist(), rows.tolist(), strict=True)
        return np.array([self._is_whole(shard, row, extensions) for shard, row in places])

    def _is_whole(self, number: int, row: int, extensions: Collection[str]) -> bool:
        try:
            shard = self[number]
        except DamageError:
            return False
        return shard.is_whole(row, extensions)

    def keys(self, shards: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bytes_]:
        """Return the keys of B samples, bytes `(B,)`."""
        parts = [(chosen, self[number].index.keys[rows[chosen]]) for number, chosen in _by_shard(shards)]
        keys = np.empty(len(shards), max(part.dtype for _, part in parts))
        for chosen, part in parts:
            keys[chosen] = part
        return keys

    def gather(
        self, shards: NDArray[np.int64], rows: NDArray[np.int64], extension: str, dtype: str, shape: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return one array member of B samples, `(B, *shape)`, every one checked by its CRC-32C.

        Args:
            shards: The samples' shards, `(B,)`.
            rows: Their rows within them, `(B,)`.
            extension: Of a `.npy` member.
            dtype: Its type string.
            shape: Its shape.

        Raises:
            DatasetError: A member is damaged, or of another type or shape.
        """
        header = npy_header(dtype, shape)
        gathered = self._buffers.empty((len(shards), *shape), dtype)
        width = gathered.nbytes // len(shards)
        offsets, crcs = np.empty(len(shards), np.int64), np.empty(len(shards), np.uint32)
        views: dict[int, memoryview] = {}
        for number, chosen in _by_shard(shards):
            shard, own = self[number], rows[chosen]
            column = shard.column(extension)
            _check_layout(shard, own, column, header, width)
            views[number] = shard.view
            offsets[chosen], crcs[chosen] = shard.index.offsets[own, column], shard.index.crcs[own, column]
        # The one loop over samples on the way to a batch: per member one copy and one checksum, no arrays made. The
        # copy brings the member into the processor's cache, where the checksum is more than twice as fast.
        target = gathered.reshape(-1).view(np.uint8).data
        start, skip, length = 0, len(header), len(header) + width
        for place, (number, offset, crc) in enumerate(
            zip(shards.tolist(), offsets.tolist(), crcs.tolist(), strict=True)
        ):
            member = views[number][offset : offset + length]
            target[start : start + width] = member[skip:]
            start += width
            if crc32c(member) != crc:
                raise self[number].damage(int(rows[place]), extension)
        return gathered


def _by_shard(shards: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
    """Return each shard's number with the places of its samples in the batch."""
    return [(number, np.flatnonzero(shards == number)) for number in sorted(set(shards.tolist()))]


def _check_layout(shard: Shard, rows: NDArray[np.int64], column: int, header: bytes, width: int) -> None:
    """Raise where members are no arrays of the promised type and shape.

    One header stands for all of a shard: what has its length and its CRC-32C was written with it.
    """
    offsets, lengths = shard.index.offsets[rows, column], shard.index.lengths[rows, column]
    first = int(offsets[0])
    if (is_cut_off := offsets + lengths > len(shard.view)).any():
        raise shard.damage(int(rows[is_cut_off.argmax()]), shard.index.extensions[column])
    if shard.view[first : first + len(header)] != header or (lengths != len(header) + width).any():
        extension = shard.index.extensions[column]
        shard.member(int(rows[0]), extension)  # which tells damage from another layout
        raise shard.another_layout(extension, header)


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


def _read_index(store: Store, entry: FileEntry) -> Index:
    path, data = f"{store.where}/{entry.path}", store.map(entry)
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise IndexFileError(f"{path} is damaged: its SHA-256 is not the manifest's")
    try:
        index = decode_index(data)
    except IndexFileError as error:
        raise IndexFileError(f"{path}: {error}") from error
    if len(index) != entry.records:
        raise IndexFileError(f"{path} has {len(index)} samples, the manifest says {entry.records}")
    return index
