"""Files of the user's own, wherever they lie: those behind http and https are asked for as APIs are.

That is: only of addresses that pass, under our own name, with pauses, redirects not followed, and in time. Object
stores and folders are fsspec's to read.
"""

import io
from collections import OrderedDict
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO, cast

import fsspec

from crawl.held import HELD_IN_PROCESS, Held
from crawl.http import FetchError
from crawl.ranges import FileStart, request_range, request_start
from crawl.settings import FetchSettings
from crawl.urls import canonical_url

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 8 * 2**20
"""Of a file that are asked for at a time."""

_MAX_BLOCKS = 2


class StoredFileError(OSError):
    """A file that cannot be had.

    Attributes:
        reason: a snake_case fact, such as "http_404".
    """

    def __init__(self, error: FetchError) -> None:
        super().__init__(str(error))
        self.reason = error.reason


def is_web(path: str) -> bool:
    """Return whether a path is a URL that is asked for as an API is."""
    return path.lower().startswith(("http://", "https://"))


def open_stored(path: str, settings: FetchSettings, held: Held = HELD_IN_PROCESS) -> AbstractContextManager[BinaryIO]:
    """Return a file to be read, which can seek; what it holds is kept neither in memory nor on disk as a whole.

    Where a web server knows no ranges the file is had in one piece and lies in a temporary file.

    Args:
        path: path, or URL of whatever kind.
        settings: user agent, time-outs, delays, attempts and allowed addresses.
        held: what servers asked for, read and written.

    Raises:
        OSError: it cannot be opened, a `StoredFileError` where a web server does not give it; when it is read, too.
    """
    if not is_web(path):
        return cast("AbstractContextManager[BinaryIO]", fsspec.open(path, "rb"))
    url = canonical_url(path)
    if url is None:
        raise StoredFileError(FetchError("bad_url", f"{path} is no address"))
    try:
        start = request_start(url, BLOCK_BYTES, settings, held)
    except FetchError as error:
        raise StoredFileError(error) from error
    return start.whole or cast("BinaryIO", io.BufferedReader(_WebFile(url, start, settings, held)))


def size_of_stored(path: str, settings: FetchSettings, held: Held = HELD_IN_PROCESS) -> int:
    """Return the bytes of a file; arguments and errors are those of `open_stored`."""
    if not is_web(path):
        filesystem, where = fsspec.url_to_fs(path)
        return int(filesystem.size(where) or 0)
    with open_stored(path, settings, held) as file:
        return file.seek(0, io.SEEK_END)


class _WebFile(io.RawIOBase):
    """A file behind a web server that knows ranges, asked for block by block; those last read are kept."""

    def __init__(self, url: str, start: FileStart, settings: FetchSettings, held: Held) -> None:
        self._url, self._size, self._settings, self._held = url, start.size, settings, held
        self._blocks = OrderedDict({0: start.begin})
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(f"{self._url} has no byte {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        number, inner = divmod(self._position, BLOCK_BYTES)
        found = self._block(number)[inner : inner + len(view)] if self._position < self._size else b""
        view[: len(found)] = found
        self._position += len(found)
        return len(found)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            begin = number * BLOCK_BYTES
            num_bytes = min(BLOCK_BYTES, self._size - begin)
            try:
                self._blocks[number] = request_range(self._url, begin, num_bytes, self._settings, self._held)
            except FetchError as error:
                raise StoredFileError(error) from error
            if len(self._blocks) > _MAX_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]
