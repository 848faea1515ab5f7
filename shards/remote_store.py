"""A dataset's files behind a URL: fetched whole, in large ranges, into a disk cache, and mapped from there.

What a store fails to answer is asked again; what it has in another form than the manifest says is damage; and the two
are never taken for one another.
"""

import hashlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from shards.asking import Answer, DatasetError, StoreError, ask
from shards.disk_cache import DiskCache, remove_forgotten
from shards.manifest import FileEntry
from shards.store import LocalStore, Store, is_url

logger = logging.getLogger(__name__)

RANGE_BYTES = 16 * 2**20
"""Of a large file that is asked for at once; object stores serve 8 to 16 MB a request best.

Source: Amazon S3, "Performance design patterns", on byte-range fetches.
"""

RANGES_AT_ONCE = 4

MAX_FETCHES = 4
"""Of a file whose bytes are others each time."""


def open_store(
    path: str | Path,
    storage_options: Mapping[str, Any] | None = None,
    cache_dir: str | Path | None = None,
    cache_bytes: int | None = None,
) -> Store:
    """Return the store of a folder; see `shards.open_dataset` for the arguments."""
    if not is_url(path):
        return LocalStore(Path(path))
    caches = Path.home() / ".cache" / "seedbed" if cache_dir is None else Path(cache_dir)
    remove_forgotten(caches)
    return RemoteStore(str(path), storage_options or {}, DiskCache(caches, str(path), cache_bytes))


class RemoteStore:
    """A folder behind a URL.

    Args:
        url: Of the folder.
        storage_options: What fsspec's file system for it takes: keys, an endpoint.
        cache: Where fetched files lie.
    """

    is_remote = True

    def __init__(self, url: str, storage_options: Mapping[str, Any], cache: DiskCache) -> None:
        self.where = url.rstrip("/")
        self._options = dict(storage_options)
        self._cache = cache
        self._own: dict[int, tuple[Any, str]] = {}
        self._ahead = _Ahead(self._fetch_ahead)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs; it opens connections of its own."""
        return self.__dict__ | {"_own": {}, "_ahead": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what another process had."""
        self.__dict__ |= state | {"_ahead": _Ahead(self._fetch_ahead)}

    def at(self, name: str) -> "RemoteStore":
        """Return the store of a folder in this one."""
        return RemoteStore(f"{self.where}/{name}", self._options, self._cache)

    def read(self, name: str) -> bytes:
        """Return a small file."""
        file_system, root = self._file_system()
        data: bytes = self._ask(name, lambda: file_system.cat_file(f"{root}/{name}"))
        return data

    def size(self, name: str) -> int:
        """Return a file's size in bytes; a server that does not tell it sends the file."""
        file_system, root = self._file_system()
        size: int | None = self._ask(name, lambda: _size(file_system, f"{root}/{name}"))
        return len(self.read(name)) if size is None else size

    def map(self, entry: FileEntry) -> memoryview:
        """Return all there is of a file, from the cache, where it is put first if need be."""
        self._ahead.drop(entry)
        return self._cache.map(entry, partial(self._fetch, entry))

    def slice(self, entry: FileEntry, start: int, length: int) -> memoryview:
        """Return a part of a file, asked for by itself unless the file is in the cache."""
        if (view := self._cache.find(entry)) is not None:
            return view[start : start + length]
        return memoryview(self._ask(entry.path, lambda: self._range(entry.path, start, start + length)))

    def forget_damaged(self, entry: FileEntry) -> bool:
        """Return whether the cache had a damaged copy of a file; then it is gone, to be fetched again."""
        return self._cache.forget_damaged(entry)

    def open(self, entry: FileEntry) -> BinaryIO:
        """Return a file to be read from its beginning to its end, in large ranges, past the cache."""
        file_system, root = self._file_system()
        file: BinaryIO = self._ask(
            entry.path, lambda: file_system.open(f"{root}/{entry.path}", "rb", block_size=RANGE_BYTES)
        )
        return file

    def want(self, entries: Iterable[FileEntry]) -> None:
        """Begin to fetch files that will be mapped soon."""
        self._ahead.want(entry for entry in entries if not self._cache.has(entry))

    def keep(self, num_bytes: int) -> None:
        """Make room for so many bytes of files."""
        self._cache.keep(num_bytes)

    def _file_system(self) -> tuple[Any, str]:
        """Return this process's own file system (they do not survive a fork) and the folder's path in it."""
        process = os.getpid()
        if process not in self._own:
            import fsspec  # noqa: PLC0415 - nobody needs it for local files

            self._own = {process: fsspec.url_to_fs(self.where, **self._options)}
        return self._own[process]

    def _fetch_ahead(self, entry: FileEntry) -> None:
        try:
            self._cache.fetch(entry, partial(self._fetch, entry))
        except (DatasetError, OSError) as error:
            logger.info("%s/%s was not read ahead: %s", self.where, entry.path, error)

    def _fetch(self, entry: FileEntry, file: BinaryIO) -> str:
        """Write all there is of a file; return the SHA-256 of what the store has, in hex.

        Bytes other than the manifest's are the store's only where they come twice alike.

        Raises:
            FileNotFoundError: There is none.
            StoreError: No answer, or another one each time.
        """
        seen: set[str] = set()
        for _ in range(MAX_FETCHES):
            file.seek(0)
            digest = self._copy(entry.path, file)
            file.truncate()
            if digest == entry.sha256 or digest in seen:
                return digest
            seen.add(digest)
        raise StoreError(f"{self.where}/{entry.path}: the store gives other bytes each time; see to it, and read again")

    def _copy(self, name: str, file: BinaryIO) -> str:
        """Write a file as it comes, a few ranges at once; return its SHA-256, in hex."""
        file_system, root = self._file_system()
        size: int | None = self._ask(name, lambda: _size(file_system, f"{root}/{name}"))
        first = self._ask(name, lambda: self._range(name, 0, RANGE_BYTES if size is None else min(size, RANGE_BYTES)))
        digest = hashlib.sha256(first)
        file.write(first)
        starts = range(len(first), size or 0, RANGE_BYTES)
        for number in range(0, len(starts), RANGES_AT_ONCE):
            for piece in self._ranges(name, starts[number : number + RANGES_AT_ONCE], size or 0):
                digest.update(piece)
                file.write(piece)
        return digest.hexdigest()

    def _ranges(self, name: str, starts: range, size: int) -> list[bytes]:
        """Return a few ranges of a file, asked for at once; one that fails is asked for again by itself."""
        file_system, root = self._file_system()
        ends = [min(start + RANGE_BYTES, size) for start in starts]
        found = file_system.cat_ranges([f"{root}/{name}"] * len(ends), list(starts), ends, on_error="return")
        return [
            piece
            if isinstance(piece, bytes) and len(piece) == end - start
            else self._ask(name, partial(self._exact_range, name, start, end))
            for piece, start, end in zip(found, starts, ends, strict=True)
        ]

    def _exact_range(self, name: str, start: int, end: int) -> bytes:
        piece = self._range(name, start, end)
        if len(piece) != end - start:
            raise OSError(f"{len(piece)} bytes came of {end - start}")
        return piece

    def _range(self, name: str, start: int, end: int) -> bytes:
        """Return a range; a server that knows none sends the whole file, which serves for one from the beginning."""
        file_system, root = self._file_system()
        piece: bytes = file_system.cat_file(f"{root}/{name}", start=start, end=end)
        return piece if start == 0 or len(piece) <= end - start else piece[start:end]

    def _ask(self, name: str, request: Callable[[], Answer]) -> Answer:
        """Return what a request about one of the files gives; errors as `ask`."""
        return ask(f"{self.where}/{name}", request)


