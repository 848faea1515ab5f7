"""The shards of a split: opened when they are asked for, and their samples gathered into batches."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from shards.buffers import Buffers
from shards.npy import npy_header
from shards.promise import Promise
from shards.shard import DamageError, Shard, ShardFiles
from shards.store import Store

MAX_OPEN_SHARDS = 64


class Shards:
    """The shards of a split, opened when they are asked for; at most `max_open` stay open. Threads may share it.

    What a remote store's disk cache has in another form than the manifest says is fetched again, once. Where damage is
    tolerated, a shard that cannot be opened is not tried again.

    Args:
        store: Of the dataset.
        files: The shards', in their order.
        is_tolerant: Whether shards are read as far as they go.
        promise: What their samples must be; not looked at if None.
    """

    def __init__(
        self, store: Store, files: Sequence[ShardFiles], is_tolerant: bool = False, promise: Promise | None = None
    ) -> None:
        self.store = store
        self.files = tuple(files)
        self.is_tolerant = is_tolerant
        self.promise = promise
        self.max_open = MAX_OPEN_SHARDS
        self._open: OrderedDict[int, Shard] = OrderedDict()
        self._buffers = Buffers()
        self._damaged: dict[int, str] = {}
        self._renewed: dict[int, bool] = {}
        self._lock, self._renewing = threading.Lock(), threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs; it opens its own maps."""
        return self.__dict__ | {"_open": OrderedDict(), "_lock": None, "_renewing": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what another process had."""
        self.__dict__ |= state | {"_lock": threading.Lock(), "_renewing": threading.Lock()}

    def __getitem__(self, number: int) -> Shard:
        with self._lock:
            if number in self._open:
                self._open.move_to_end(number)
                return self._open[number]
        shard = self._opened(number)  # outside: it may have to be fetched
        with self._lock:
            while len(self._open) >= self.max_open:
                self._open.popitem(last=False)
            return self._open.setdefault(number, shard)

    def _opened(self, number: int, row: int | None = None) -> Shard:
        if number in self._damaged:
            raise DamageError(self._damaged[number])
        is_renewed = number in self._renewed
        try:
            shard = Shard(self.store, self.files[number], self.is_tolerant, row, self.promise)
        except DamageError as error:
            if not is_renewed and self._renew(number):
                return self._opened(number, row)
            if self.is_tolerant:
                self._damaged[number] = str(error)
            raise
        shard.is_renewed = is_renewed
        return shard

    def is_renewed(self, number: int, shard: Shard) -> bool:
        """Return whether what was read damaged of a shard is to be read again: a disk cache had damaged it."""
        if not self.store.is_remote or shard.is_renewed or not self._renew(number):
            return False
        with self._lock:
            # Another thread may have opened the damaged files before they went, and kept them only now.
            if self._open.get(number) is shard:
                del self._open[number]
        return True

    def _renew(self, number: int) -> bool:
        """Return whether files of a shard were damaged in the disk cache; they have gone from there."""
        with self._renewing:
            if number not in self._renewed:
                files = self.files[number]
                has_gone = [self.store.forget_damaged(entry) for entry in (files.index, files.tar)]
                self._renewed[number] = any(has_gone)
                with self._lock:
                    self._open.pop(number, None)
            return self._renewed[number]

    def reason(self, number: int) -> str:
        """Return why a shard cannot be opened, empty where that is not known."""
        return self._damaged.get(number, "")

    def only(self, number: int, row: int) -> Shard:
        """Return a shard of which one sample is at hand: all, or that one alone where the rest takes a network."""
        if not self.store.is_remote or number in self._open:
            return self[number]
        return self._opened(number, row)

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
        wanted = [self.files[number] for number in numbers if number not in self._open and number not in self._damaged]
        self.store.want(entry for files in wanted for entry in (files.index, files.tar))

    def path(self, number: int) -> str:
        """Return where a shard's tar lies."""
        return f"{self.store.where}/{self.files[number].tar.path}"

    def read(self, number: int, row: int, extension: str) -> bytes:
        """Return one member of one sample.

        Raises:
            DamageError: The member is missing or damaged.
        """
        shard = self[number]
        try:
            return shard.read(row, extension)
        except DamageError:
            if self.is_renewed(number, shard):
                return self.read(number, row, extension)
            raise

    def are_whole(
        self, shards: NDArray[np.int64], rows: NDArray[np.int64], extensions: Collection[str]
    ) -> NDArray[np.bool_]:
        """Return which of B samples have these members as they were committed, bool `(B,)`."""
        places = zip(shards.tolist(), rows.tolist(), strict=True)
        return np.array([self._is_whole(shard, row, extensions) for shard, row in places], np.bool_)

    def _is_whole(self, number: int, row: int, extensions: Collection[str]) -> bool:
        try:
            shard = self[number]
        except DamageError:
            return False
        if shard.is_whole(row, extensions):
            return True
        return self.is_renewed(number, shard) and self._is_whole(number, row, extensions)

    def keys(self, shards: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bytes_]:
        """Return the keys of B samples, bytes `(B,)`.

        Raises:
            DamageError: One is not there.
        """
        parts = []
        for number, chosen in _by_shard(shards):
            shard, own = self[number], rows[chosen]
            shard.refuse_lost(own)
            parts.append((chosen, shard.index.keys[own]))
        keys = np.empty(len(shards), max(part.dtype for _, part in parts))
        for chosen, part in parts:
            keys[chosen] = part
        return keys

    def gather(
        self, shards: NDArray[np.int64], rows: NDArray[np.int64], extension: str, dtype: str, shape: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return one array member of B samples, `(B, *shape)`, every one checked by its CRC-32C.

        Args:
            shards: The samples' shards, `(B,)`, which promise such arrays.
            rows: Their rows within them, `(B,)`.
            extension: Of a `.npy` member.
            dtype: Its type string.
            shape: Its shape.

        Raises:
            DamageError: A member is damaged, or of another type or shape.
        """
        gathered = self._buffers.empty((len(shards), *shape), dtype)
        width = gathered.nbytes // len(shards)
        offsets, crcs = np.empty(len(shards), np.int64), np.empty(len(shards), np.uint32)
        opened = {}
        for number, chosen in _by_shard(shards):
            shard, own = self[number], rows[chosen]
            shard.refuse_lost(own)
            column, opened[number] = shard.column(extension), shard
            offsets[chosen], crcs[chosen] = shard.index.offsets[own, column], shard.index.crcs[own, column]
        # The one loop over samples on the way to a batch: per member one copy and one checksum, no arrays made. The
        # copy brings the member into the processor's cache, where the checksum is more than twice as fast.
        views = {number: shard.view for number, shard in opened.items()}
        target = gathered.reshape(-1).view(np.uint8).data
        start, skip = 0, len(npy_header(dtype, shape))
        length = skip + width
        for place, (number, offset, crc) in enumerate(
            zip(shards.tolist(), offsets.tolist(), crcs.tolist(), strict=True)
        ):
            member = views[number][offset : offset + length]
            target[start : start + width] = member[skip:]
            start += width
            if crc32c(member) != crc:
                if self.is_renewed(number, opened[number]):
                    return self.gather(shards, rows, extension, dtype, shape)
                raise opened[number].damage(int(rows[place]), extension)
        return gathered


def _by_shard(shards: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
    """Return each shard's number with the places of its samples in the batch."""
    return [(number, np.flatnonzero(shards == number)) for number in sorted(set(shards.tolist()))]
