"""Files of which many small pieces are read, here and there: opened once, not once a piece."""

import os
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Self

MAX_OPEN = 64
"""Files held open at a time: a process may commonly hold 1,024."""


class OpenFiles:
    """Reads pieces of files, and keeps those last read from open until the block ends."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while self._open:
            self._close_oldest()

    def read(self, path: Path, offset: int, length: int) -> bytes:
        """The `length` bytes at `offset` of a file; fewer where it ends before."""
        descriptor = self._open.get(path)
        if descriptor is None:
            if len(self._open) == MAX_OPEN:
                self._close_oldest()
            descriptor = self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        else:
            self._open.move_to_end(path)
        return os.pread(descriptor, length, offset)

    def _close_oldest(self) -> None:
        os.close(self._open.popitem(last=False)[1])
