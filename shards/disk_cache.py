"""Files of a remote dataset on this machine's disk: whole, bounded, shared by the processes that read the dataset.

A file is called by its SHA-256, so that it is believed only as what it is: `CACHE/seedbed-URL/SHA256`. All of it may be
removed at any time.
"""

import fcntl
import hashlib
import mmap
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from shards.manifest import FileEntry

FORGOTTEN_AFTER_S = 24 * 3600
"""After which the files of a dataset that nobody reads any more go when another one is opened."""

Fetch = Callable[[BinaryIO], str]
"""Writes a file as a store has it and returns its SHA-256, in hex."""


def map_file(path: Path) -> memoryview:
    """Return a file's bytes, mapped; the map lives as long as a view of it, also where the file is removed.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class DiskCache:
    """What was fetched of one dataset, the least recently opened going first.

    Args:
        folder: Of the caches of all datasets, made when it is needed.
        url: Of the dataset.
        max_bytes: The most that may lie there; as much as `keep` asks for if None.
    """

    def __init__(self, folder: Path, url: str, max_bytes: int | None = None) -> None:
        self.folder = folder / f"seedbed-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
        self.max_bytes = max_bytes
        self._room = max_bytes or 0
        self._damaged: set[str] = set()

    def keep(self, num_bytes: int) -> None:
        """Make room for so many bytes.

        Raises:
            ValueError: That is more than may lie here.
        """
        if self.max_bytes is not None and num_bytes > self.max_bytes:
            raise ValueError(
                f"cache_bytes is {self.max_bytes:,}: two blocks of this dataset's shards in each lane that is read "
                f"take {num_bytes:,}; give as much, or leave it out"
            )
        self._room = max(self._room, num_bytes)

    def has(self, entry: FileEntry) -> bool:
        """Return whether a file is here, or, since it is damaged, never will be."""
        return entry.sha256 in self._damaged or (self.folder / entry.sha256).exists()

    def find(self, entry: FileEntry) -> memoryview | None:
        """Return a file, if it is here."""
        path = self.folder / entry.sha256
        try:
            os.utime(path)
            return map_file(path)
        except FileNotFoundError:
            return None

    def forget_damaged(self, entry: FileEntry) -> bool:
        """Return whether a file was here and was damaged; then it has gone."""
        with self._locked(entry.sha256[:2]):
            found = self.find(entry)
            if found is None or hashlib.sha256(found).hexdigest() == entry.sha256:
                return False
            (self.folder / entry.sha256).unlink(missing_ok=True)
            return True

    def map(self, entry: FileEntry, fetch: Fetch) -> memoryview:
        """Return all there is of a file, fetched if it is not here."""
        with self._locked(entry.sha256[:2]):
            found = self.find(entry)
            return self._fetch(entry, fetch) if found is None else found

    def fetch(self, entry: FileEntry, fetch: Fetch) -> None:
        """Fetch a file if it is not here."""
        with self._locked(entry.sha256[:2]):
            if not self.has(entry):
                self._fetch(entry, fetch)

    def _fetch(self, entry: FileEntry, fetch: Fetch) -> memoryview:
        """Return a file that was fetched; one that is not what the manifest says is kept for nobody else."""
        path = self.folder / entry.sha256
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        try:
            with temporary.open("xb") as file:
                with self._locked("room"):
                    self._make_room(entry.bytes)
                    file.truncate(entry.bytes)  # so that others count it
                digest = fetch(file)
                file.flush()
                os.fsync(file.fileno())
            if digest != entry.sha256:
                self._damaged.add(entry.sha256)
                return map_file(temporary)
            return map_file(temporary.replace(path))
        finally:
            temporary.unlink(missing_ok=True)

    def _make_room(self, num_bytes: int) -> None:
        """Remove the files opened longest ago, until so many more bytes fit."""
        found = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process makes room as well
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in found) + num_bytes
        for _, size, path in sorted(found):
            if total <= self._room:
                return
            if size:
                path.unlink(missing_ok=True)
                total -= size

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Keep others, threads and processes, from doing the same meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".lock-{name}").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)  # closing would not do where another thread has forked meanwhile


def remove_forgotten(folder: Path) -> None:
    """Remove what lies in `folder` of datasets that nobody has read for a day."""
    for path in folder.glob("seedbed-*"):
        if re.fullmatch("seedbed-[0-9a-f]{16}", path.name):
            with suppress(FileNotFoundError):
                newest = max((other.stat().st_mtime for other in path.iterdir()), default=path.stat().st_mtime)
                if time.time() - newest > FORGOTTEN_AFTER_S:
                    shutil.rmtree(path, ignore_errors=True)
