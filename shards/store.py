"""Where a dataset's files lie: in a folder of this machine, or wherever fsspec reaches, such as `s3://` or `https://`."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

from shards.asking import DatasetError
from shards.disk_cache import map_file
from shards.manifest import FileEntry

__all__ = ["DatasetError", "LocalStore", "Store", "is_url"]


class Store(Protocol):
    """The files of one folder.

    Attributes:
        where: The folder, as it is named to people.
        is_remote: Whether reading it takes a network.
    """

    where: str
    is_remote: bool

    def at(self, name: str) -> "Store":
        """Return the store of a folder in this one."""

    def read(self, name: str) -> bytes:
        """Return a small file.

        Raises:
            FileNotFoundError: There is none.
        """

    def size(self, name: str) -> int:
        """Return a file's size in bytes.

        Raises:
            FileNotFoundError: There is none.
        """

    def map(self, entry: FileEntry) -> memoryview:
        """Return all there is of a file, mapped into memory; the map lives as long as a view of it.

        Raises:
            FileNotFoundError: There is none.
        """

    def slice(self, entry: FileEntry, start: int, length: int) -> memoryview:
        """Return a part of a file, shorter where the file ends.

        Raises:
            FileNotFoundError: There is none.
        """

    def forget_damaged(self, entry: FileEntry) -> bool:
        """Return whether a copy of a file lay in a disk cache and was damaged; then it is gone, to be fetched again."""

    def open(self, entry: FileEntry) -> BinaryIO:
        """Return a file to be read from its beginning to its end.

        Raises:
            FileNotFoundError: There is none.
        """

    def want(self, entries: Iterable[FileEntry]) -> None:
        """Begin to fetch files that will be mapped soon."""

    def keep(self, num_bytes: int) -> None:
        """Make room for so many bytes of files."""


class LocalStore:
    """A folder of this machine."""

    is_remote = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = str(folder)

    def at(self, name: str) -> "LocalStore":
        """Return the store of a folder in this one."""
        return LocalStore(self.folder / name)

    def read(self, name: str) -> bytes:
        """Return a small file."""
        return (self.folder / name).read_bytes()

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        return (self.folder / name).stat().st_size

    def map(self, entry: FileEntry) -> memoryview:
        """Return a file, mapped into memory."""
        return map_file(self.folder / entry.path)

    def slice(self, entry: FileEntry, start: int, length: int) -> memoryview:
        """Return a part of a file."""
        return self.map(entry)[start : start + length]

    def forget_damaged(self, entry: FileEntry) -> bool:
        """Return False: no copies are read."""
        return False

    def open(self, entry: FileEntry) -> BinaryIO:
        """Return a file to be read from its beginning to its end."""
        return (self.folder / entry.path).open("rb")

    def want(self, entries: Iterable[FileEntry]) -> None:
        """Do nothing: the files are here."""

    def keep(self, num_bytes: int) -> None:
        """Do nothing: the files stay."""


def is_url(path: str | Path) -> bool:
    """Return whether a path is one that fsspec must open.

    >>> is_url("s3://bucket/triplets"), is_url("OUT/triplets")
    (True, False)
    """
    return "://" in str(path)
