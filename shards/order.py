"""Which sample stands at which position of the endless stream: arithmetic, no state.

An epoch shuffles the shards, then the samples within blocks of `BLOCK_SHARDS` shards in a row, so that a reader is at
home in a few files at a time: two samples of one shard stand at most one block, `BLOCK_SHARDS` shards of samples,
apart. Both shuffles are computed for any position by itself (see `shards.permutation`), and everything follows from
(seed, epoch, position).

With L lanes the shards of an epoch are dealt out to the lanes in turn, and the stream takes `lane_samples` of each lane
in turn: with batches of that size, a rank among W, where L divides W, meets the shards of one lane, or of two
where the epoch before ended in between. What lanes of unequal length have left over comes at the end of the epoch, lane
by lane, so that each epoch still holds every sample once. Lanes are part of the order: any number of ranks
sees the same stream, but more or fewer lanes another one.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shards.permutation import ROUNDS, permute

BLOCK_SHARDS = 4
"""How many shards are shuffled into one another."""

SHARD_STREAM, BLOCK_STREAM = 2, 3
"""Fourth counter words of the Philox streams whose outputs key the shuffles of shards, and of a block's samples."""

_KEPT_EPOCHS, _KEPT_BLOCKS = 2, 64

_MOST_AT_ONCE = 256
"""Of the samples of a block that may stand in for a damaged one; each is read to be sure."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Places:
    """Where B samples stand, int64 `(B,)` each: shard, sample within the shard, and the epoch that asks."""

    shards: Numbers
    rows: Numbers
    epochs: Numbers

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, chosen: slice) -> "Places":
        return Places(self.shards[chosen], self.rows[chosen], self.epochs[chosen])


class Order:
    """The stream of a dataset's samples, epoch behind epoch.

    Args:
        sizes: How many samples each shard has.
        seed: 0 to 2**64 - 1.
        shuffle: Whether to shuffle; else every epoch is in the order of the shards.
        lanes: L, 1 to 65,536.
        lane_samples: How many samples are taken of a lane before the next one's turn.

    Raises:
        ValueError: There is no sample at all, or a number is impossible.
    """

    def __init__(self, sizes: Sequence[int], seed: int, shuffle: bool, lanes: int = 1, lane_samples: int = 1) -> None:
        self.sizes = np.array(sizes, np.int64)
        self.seed = seed
        self.shuffle = shuffle
        self.lanes = lanes
        self.lane_samples = lane_samples
        self.num_samples = int(self.sizes.sum())
        if self.num_samples < 1:
            raise ValueError("no samples to order")
        if not 1 <= lanes <= 65536 or lane_samples < 1:
            raise ValueError(f"lanes is {lanes} of {lane_samples} samples: give 1 to 65,536 lanes of 1 sample or more")
        self._epochs: dict[int, _Epoch] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        """Return what another process needs: what follows from it is computed there."""
        return self.__dict__ | {"_epochs": {}, "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Take over what another process had."""
        self.__dict__ |= state | {"_lock": threading.Lock()}

    def locate(self, positions: Numbers) -> Places:
        """Return where the samples at these positions of the stream, int64 `(B,)`, stand."""
        epochs, within = np.divmod(positions, self.num_samples)
        shards, rows = np.empty_like(within), np.empty_like(within)
        for epoch in np.unique(epochs).tolist():
            chosen = np.flatnonzero(epochs == epoch)
            shards[chosen], rows[chosen] = self._epoch(epoch).locate(within[chosen])
        return Places(shards, rows, epochs)

    def substitutes(self, position: int) -> Iterator[Places]:
        """Yield the places of the other samples of a position's block from the next one on, then of one beside it."""
        number, within = divmod(position, self.num_samples)
        epoch = self._epoch(number)
        for shards, rows in epoch.substitutes(within):
            yield Places(shards, rows, np.full_like(shards, number))

    def ahead(self, position: int, is_endless: bool) -> list[int]:
        """Return the shards of a position's block, and of the block that its lane comes to next.

        Args:
            position: Of the stream.
            is_endless: Whether another epoch follows.
        """
        number, within = divmod(position, self.num_samples)
        epoch = self._epoch(number)
        lane, place = epoch.find(within)
        block = lane.block_of(place)
        shards = lane.block(block).shards.tolist()
        if block + 2 < len(lane.bounds):
            return [*shards, *lane.block(block + 1).shards.tolist()]
        return [*shards, *self._epoch(number + 1).lanes[lane.number].block(0).shards.tolist()] if is_endless else shards

    def _epoch(self, number: int) -> "_Epoch":
        with self._lock:
            if number not in self._epochs:
                while len(self._epochs) >= _KEPT_EPOCHS:
                    del self._epochs[next(iter(self._epochs))]
                self._epochs[number] = _Epoch(self, number)
            return self._epochs[number]