class _Ahead:
    """Fetches files one behind the other in the background; a program that ends does not wait for it.

    What was mapped before its turn came is left out: it has been read, and may have gone to make room for others.
    """

    def __init__(self, fetch: Callable[[FileEntry], None]) -> None:
        self._fetch = fetch
        self._waiting: set[str] = set()
        self._queue: queue.SimpleQueue[FileEntry] = queue.SimpleQueue()
        self._process = 0

    def want(self, entries: Iterable[FileEntry]) -> None:
        """Put files in the queue that are not in it."""
        if self._process != os.getpid():  # threads do not survive a fork
            self._process, self._waiting, self._queue = os.getpid(), set(), queue.SimpleQueue()
            threading.Thread(target=self._work, args=(self._queue, self._waiting), daemon=True).start()
        for entry in entries:
            if entry.path not in self._waiting:
                self._waiting.add(entry.path)
                self._queue.put(entry)

    def drop(self, entry: FileEntry) -> None:
        """Leave a file out, unless it is wanted once more."""
        self._waiting.discard(entry.path)

    def _work(self, entries: "queue.SimpleQueue[FileEntry]", waiting: set[str]) -> None:
        while True:
            entry = entries.get()
            if entry.path in waiting:
                self._fetch(entry)
                waiting.discard(entry.path)


def _size(file_system: Any, path: str) -> int | None:  # noqa: ANN401 - fsspec has no types
    """Return a file's size as the store tells it now, None where it does not."""
    file_system.invalidate_cache()
    size: int | None = file_system.info(path).get("size")
    return size
