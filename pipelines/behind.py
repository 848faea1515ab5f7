"""Parts of a stage, finished one behind the other: while a store takes what one has made, the next is being made.

Whoever puts an object waits until the store has all of it, and could work meanwhile. One part is made at a time all the
same, so that no more is held in memory; its receipt is written as ever, when all that it lists stands.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from shards.object_path import AnyPath, ObjectPath

Turn = AbstractContextManager[object]
"""Entered by whoever makes a part, and left when nothing remains but to put it: one at a time is in it."""

NO_TURN: Turn = nullcontext()
"""Of whoever makes parts alone."""

PARTS_IN_STORE = 2
"""Begun at a time, where they go into a store: one is made while another is put."""


def hold_group(key: str, values: Iterable[Any]) -> tuple[str, list[Any]]:
    """A group that another thread may read: Beam reads large ones piece by piece, in the thread that was given them."""
    return key, list(values)


class FinishParts(beam.DoFn):
    """Calls a function for each part, in their order, and yields what it returns when the part is finished.

    A part that fails ends the bundle with its error. Of the one begun behind it nothing is lost: it is finished first.

    Args:
        finish: given the part and the turn to make it in, in another thread: of a group it must be `hold_group`'s.
        folder: where parts go; on this machine nothing is worth a thread, and each is finished before the next.
    """

    def __init__(self, finish: Callable[[Any, Turn], Iterable[Any]], folder: AnyPath) -> None:
        super().__init__()
        self._finish = finish
        self._num_begun = PARTS_IN_STORE if isinstance(folder, ObjectPath) else 1

    def start_bundle(self) -> None:
        """Begins with no part."""
        self._turn = threading.Lock()
        self._behind = ThreadPoolExecutor(self._num_begun)
        self._begun: deque[Future[list[Any]]] = deque()

    def process(self, part: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever `finish` takes
        """Begins a part, and waits for the one before."""
        self._begun.append(self._behind.submit(lambda: list(self._finish(part, self._turn))))
        if len(self._begun) == self._num_begun:
            yield from self._first()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Waits for the rest."""
        window = GlobalWindow()
        while self._begun:
            for made in self._first():
                yield WindowedValue(made, window.max_timestamp(), [window])
        self._behind.shutdown()

    def _first(self) -> list[Any]:
        """What came of the part begun first."""
        try:
            return self._begun.popleft().result()
        except BaseException:
            self._behind.shutdown(cancel_futures=True)
            raise
