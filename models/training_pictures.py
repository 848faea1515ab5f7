"""The pictures a denoiser is trained on: opened, surveyed, and those held out beside them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.open_stage import open_stage
from models.runs import RunError
from shards.dataset import TripletDataset
from shards.loader import Batch

JUDGED_TOGETHER = 64
"""Triplets per batch where nothing is trained: surveying and judging."""

LEAST_HELD_OUT = 3
"""Pictures of which a distance can be estimated, with its error."""

NUM_PICTURES_SURVEYED = 512
"""Training pictures from which mean and principal directions are taken; their Gram matrix takes a second."""


def survey(dataset: TripletDataset, most: int = NUM_PICTURES_SURVEYED) -> NDArray[np.uint8]:
    """Return up to `most` of a dataset's pictures, uint8 (N, S, S, C), each once."""
    found: dict[str, NDArray[np.uint8]] = {}
    for batch in dataset.loader(JUDGED_TOGETHER, finite=True, fields=("clean", "key")):
        for key, clean in zip(batch["key"][batch["valid"]], batch["clean"][batch["valid"]], strict=True):
            found.setdefault(_picture(key), clean)
        if len(found) >= most:
            break
    return np.stack([found[key] for key in sorted(found)[:most]])


def held_out_pictures(path: str, most: int) -> NDArray[np.uint8]:
    """Return up to `most` pictures of split test, or val where there is no test; uint8 (N, S, S, C).

    Raises:
        RunError: too few are held out to compare with.
    """
    held = open_triplets(path, "train").manifest.splits
    for split in ("test", "val"):
        if held.get(split):
            found = survey(open_triplets(path, split), most)
            if len(found) >= LEAST_HELD_OUT:
                return found
    raise RunError(f"{path}: fewer than {LEAST_HELD_OUT} pictures are held out; build with split.test above 0")


def open_triplets(path: str | Path, split: str, corruption: str = "") -> TripletDataset:
    """Return a split of the triplets in `path`: what a build wrote, its triplets folder, or a dataset in it.

    Args:
        path: a folder or a URL.
        split: train, val or test.
        corruption: in place of what is stored, one of `shards.corruption.CORRUPTIONS`; "" takes what is stored.

    Raises:
        DatasetError: it has no such split.
        RunError: it holds no triplets.
    """
    dataset = open_stage(path, "triplets", split)
    if not isinstance(dataset, TripletDataset):
        raise RunError(f"{path}: holds no triplets; give a dataset of triplets")
    return dataset.corrupted(corruption) if corruption not in ("", dataset.spec.corruption) else dataset


def held_out_of(path: str, dataset: TripletDataset) -> TripletDataset:
    """Return the triplets held out beside those for training, or these, saying so, where none are."""
    if dataset.manifest.splits.get("val"):
        return open_triplets(path, "val", dataset.spec.corruption)
    print("no pictures are held out (no split val): errors are measured on the training pictures", flush=True)
    return dataset


def each_picture(dataset: TripletDataset) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield each picture of a dataset once, batch by batch: numbers of a sample of each (B,), pictures (B, S, S, C)."""
    for numbers, batch in _once(dataset, ("clean", "key")):
        yield numbers, batch["clean"]


def each_key(dataset: TripletDataset) -> Iterator[tuple[int, str]]:
    """Yield the key of each picture of a dataset once, with the number of a sample of it."""
    for numbers, batch in _once(dataset, ("key",)):
        yield from zip(numbers.tolist(), (_picture(key) for key in batch["key"]), strict=True)


def _once(dataset: TripletDataset, fields: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """The first sample of each picture: numbers (B,), and the fields, `key` among them."""
    seen: set[str] = set()
    first = 0
    for batch in dataset.loader(JUDGED_TOGETHER, finite=True, shuffle=False, fields=fields):
        new = []
        for row in np.flatnonzero(batch["valid"]).tolist():
            if (picture := _picture(batch["key"][row])) not in seen:
                seen.add(picture)
                new.append(row)
        if new:
            yield first + np.array(new), {name: batch[name][new] for name in fields}
        first += len(batch["key"])


def _picture(key: str) -> str:
    """The key of the picture in the key of a sample."""
    return str(key).partition("-")[0]
