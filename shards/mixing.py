"""Several datasets as one stream, by integer weights."""

import hashlib
import heapq
import json
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shards.loader import Batch, Loader, Reading
from shards.loader_state import State, checked_position
from shards.read_ahead import read_ahead
from shards.store import DatasetError

MAX_PERIOD = 1 << 20
"""The most that weights without a common divisor may add up to."""

STATE_VERSION = 2


class _MixedReading(NamedTuple):
    """A batch that was read, and what it was put together of: each dataset's number and reading."""

    batch: Batch
    parts: tuple[tuple[int, Reading], ...]


class MixedLoader:
    """Batches whose samples come from several datasets, each as often as its weight says.

    In each run of as many samples as the weights add up to, a dataset of weight w comes w times, evenly spread: at
    every position of the stream it is less than one sample away from its quota. Which dataset a position
    belongs to, and which of that dataset's samples stands there, is arithmetic: any number of ranks and any batch size
    see the same stream, and it resumes at any sample.

    A batch holds what the datasets' batches hold, and `dataset`, int64 `(B,)`: the number of the loader that each
    sample came from.

    Args:
        loaders: Of the datasets, endless, with equal arrays; their own batch size, rank and position do not matter.
            What each says of damage holds for its samples.
        weights: One for each, integers of 1 or more.
        batch_size: B, samples a step and rank.
        rank: r, below `world_size`.
        world_size: W.
        workers: Threads that read ahead, two batches each; as many as the loader that has the most if None.

    Raises:
        ValueError: An argument is impossible; the message names it.
        TypeError: One that counts is no integer.
    """

    def __init__(
        self,
        loaders: Sequence[Loader],
        weights: Sequence[int],
        batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        workers: int | None = None,
    ) -> None:
        weights = [operator.index(weight) for weight in weights]
        batch_size, rank, world_size = map(operator.index, (batch_size, rank, world_size))
        if len(loaders) != len(weights) or not weights or min(weights) < 1:
            raise ValueError(f"weights are {list(weights)} of {len(loaders)} datasets: give one of 1 or more for each")
        if batch_size < 1 or not 0 <= rank < world_size:
            raise ValueError(f"batch_size {batch_size}, rank {rank} of {world_size}: give 1 or more, and a rank below")
        if workers is not None and workers < 0:
            raise ValueError(f"workers is {workers}: it must be 0 or more")
        if any(loader.finite for loader in loaders):
            raise ValueError("a mixture has no end: give loaders that are not finite")
        divisor = math.gcd(*weights)
        self.loaders = tuple(loaders)
        self.weights = tuple(weight // divisor for weight in weights)
        if sum(self.weights) > MAX_PERIOD:
            raise ValueError(f"weights {list(weights)} add up to more than {MAX_PERIOD}: give rounder ones")
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.workers = max(loader.workers for loader in loaders) if workers is None else workers
        self._turns = spread(self.weights)
        counts = np.zeros((len(self._turns) + 1, len(weights)), np.int64)
        np.cumsum(self._turns[:, None] == np.arange(len(weights)), axis=0, out=counts[1:])
        self._counts = counts
        self._num_elsewhere = 0
        self._position = 0

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from where this loader stands, for ever."""
        for batch in self.batches():
            self._position += self.batch_size * self.world_size
            yield batch

    @property
    def num_quarantined(self) -> int:
        """How many samples were replaced in the batches delivered so far."""
        return self._num_elsewhere + sum(loader.num_quarantined for loader in self.loaders)

    def count_quarantined(self, count: int) -> None:
        """Count samples that were replaced in batches that another process read for this one."""
        self._num_elsewhere += count

    def batches(self, worker: int = 0, num_workers: int = 1) -> Iterator[Batch]:
        """Yield every `num_workers`-th batch of this rank from where this loader stands; see `Loader.batches`."""
        step = self.batch_size * self.world_size
        first = self._position + worker * step + self.rank * self.batch_size
        for reading in read_ahead(self._read, self._plan(first, num_workers * step), self.workers):
            for number, part in reading.parts:
                self.loaders[number].deliver(part)
            yield reading.batch

    def skip(self, num_batches: int) -> None:
        """Count batches that somebody else delivered, as torch's `DataLoader` did."""
        self._position += num_batches * self.batch_size * self.world_size

    def state_dict(self) -> State:
        """Return, as JSON values, what was delivered: enough to go on at the next sample under any world size."""
        orders = [loader.state_dict() | {"epoch": 0, "position": 0} for loader in self.loaders]
        return {
            "version": STATE_VERSION,
            "weights_sha256": _digest(self.weights),
            "datasets_sha256": _digest(orders),
            "position": self._position,
        }

    def load_state_dict(self, state: State) -> None:
        """Go on where a state was taken.

        Raises:
            ValueError: It is no state of a mixture; the message names the value.
            DatasetError: The state belongs to other datasets, orders or weights.
        """
        self._position = checked_position(state, self.state_dict())

    def taken(self, position: int) -> NDArray[np.int64]:
        """Return how many samples of each dataset stand before a position of the stream."""
        periods, rest = divmod(position, len(self._turns))
        taken: NDArray[np.int64] = periods * np.array(self.weights) + self._counts[rest]
        return taken

    def _plan(self, position: int, stride: int) -> Iterator[int]:
        """Yield the positions at which batches begin; what they are read from begins to be fetched."""
        while True:
            for loader, first in zip(self.loaders, self.taken(position).tolist(), strict=True):
                loader.want(first)
            yield position
            position += stride

    def _read(self, position: int) -> _MixedReading:
        """Return the batch of the samples from a position of the stream on."""
        turns = self._turns[np.arange(position, position + self.batch_size) % len(self._turns)]
        firsts = self.taken(position)
        mixed: Batch = {}
        parts = []
        for number in np.unique(turns).tolist():
            chosen = np.flatnonzero(turns == number)
            loader, first = self.loaders[number], int(firsts[number])
            reading = loader.read(first, loader.locate(first, len(chosen)))
            parts.append((number, reading))
            folder = loader.dataset.where
            for name, values in reading.batch.items():
                mixed[name] = _put(mixed.get(name), chosen, values, self.batch_size, f"{folder}: {name}")
            if mixed.keys() != reading.batch.keys():
                have = f"{folder} has {', '.join(reading.batch)}, another {', '.join(mixed)}"
                raise DatasetError(f"{have}: ask for equal fields")
        return _MixedReading(mixed | {"dataset": turns}, tuple(parts))


def spread(weights: Sequence[int]) -> NDArray[np.int64]:
    """Return whose turn it is in one period, int64 `(sum(weights),)`, each dataset's turns evenly spread.

    The i-th turn of weight w of W, from 0, may come from position `i W / w` on and is due before `(i + 1) W / w`; of
    all that may come, the one due first comes. So no dataset is ever a whole sample away from its quota.

    Source: Tijdeman, "The chairman assignment problem", Discrete Mathematics 32 (1980).

    >>> spread([2, 3]).tolist()
    [1, 0, 1, 0, 1]
    """
    period = sum(weights)
    turns, done = np.empty(period, np.int64), [0] * len(weights)
    waiting = [(0, number) for number in range(len(weights))]  # first position a turn may have, dataset
    ready: list[tuple[int, int]] = []  # first position it must not have, dataset
    for position in range(period):
        while waiting and waiting[0][0] <= position:
            number = heapq.heappop(waiting)[1]
            heapq.heappush(ready, (-(-(done[number] + 1) * period // weights[number]), number))
        number = heapq.heappop(ready)[1]
        turns[position] = number
        done[number] += 1
        if done[number] < weights[number]:
            heapq.heappush(waiting, (done[number] * period // weights[number], number))
    return turns


def _put(
    mixed: NDArray[Any] | None, chosen: NDArray[np.int64], values: NDArray[Any], batch_size: int, what: str
) -> NDArray[Any]:
    """Put one dataset's values at their places in a batch, which is made if there is none yet.

    Raises:
        DatasetError: They are of another type or shape than those there.
    """
    is_text = values.dtype.kind == "U"
    if mixed is None:
        mixed = np.empty((batch_size, *values.shape[1:]), values.dtype)
    elif is_text:
        mixed = mixed.astype(max(mixed.dtype, values.dtype))
    elif (mixed.dtype, mixed.shape[1:]) != (values.dtype, values.shape[1:]):
        told = f"{values.dtype} {values.shape[1:]}, another dataset's {mixed.dtype} {mixed.shape[1:]}"
        raise DatasetError(f"{what} is {told}: only equal arrays can be mixed")
    mixed[chosen] = values
    return mixed


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
