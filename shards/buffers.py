"""Memory for batches, used again as soon as nobody holds a batch any more.

The system hands out fresh memory page by page, each cleared first: a third of what it takes to fill a batch.
"""

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_BYTES = 2**18
"""Smaller arrays come from the allocator, which has such memory at hand."""

MAX_SPARE, MAX_SIZES = 4, 8
"""At most so many arrays of one size, and so many sizes, are kept for later."""


class Buffers:
    """Arrays of arbitrary contents, whose memory comes back when they and all views of them are gone; thread-safe."""

    def __init__(self) -> None:
        self._spare: dict[int, list[NDArray[np.uint8]]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process needs: nothing, it has memory of its own."""
        return Buffers, ()

    def empty(self, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """Return an array of this shape and type string, its contents arbitrary."""
        num_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if num_bytes < MIN_BYTES:
            return np.empty(shape, dtype)
        # Lists give and take in one step, so that no lock is held when an array is given up, which may be at any time.
        if num_bytes not in self._spare and len(self._spare) >= MAX_SIZES:
            self._spare = {}
        spare = self._spare.setdefault(num_bytes, [])
        try:
            memory = spare.pop()
        except IndexError:
            memory = np.empty(num_bytes, np.uint8)
        # Views of an array hold on to the one that owns its memory, or that, like this one, has it from a buffer.
        whole: NDArray[Any] = np.frombuffer(memory.data, dtype)
        weakref.finalize(whole, _give_back, spare, memory).atexit = False
        return whole.reshape(shape)


def _give_back(spare: list[NDArray[np.uint8]], memory: NDArray[np.uint8]) -> None:
    if len(spare) < MAX_SPARE:
        spare.append(memory)
