"""The processes that train one model together, each on its share of every batch: `torchrun -m models.NAME …`.

One process alone is a world of size 1: every method then returns what it is given.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from models.devices import choose_device
from models.runs import RunError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: r, 0 … W − 1; rank 0 prints and writes.
        size: W.
        device: what this process computes on.
        talk: the group that settles things between two steps, on the CPU; None where W is 1.
    """

    rank: int
    size: int
    device: torch.device
    talk: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def share_of(self, batch_size: int) -> int:
        """Return how many samples of a batch are this process's.

        Raises:
            RunError: they cannot be dealt out evenly.
        """
        if batch_size % self.size:
            raise RunError(f"--batch-size {batch_size}: {self.size} processes share it; give a multiple of {self.size}")
        return batch_size // self.size

    def from_first(self, value: Value) -> Value:
        """Return what rank 0 says."""
        if self.talk is None:
            return value
        said = [value]
        dist.broadcast_object_list(said, src=0, group=self.talk)
        return said[0]

    def mean(self, value: float) -> float:
        """Return the mean of every process's value."""
        return self._reduced(value, dist.ReduceOp.SUM) / self.size

    def most(self, value: float) -> float:
        """Return the greatest of every process's values."""
        return self._reduced(value, dist.ReduceOp.MAX)

    def _reduced(self, value: float, operation: dist.ReduceOp.RedOpType) -> float:
        if self.talk is None:
            return value
        held = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(held, operation, group=self.talk)
        return float(held)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all processes: that of the whole batch."""
        if self.talk is None:
            return
        gradients: list[Tensor] = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view_as(to) for part, to in zip(parts, gradients, strict=True)])


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started, if it did; leave them at the end.

    Raises:
        RunError: there is no such device.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if size == 1:
        yield Ranks(0, 1, choose_device(device))
        return
    chosen = choose_device(device)
    if chosen.type == "cuda":
        chosen = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Ranks(rank, size, chosen, dist.new_group(backend="gloo"))
    finally:
        dist.destroy_process_group()
