"""Batches in an order that is arithmetic: any rank, any worker, any restart agrees on it."""

import logging
import math
import operator
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shards.loader_state import State, check_epoch, checked_position
from shards.order import BLOCK_SHARDS, Order, Places
from shards.read_ahead import read_ahead
from shards.shard import DamageError
from shards.store import DatasetError

if TYPE_CHECKING:
    from shards.base_dataset import Dataset

logger = logging.getLogger(__name__)

STATE_VERSION = 3

Batch = dict[str, NDArray[Any]]
Noise = Literal["stored", "fresh"]
OnError = Literal["fail", "quarantine"]

_PLANNED_SAMPLES = 4096
"""At most so many samples' places are computed at a time: arrays of that size cost little more than those of one batch.

A loader begins with one batch and doubles, so that one that is stopped early has computed little in vain.
"""


class Reading(NamedTuple):
    """A batch that was read, and the shards of those samples that others stand in for, one each."""

    batch: Batch
    replaced: tuple[int, ...] = ()


class Loader:
    """Batches of a dataset, as dicts of arrays with the batch as their leading axis.

    The stream of samples is the same for every rank and batch size. With B samples a
    rank and W ranks, rank r takes the positions `s·B·W + r·B …` at step s. It runs on
    across the ends of epochs for ever, or, if finite, passes once over the dataset each
    time it is iterated; then the last batches are filled up with other samples and
    `valid`, bool `(B,)`, says which count.

    A batch of triplets holds `clean` uint8 `(B, S, S, C)`, `noise` and `noisy`
    float16 of the same shape, `step` (1 … K) and `draw` int64 `(B,)`, their factors
    `a` and `b` float32 `(B,)`, and `key`; asked for by name, `caption` too. A batch of windows holds `tokens`
    `(B, T + 1)`, `mask` bool `(B, T)`, true where the next word counts, and `key`; asked for by name, `documents` int32
    `(B, T)`, the number of the document in its window that the next word stands in, −1 behind the last.

    Args:
        dataset: What to read.
        batch_size: B, samples a step and rank.
        seed: Of the order, 0 to 2**64 - 1.
        rank: r, below `world_size`.
        world_size: W.
        workers: Threads that read ahead, two batches each; 0 reads when a batch is asked for.
        shuffle: Whether to shuffle, anew each epoch.
        finite: Whether to end after one pass.
        noise: `stored`, or `fresh`: the draw counts on with the epoch, so that no picture meets a static twice.
        fields: The arrays wanted; all but `more_fields` if None. What is not wanted is not read.
        on_error: What to do about damage: `fail` names shard and key; `quarantine` puts the next undamaged sample of
            the same block in its place, or, where that has none, one of the block beside it: the same one for every
            batch size, rank and run. It counts them. A store that gives no answer is no damage.
        lanes: L: deal the shards out to so many lanes, see `shards.order`.
        lane_samples: Samples of a lane before the next one's turn; the batch size if None.

    Raises:
        ValueError: An argument is impossible; the message names it.
        TypeError: One that counts is no integer.
        DamageError: The manifest counts other samples than the shards that it lists, unless on_error is `quarantine`.
    """

    def __init__(
        self,
        dataset: "Dataset",
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        shuffle: bool = True,
        finite: bool = False,
        noise: Noise = "stored",
        fields: Collection[str] | None = None,
        on_error: OnError = "fail",
        lanes: int = 1,
        lane_samples: int | None = None,
    ) -> None:
        # Of numpy's integers, of which no JSON is made, plain ones.
        batch_size, rank, world_size, lanes = map(operator.index, (batch_size, rank, world_size, lanes))
        seed, workers = operator.index(seed), operator.index(workers)
        lane_samples = batch_size if lane_samples is None else operator.index(lane_samples)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it must be 1 or more")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank is {rank} of world_size {world_size}: it must lie between 0 and world_size - 1")
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed is {seed}: it must lie between 0 and 2**64 - 1")
        if workers < 0:
            raise ValueError(f"workers is {workers}: it must be 0 or more")
        if noise not in ("stored", "fresh"):
            raise ValueError(f"noise is {noise!r}: use 'stored' or 'fresh'")
        if on_error not in ("fail", "quarantine"):
            raise ValueError(f"on_error is {on_error!r}: use 'fail' or 'quarantine'")
        known = (*dataset.fields, *dataset.more_fields)
        if unknown := set(fields or ()) - set(known):
            raise ValueError(f"fields: {sorted(unknown)} are none of {', '.join(known)}")
        dataset.check_count(is_tolerant=on_error == "quarantine")
        self.dataset = dataset.tolerant() if on_error == "quarantine" else dataset
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.workers = workers
        self.finite = finite
        self.noise: Noise = noise
        self.fields = dataset.fields if fields is None else tuple(fields)
        self.order = Order(dataset.sizes, seed, bool(shuffle), lanes, lane_samples)
        # A rank meets so many lanes; each is read from a block of its own.
        num_lanes = lanes // math.gcd(lanes, world_size) if self.order.lane_samples == batch_size else lanes
        self.dataset.shards.keep(2 * BLOCK_SHARDS * num_lanes)
        self._num_quarantined = 0
        self._told: set[int] = set()
        self._position = 0
        self._is_resumed = False

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from where this loader stands; a finite pass begins anew unless a state was just loaded."""
        if self.finite and not self._is_resumed:
            self._position = 0
        self._is_resumed = False
        for batch in self.batches():
            # Counted before it is handed out: a state taken in the loop's body has it behind it.
            self._position += self.batch_size * self.world_size
            yield batch

    @property
    def num_quarantined(self) -> int:
        """How many samples were replaced in the batches delivered so far."""
        return self._num_quarantined

    def batches(self, worker: int = 0, num_workers: int = 1) -> Iterator[Batch]:
        """Yield every `num_workers`-th batch of this rank from where this loader stands, from the `worker`-th on.

        For workers that take turns, such as those of torch's `DataLoader`; where this loader stands does not change.
        """
        step = self.batch_size * self.world_size
        planned = self._plan(self._position + worker * step, num_workers * step)
        for reading in read_ahead(lambda part: self.read(*part), planned, self.workers):
            yield self.deliver(reading)

    def read(self, position: int, places: Places) -> Reading:
        """Return the batch of the samples at these places, which begin at a position of the stream.

        Raises:
            DatasetError: A sample is damaged, or with `quarantine` every sample of its block and the one beside it.
        """
        replaced: tuple[int, ...] = ()
        try:
            batch = self.dataset.read(places, self.noise, self.fields)
        except DamageError:
            if not self.dataset.is_tolerant:
                raise
            mended, replaced = self._mended(position, places)
            batch = self.dataset.read(mended, self.noise, self.fields)
        if self.finite:
            batch["valid"] = np.arange(position, position + len(places)) < len(self.dataset)
        return Reading(batch, replaced)

    def deliver(self, reading: Reading) -> Batch:
        """Return a batch that is handed out now: its samples that were replaced count, and their shards are told."""
        for shard in set(reading.replaced) - self._told:
            logger.warning("%s is damaged: other samples stand in for those lost", self.dataset.shards.path(shard))
            self._told.add(shard)
        self._num_quarantined += len(reading.replaced)
        return reading.batch

    def count_quarantined(self, count: int) -> None:
        """Count samples that were replaced in batches that another process read for this one."""
        self._num_quarantined += count

    def want(self, position: int) -> None:
        """Begin to fetch the shards around a position of the stream, where they lie behind a URL."""
        if self.dataset.shards.store.is_remote:
            self.dataset.shards.want(self.order.ahead(position, is_endless=not self.finite))

    def locate(self, position: int, count: int) -> Places:
        """Return where the samples from a position of the stream on stand."""
        return self.order.locate(np.arange(position, position + count))

    def skip(self, num_batches: int) -> None:
        """Count batches that somebody else delivered, as torch's `DataLoader` did."""
        self._position += num_batches * self.batch_size * self.world_size
        self._is_resumed = True

    def state_dict(self) -> State:
        """Return, as JSON values, what was delivered: enough to go on at the next sample under any world size."""
        return {
            "version": STATE_VERSION,
            "manifest_sha256": self.dataset.manifest_sha256,
            "split": self.dataset.split,
            "shuffle": self.order.shuffle,
            "seed": self.order.seed,
            "noise": self.noise,
            "lanes": self.order.lanes,
            "lane_samples": self.order.lane_samples if self.order.lanes > 1 else 1,
            "epoch": self._position // len(self.dataset),
            "position": self._position,
        }

    def load_state_dict(self, state: State) -> None:
        """Go on where a state was taken.

        Raises:
            ValueError: It is no state of a loader; the message names the value.
            DatasetError: The state belongs to another dataset, split, order or noise.
        """
        position = checked_position(state, self.state_dict())
        check_epoch(state, position, len(self.dataset))
        self._position = position
        self._is_resumed = True

    def _plan(self, position: int, stride: int) -> Iterator[tuple[int, Places]]:
        """Yield position and places of each batch of this rank, the first at `position`, the next `stride` on."""
        at_once, most_at_once = 1, max(1, _PLANNED_SAMPLES // self.batch_size)
        while not self.finite or position < len(self.dataset):
            starts = position + self.rank * self.batch_size + stride * np.arange(at_once)
            places = self.order.locate((starts[:, None] + np.arange(self.batch_size)).reshape(-1))
            if self.finite:
                places = replace(places, epochs=np.zeros_like(places.epochs))
            for number, start in enumerate(starts.tolist()):
                if self.finite and position >= len(self.dataset):
                    return
                self.want(start)
                yield start, places[number * self.batch_size : (number + 1) * self.batch_size]
                position += stride
            at_once = min(2 * at_once, most_at_once)

    def _mended(self, position: int, places: Places) -> tuple[Places, tuple[int, ...]]:
        """Return the places with damaged samples replaced by undamaged ones; see `_substitute`.

        With them, the shards of those that count: what only fills up a last batch does not.

        Raises:
            DatasetError: There are none.
        """
        shards, rows, replaced = places.shards.copy(), places.rows.copy(), []
        for number in np.flatnonzero(~self.dataset.are_whole(places, self.noise, self.fields)).tolist():
            if not self.finite or position + number < len(self.dataset):
                replaced.append(int(shards[number]))
            shards[number], rows[number] = self._substitute(position + number, int(shards[number]))
        return Places(shards, rows, places.epochs), tuple(replaced)

    def _substitute(self, position: int, shard: int) -> tuple[int, int]:
        """Return shard and row of the next undamaged sample of a position's block, or of the block beside it.

        Raises:
            DatasetError: There is none.
        """
        for others in self.order.substitutes(position):
            found = np.flatnonzero(self.dataset.are_whole(others, self.noise, self.fields))
            if found.size:
                return int(others.shards[found[0]]), int(others.rows[found[0]])
        reason = self.dataset.shards.reason(shard)
        told = f"{self.dataset.shards.path(shard)} and the shards of its block: every sample is damaged"
        raise DatasetError(f"{told}; copy them again{f' ({reason})' if reason else ''}")
