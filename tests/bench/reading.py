"""Our side of reading: `python -m tests.bench.reading SIDE DATA`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from shards import open_dataset
from tests.bench.timing import run_side

TRIPLET_BATCH, WINDOW_BATCH = 256, 64
ARRAYS = ("clean", "noise", "noisy")


def materialised(data: Path) -> Iterator[int]:
    """Shuffled batches of the three arrays, every member's CRC-32C checked."""
    yield from _samples(data / "triplets", ARRAYS)


def virtual(data: Path) -> Iterator[int]:
    """Shuffled batches of the three arrays, noise and mix made on the way."""
    yield from _samples(data / "virtual", ARRAYS)


def windows(data: Path) -> Iterator[int]:
    """Shuffled windows as int64 tensors: context and next words."""
    for batch in open_dataset(data / "windows").loader(WINDOW_BATCH, fields=("tokens",)):
        tokens = torch.from_numpy(batch["tokens"]).long()
        context, following = tokens[:, :-1], tokens[:, 1:]
        assert context.shape == following.shape
        yield following.numel()


def _samples(dataset: Path, fields: tuple[str, ...]) -> Iterator[int]:
    batch: dict[str, Any]
    for batch in open_dataset(dataset).loader(TRIPLET_BATCH, fields=fields):
        yield len(batch["clean"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_side({side.__name__: side for side in (materialised, virtual, windows)})
