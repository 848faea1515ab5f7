"""Batches in an order that is arithmetic: any rank, any worker, any restart agrees on it."""

import logging
import math
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shards.order import BLOCK_SHARDS, Order, Places
from shards.reader import DamageError
from shards.store import DatasetError

if TYPE_CHECKING:
    from shards.base_dataset import Dataset

logger = logging.getLogger(__name__)

STATE_VERSION = 2

Batch = dict[str, NDArray[Any]]
Noise = Literal["stored", "fresh"]
OnError = Literal["fail", "quarantine"]

_PLANNED_SAMPLES = 4096
"""At most so many samples' places are computed at a time: arrays of that size cost little more than those of one batch.

A loader begins with one batch and doubles, so that one that is stopped early has computed little in vain.
"""


class Loader:
    """Batches of a dataset, as dicts of arrays with the batch as their leading axis.

    The stream of samples is the same for every rank and batch size. With B samples a
    rank and W ranks, rank r takes the positions `s·B·W + r·B …` at step s. It runs on
    across the ends of epochs for ever, or, if finite, passes once over the dataset each
    time it is iterated; then the last batches are filled up with other samples and
    `valid`, bool `(B,)`, says which count.

    A batch of triplets holds `clean` uint8 `(B, S, S, C)`, `noise` and `noisy`
    float16 of the same shape, `step` (1 … K) and `draw` int64 `(B,)`, their factors
    `a` and `b` float32 `(B,)`, and `key`. A batch of windows holds `tokens`
    `(B, T + 1)`, `mask` bool `(B, T)`, true where the next word counts, and `key`.

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
        fields: The arrays wanted; all if None. What is not wanted is not read.
        on_error: What to do about damage: `fail` names shard and key; `quarantine` puts the next undamaged sample of
            the same block in its place, the same one on every run, and counts it. A store that gives no
            answer is no damage.
        lanes: L: deal the shards out to so many lanes, see `shards.order`.
        lane_samples: Samples of a lane before the next one's turn; the batch size if None.

    Raises:
        ValueError: An argument is impossible; the message names it.
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
        if unknown := set(fields or ()) - set(dataset.fields):
            raise ValueError(f"fields: {sorted(unknown)} are none of {', '.join(dataset.fields)}")
        self.dataset = dataset.tolerant() if on_error == "quarantine" else dataset
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.workers = workers
        self.finite = finite
        self.noise: Noise = noise
        self.fields = dataset.fields if fields is None else tuple(fields)
        self.order = Order(dataset.sizes, seed, shuffle, lanes, lane_samples or batch_size)
        # A rank meets so many lanes; each is read from a block of its own.
        num_lanes = lanes // math.gcd(lanes, world_size) if self.order.lane_samples == batch_size else lanes
        self.dataset.shards.keep(2 * BLOCK_SHARDS * num_lanes)
        self._quarantined: list[int] = []  # the shard of each sample replaced; appending is safe among threads
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
        """How many samples were replaced so far."""
        return len(self._quarantined)

    def batches(self, worker: int = 0, num_workers: int = 1) -> Iterator[Batch]:
        """Yield every `num_workers`-th batch of this rank from where this loader stands, from the `worker`-th on.

        For workers that take turns, such as those of torch's `DataLoader`; where this loader stands does not change.
        """
        step = self.batch_size * self.world_size
        planned = self._plan(self._position + worker * step, num_workers * step)
        if not self.workers:
            yield from (self.read(*part) for part in planned)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            ahead: deque[Future[Batch]] = deque()
            try:
                for part in planned:
                    ahead.append(pool.submit(self.read, *part))
                    if len(ahead) > 2 * self.workers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def read(self, position: int, places: Places) -> Batch:
        """Return the batch of the samples at these places, which begin at a position of the stream.

        Raises:
            DatasetError: A sample is damaged, or with `quarantine` every sample of its block.
        """
        try:
            batch = self.dataset.read(places, self.noise, self.fields)
        except DamageError:
            if not self.dataset.is_tolerant:
                raise
            batch = self.dataset.read(self._mended(position, places), self.noise, self.fields)
        if self.finite:
            batch["valid"] = np.arange(position, position + len(places)) < len(self.dataset)
        return batch

    def locate(self, position: int, count: int) -> Places:
        """Return where the samples from a position of the stream on stand."""
        return self.order.locate(np.arange(position, position + count))

    def skip(self, num_batches: int) -> None:
        """Count batches that somebody else delivered, as torch's `DataLoader` did."""
        self._position += num_batches * self.batch_size * self.world_size
        self._is_resumed = True

    def state_dict(self) -> dict[str, Any]:
        """Return, as JSON values, what was delivered: enough to go on at the next sample under any world size."""
        return {
            "version": STATE_VERSION,
            "manifest_sha256": self.dataset.manifest_sha256,
            "split": self.dataset.split,
            "shuffle": self.order.shuffle,
            "seed": self.order.seed,
            "lanes": self.order.lanes,
            "lane_samples": self.order.lane_samples if self.order.lanes > 1 else 1,
            "epoch": self._position // len(self.dataset),
            "position": self._position,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a state was taken.

        Raises:
            DatasetError: The state belongs to another dataset, split or order.
        """
        refuse_another_order(state, self.state_dict())
        self._position = int(state["position"])
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
                if self.dataset.shards.store.is_remote:
                    self.dataset.shards.want(self.order.ahead(start, is_endless=not self.finite))
                yield start, places[number * self.batch_size : (number + 1) * self.batch_size]
                position += stride
            at_once = min(2 * at_once, most_at_once)

    def _mended(self, position: int, places: Places) -> Places:
        """Return the places with damaged samples replaced by the next undamaged ones of their blocks.

        Raises:
            DatasetError: A block has none.
        """
        shards, rows = places.shards.copy(), places.rows.copy()
        for number in np.flatnonzero(~self.dataset.are_whole(places, self.noise, self.fields)).tolist():
            if not self.finite or position + number < len(self.dataset):  # what fills up a last batch does not count
                self._count(int(shards[number]))
            for other in self.order.substitutes(position + number):
                if self.dataset.are_whole(other, self.noise, self.fields)[0]:
                    shards[number], rows[number] = other.shards[0], other.rows[0]
                    break
            else:
                path = self.dataset.shards.path(int(shards[number]))
                raise DatasetError(f"{path} and the shards of its block: every sample is damaged; copy them again")
        return Places(shards, rows, places.epochs)

    def _count(self, shard: int) -> None:
        """Count a sample that was replaced, and tell of its shard the first time."""
        if shard not in self._quarantined:
            logger.warning("%s is damaged: other samples stand in for those lost", self.dataset.shards.path(shard))
        self._quarantined.append(shard)


def refuse_another_order(state: dict[str, Any], own: dict[str, Any]) -> None:
    """Check that a state was taken from a loader like this one; where it stands may differ.

    Raises:
        DatasetError: It was not.
    """
    for name in own.keys() - {"epoch", "position"} if state.get("version") == own["version"] else {"version"}:
        if state.get(name) != own[name]:
            raise DatasetError(
                f"the loader's state has {name} {state.get(name)!r}, this loader {own[name]!r}: "
                "resume with the dataset and settings it was taken with"
            )
