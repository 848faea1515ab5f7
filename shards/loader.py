"""Batches in an order that is arithmetic: any rank, any worker, any restart agrees on it."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shards.order import Order
from shards.reader import DatasetError

if TYPE_CHECKING:
    from shards.dataset import Dataset

STATE_VERSION = 1


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
        shuffle: Whether to shuffle, anew each epoch.
        finite: Whether to end after one pass.
        noise: `stored`, or `fresh`: the draw counts on with the epoch, so that no picture meets a static twice.
        fields: The arrays wanted; all if None. What is not wanted is not read.

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
        shuffle: bool = True,
        finite: bool = False,
        noise: Literal["stored", "fresh"] = "stored",
        fields: Collection[str] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it must be 1 or more")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank is {rank} of world_size {world_size}: it must lie between 0 and world_size - 1")
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed is {seed}: it must lie between 0 and 2**64 - 1")
        if noise not in ("stored", "fresh"):
            raise ValueError(f"noise is {noise!r}: use 'stored' or 'fresh'")
        if unknown := set(fields or ()) - set(dataset.fields):
            raise ValueError(f"fields: {sorted(unknown)} are none of {', '.join(dataset.fields)}")
        self.dataset = dataset
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.finite = finite
        self.noise = noise
        self.fields = dataset.fields if fields is None else tuple(fields)
        self.order = Order(dataset.sizes, seed, shuffle)
        self._position = 0
        self._is_resumed = False

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield batches from where this loader stands; a finite pass begins anew unless a state was just loaded."""
        if self.finite and not self._is_resumed:
            self._position = 0
        self._is_resumed = False
        while not self.finite or self._position < len(self.dataset):
            batch = self._batch(self._position + self.rank * self.batch_size)
            # Counted before it is handed out: a state taken in the loop's body has it behind it.
            self._position += self.batch_size * self.world_size
            yield batch

    def batches(self, worker: int = 0, num_workers: int = 1) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield every `num_workers`-th batch of this rank from where this loader stands, from the `worker`-th on.

        For workers that take turns, such as those of torch's `DataLoader`; where this loader stands does not change.
        """
        step = self.batch_size * self.world_size
        position = self._position + worker * step
        while not self.finite or position < len(self.dataset):
            yield self._batch(position + self.rank * self.batch_size)
            position += num_workers * step

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
            "epoch": self._position // len(self.dataset),
            "position": self._position,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a state was taken.

        Raises:
            DatasetError: The state belongs to another dataset, split or order.
        """
        expected = self.state_dict()
        for name in ("version", "manifest_sha256", "split", "shuffle", "seed"):
            if state.get(name) != expected[name]:
                raise DatasetError(
                    f"the loader's state has {name} {state.get(name)!r}, this loader {expected[name]!r}: "
                    "resume with the dataset and settings it was taken with"
                )
        self._position = int(state["position"])
        self._is_resumed = True

    def _batch(self, position: int) -> dict[str, NDArray[Any]]:
        """Return the batch of the samples from a position of the stream on."""
        places = self.order.locate(position, self.batch_size)
        if not self.finite:
            return self.dataset.read(places, self.noise, self.fields)
        once = replace(places, epochs=np.zeros_like(places.epochs))
        batch = self.dataset.read(once, self.noise, self.fields)
        return batch | {"valid": np.arange(position, position + self.batch_size) < len(self.dataset)}
