"""Which sample stands at which position of the endless stream: arithmetic, no state.

An epoch shuffles the shards, then the samples within blocks of `BLOCK_SHARDS`
shards in a row, so that a reader is at home in a few files at a time. Everything
follows from (seed, epoch, position).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_SHARDS = 4
"""How many shards are shuffled into one another."""

SHARD_STREAM, BLOCK_STREAM = 2, 3
"""Fourth counter words of the Philox streams that order shards, and samples within a block."""

_KEPT_BLOCKS = 2


@dataclass(frozen=True)
class Places:
    """Where B samples stand, int64 `(B,)` each: shard, sample within the shard, and the epoch that asks."""

    shards: NDArray[np.int64]
    rows: NDArray[np.int64]
    epochs: NDArray[np.int64]


class Order:
    """The stream of a dataset's samples, epoch behind epoch.

    Args:
        sizes: How many samples each shard has.
        seed: 0 to 2**64 - 1.
        shuffle: Whether to shuffle; else every epoch is in the order of the shards.

    Raises:
        ValueError: There is no sample at all.
    """

    def __init__(self, sizes: Sequence[int], seed: int, shuffle: bool) -> None:
        self.sizes = np.array(sizes, np.int64)
        self.seed = seed
        self.shuffle = shuffle
        self.num_samples = int(self.sizes.sum())
        if self.num_samples < 1:
            raise ValueError("no samples to order")
        self._shards: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None
        self._blocks: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def locate(self, position: int, count: int) -> Places:
        """Return where the `count` samples from a position of the stream on stand."""
        shards, rows, epochs = [], [], []
        while count > 0:
            epoch, within = divmod(position, self.num_samples)
            _, bounds = self._epoch(epoch)
            block = int(np.searchsorted(bounds, within, side="right")) - 1
            taken = min(count, int(bounds[block + 1]) - within)
            part = slice(within - int(bounds[block]), within - int(bounds[block]) + taken)
            block_shards, block_rows = self._block(epoch, block)
            shards.append(block_shards[part])
            rows.append(block_rows[part])
            epochs.append(np.full(taken, epoch, np.int64))
            position, count = position + taken, count - taken
        return Places(np.concatenate(shards), np.concatenate(rows), np.concatenate(epochs))

    def _epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the shards in an epoch's order, and where each block begins, with the end behind the last."""
        if self._shards is None or self._shards[0] != epoch:
            shards = self._permute(epoch, 0, SHARD_STREAM, len(self.sizes))
            ends = np.cumsum(self.sizes[shards])
            # The last block may be short; its end is the epoch's.
            bounds = np.concatenate([[0], ends[BLOCK_SHARDS - 1 : -1 : BLOCK_SHARDS], ends[-1:]])
            self._shards = (epoch, shards, bounds)
        return self._shards[1:]

    def _block(self, epoch: int, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return shard and row of a block's samples, in their order."""
        if (epoch, block) not in self._blocks:
            shards = self._epoch(epoch)[0][block * BLOCK_SHARDS : (block + 1) * BLOCK_SHARDS]
            sizes = self.sizes[shards]
            order = self._permute(epoch, block, BLOCK_STREAM, int(sizes.sum()))
            rows = np.concatenate([np.arange(size) for size in sizes])
            while len(self._blocks) >= _KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[epoch, block] = (np.repeat(shards, sizes)[order], rows[order])
        return self._blocks[epoch, block]

    def _permute(self, epoch: int, number: int, stream: int, count: int) -> NDArray[np.int64]:
        """Return the numbers below `count`, shuffled: ranked by Philox outputs, ties by position.

        numpy promises the bits of Philox for good, but not the result of its `permutation`.
        """
        if not self.shuffle:
            return np.arange(count)
        key = np.array([self.seed, epoch], np.uint64)
        counter = np.array([0, 0, number, stream], np.uint64)
        ranks = np.random.Philox(key=key, counter=counter).random_raw(count)
        return np.argsort(ranks, kind="stable")