class _Epoch:
    """One epoch of an order: its shards, dealt out to lanes, and their blocks."""

    def __init__(self, order: Order, number: int) -> None:
        self.order, self.number = order, number
        shards = np.arange(len(order.sizes))
        if order.shuffle:
            shards = permute(shards, len(shards), self.keys(SHARD_STREAM, 0, 0))
        self.lanes = [_Lane(self, lane, shards[lane :: order.lanes]) for lane in range(order.lanes)]
        sizes = np.array([lane.num_samples for lane in self.lanes])
        # Every lane has that many whole turns; what is left over comes behind, lane by lane.
        turns = int(sizes.min()) // order.lane_samples
        self.taken = turns * order.lane_samples
        self.tails = np.concatenate([[0], np.cumsum(sizes - self.taken)]) + self.taken * order.lanes

    def keys(self, stream: int, lane: int, block: int) -> list[int]:
        """Return what keys a shuffle of this epoch: outputs of Philox 4x64-10, whose bits numpy promises for good."""
        key = np.array([self.order.seed, self.number], np.uint64)
        counter = np.array([0, lane, block, stream], np.uint64)
        outputs: list[int] = np.random.Philox(key=key, counter=counter).random_raw(ROUNDS).tolist()
        return outputs

    def locate(self, within: Numbers) -> tuple[Numbers, Numbers]:
        """Return shard and row of the samples at these positions of the epoch."""
        if self.order.lanes == 1:
            return self.lanes[0].locate(within)
        lanes, places = self.split(within)
        shards, rows = np.empty_like(within), np.empty_like(within)
        for lane in np.unique(lanes).tolist():
            chosen = np.flatnonzero(lanes == lane)
            shards[chosen], rows[chosen] = self.lanes[lane].locate(places[chosen])
        return shards, rows

    def split(self, within: Numbers) -> tuple[Numbers, Numbers]:
        """Return lane, and position in that lane, of these positions of the epoch."""
        turns, rest = np.divmod(within, self.order.lane_samples)
        rounds, lanes = np.divmod(turns, self.order.lanes)
        tail = np.minimum(np.searchsorted(self.tails, within, side="right") - 1, self.order.lanes - 1)
        is_tail = within >= self.tails[0]
        places = np.where(is_tail, within - self.tails[tail] + self.taken, rounds * self.order.lane_samples + rest)
        return np.where(is_tail, tail, lanes), places

    def find(self, within: int) -> tuple["_Lane", int]:
        """Return lane, and position in it, of one position of the epoch."""
        lanes, places = self.split(np.array([within]))
        return self.lanes[int(lanes[0])], int(places[0])

    def substitutes(self, within: int) -> Iterator[tuple[Numbers, Numbers]]:
        """Yield shard and row of the other samples of a position's block, from the next one on, in growing runs.

        Behind them come those of the block beside it: a short last block may be one shard, and that one lost.
        """
        lane, place = self.find(within)
        number = lane.block_of(place)
        yield from lane.block(number).runs(place - int(lane.bounds[number]), 1)
        beside = number - 1 if number else 1  # the one before has just been read
        if beside < len(lane.bounds) - 1:
            yield from lane.block(beside).runs(0, 0)


class _Lane:
    """The shards of one lane in an epoch, cut into blocks."""

    def __init__(self, epoch: _Epoch, number: int, shards: Numbers) -> None:
        self.epoch, self.number, self.shards = epoch, number, shards
        ends = np.concatenate([[0], np.cumsum(epoch.order.sizes[shards])])
        self.num_samples = int(ends[-1])
        # Where each block begins; the last may be short, and its end is the lane's.
        self.bounds = np.append(ends[:-1:BLOCK_SHARDS], ends[-1])
        self._blocks: dict[int, _Block] = {}

    def locate(self, places: Numbers) -> tuple[Numbers, Numbers]:
        """Return shard and row of the samples at these positions of the lane."""
        first, last = self.block_of(int(places.min())), self.block_of(int(places.max()))
        if first == last:
            return self.block(first).locate(places - self.bounds[first])
        numbers = np.searchsorted(self.bounds, places, side="right") - 1
        shards, rows = np.empty_like(places), np.empty_like(places)
        for number in np.unique(numbers).tolist():
            chosen = np.flatnonzero(numbers == number)
            shards[chosen], rows[chosen] = self.block(number).locate(places[chosen] - self.bounds[number])
        return shards, rows

    def block_of(self, place: int) -> int:
        """Return the block that a position of the lane lies in; blocks without samples are passed over."""
        return int(np.searchsorted(self.bounds, place, side="right")) - 1

    def block(self, number: int) -> "_Block":
        """Return one block."""
        found = self._blocks.get(number)
        if found is None:
            shards = self.shards[number * BLOCK_SHARDS : (number + 1) * BLOCK_SHARDS]
            order = self.epoch.order
            keys = self.epoch.keys(BLOCK_STREAM, self.number, number) if order.shuffle else None
            found = _Block(shards, np.concatenate([[0], np.cumsum(order.sizes[shards])]), keys)
            if len(self._blocks) >= _KEPT_BLOCKS:
                self._blocks = {}
            self._blocks[number] = found
        return found


@dataclass(frozen=True)
class _Block:
    """A few shards whose samples are shuffled into one another; `starts` are theirs, with the end behind the last."""

    shards: Numbers
    starts: Numbers
    keys: Sequence[int] | None

    @property
    def num_samples(self) -> int:
        return int(self.starts[-1])

    def locate(self, places: Numbers) -> tuple[Numbers, Numbers]:
        shuffled = places if self.keys is None else permute(places, self.num_samples, self.keys)
        inside = np.searchsorted(self.starts, shuffled, side="right") - 1
        return self.shards[inside], shuffled - self.starts[inside]

    def runs(self, place: int, begin: int) -> Iterator[tuple[Numbers, Numbers]]:
        """Yield shard and row of this block's samples, from `begin` behind a place on, in growing runs."""
        end = begin + 1
        while begin < self.num_samples:
            yield self.locate((place + np.arange(begin, min(end, self.num_samples))) % self.num_samples)
            begin, end = end, min(3 * end, end + _MOST_AT_ONCE)
