"""Finished files of which many small pieces are read, here and there: opened once, not once a piece."""

import os
from collections import OrderedDict
from types import TracebackType
from typing import Self

from pipelines.copies import open_piecewise
from shards.object_path import AnyPath, ObjectPath

MAX_OPEN = 64
"""Files held open at a time: a process may commonly hold 1,024."""


class OpenFiles:
    """Reads pieces of files, and keeps those last read from open until the block ends."""

    def __init__(self) -> None:
        self._open: OrderedDict[AnyPath, int | None] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while self._open:
            self._close_oldest()

    def read(self, path: AnyPath, offset: int, length: int) -> bytes:
        """The `length` bytes at `offset` of a file; fewer where it ends before."""
        if path not in self._open:
            if len(self._open) == MAX_OPEN:
                self._close_oldest()
            self._open[path] = open_piecewise(path)
        else:
            self._open.move_to_end(path)
        descriptor = self._open[path]
        if descriptor is None and isinstance(path, ObjectPath):
            return path.read_range(offset, length)
        assert descriptor is not None, "files of this machine have one"
        return os.pread(descriptor, length, offset)

    def _close_oldest(self) -> None:
        descriptor = self._open.popitem(last=False)[1]
        if descriptor is not None:
            os.close(descriptor)
