"""What a training measures of itself between two reports: losses, speed, how long it waits for data, memory."""

import math
import resource
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from models.ranks import Ranks
from models.runs import RunError

Batch = TypeVar("Batch")

KEYS_TOLD = 3
"""Keys of a bad batch that the message names."""


class Meter:
    """Takes note of every step; refuses losses that are no numbers.

    A loss on a GPU is looked at one step later, so that the GPU never waits for this process.

    Args:
        ranks: the processes that train together.
        losses: those since the last report, of a training that goes on.
    """

    def __init__(self, ranks: Ranks, losses: Sequence[float] = ()) -> None:
        self._ranks = ranks
        self._losses = list(losses)
        self._pending: tuple[Tensor, int, Sequence[str]] | None = None
        self._num_samples, self._wait_s = 0, 0.0
        self._started = time.perf_counter()

    def waiting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield batches; the time each is waited for counts as waiting for data."""
        while True:
            began = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self._wait_s += time.perf_counter() - began
            yield batch

    def step(self, loss: Tensor, gradient: Tensor, step: int, keys: Sequence[str]) -> None:
        """Take note of an optimiser step.

        Args:
            loss: of this process's samples, ().
            gradient: its length, ().
            step: which optimiser step it was, from 1 on.
            keys: of the samples.

        Raises:
            RunError: loss or gradient of this step or the one before is no number.
        """
        self.settle()
        self._pending = (torch.stack([loss.detach(), gradient.detach()]), step, keys)
        self._num_samples += len(keys)
        if loss.device.type == "cpu":
            self.settle()

    def settle(self) -> list[float]:
        """Look at what has not been looked at yet; return the losses since the last report.

        Raises:
            RunError: one is no number.
        """
        if self._pending is not None:
            (loss, gradient), step, keys = self._pending[0].tolist(), *self._pending[1:]
            self._pending = None
            refuse_divergence(loss, step, keys)
            refuse_divergence(gradient, step, keys, "gradient's length")
            self._losses.append(loss)
        return self._losses

    def report(self) -> dict[str, float]:
        """Return what was measured since the last report, over all processes, and begin anew.

        Returns:
            `train`: the mean loss; `samples_per_s`; `data_wait`: the share of the time that the slowest process waited;
            `peak_memory_mb`: the most that a process has held so far, on the GPU where there is one.
        """
        losses = self.settle()
        seconds = time.perf_counter() - self._started
        mean_loss = self._ranks.mean(sum(losses) / max(1, len(losses)))
        row = {
            "train": mean_loss,
            "samples_per_s": round(self._num_samples * self._ranks.size / seconds, 1),
            "data_wait": round(self._ranks.most(self._wait_s / seconds), 4),
            "peak_memory_mb": round(self._ranks.most(peak_memory_mb(self._ranks.device)), 1),
        }
        self._losses.clear()
        self._num_samples, self._wait_s, self._started = 0, 0.0, time.perf_counter()
        return row


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory held so far, in MB: by torch on a GPU, by this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def refuse_divergence(value: float, step: int, keys: Sequence[str] = (), name: str = "loss") -> None:
    """Check that a loss is a number.

    Args:
        value: the loss, or what `name` says it is.
        step: optimiser steps done.
        keys: of the samples it was taken on.
        name: what the value is.

    Raises:
        RunError: it is infinite or none.
    """
    if math.isfinite(value):
        return
    more = f", … ({len(keys)} in all)" if len(keys) > KEYS_TOLD else ""
    batch = f" on the samples {', '.join(keys[:KEYS_TOLD])}{more}" if keys else ""
    raise RunError(f"step {step}: the {name} is {value}{batch}; train anew with a smaller --learning-rate")
