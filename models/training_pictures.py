"""The pictures a denoiser is trained on: opened, surveyed, and those held out beside them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.runs import RunError
from shards import open_dataset
from shards.committed import stage_folder
from shards.dataset import TripletDataset

JUDGED_TOGETHER = 64
"""Triplets per batch where nothing is trained: surveying and judging."""

NUM_PICTURES_SURVEYED = 512
"""Training pictures from which mean and principal directions are taken; their Gram matrix takes a second."""


def survey(dataset: TripletDataset) -> NDArray[np.uint8]:
    """Return up to `NUM_PICTURES_SURVEYED` training pictures, uint8 (N, S, S, C), each once."""
    found: dict[str, NDArray[np.uint8]] = {}
    for batch in dataset.loader(JUDGED_TOGETHER, finite=True, fields=("clean", "key")):
        for key, clean in zip(batch["key"][batch["valid"]], batch["clean"][batch["valid"]], strict=True):
            found.setdefault(str(key).partition("-")[0], clean)
        if len(found) >= NUM_PICTURES_SURVEYED:
            break
    return np.stack([found[key] for key in sorted(found)[:NUM_PICTURES_SURVEYED]])


def open_triplets(path: str | Path, split: str) -> TripletDataset:
    """Return a split of the triplets in `path`: what a build wrote, its triplets folder, or a dataset in it.

    Raises:
        DatasetError: it has no such split.
        RunError: it holds no triplets.
    """
    dataset = open_dataset(stage_folder(path, "triplets"), split)
    if not isinstance(dataset, TripletDataset):
        raise RunError(f"{path}: holds no triplets; give a dataset of triplets")
    return dataset


def held_out_of(path: str, dataset: TripletDataset) -> TripletDataset:
    """Return the triplets held out beside those for training, or these, saying so, where none are."""
    if dataset.manifest.splits.get("val"):
        return open_triplets(path, "val")
    print("no pictures are held out (no split val): errors are measured on the training pictures", flush=True)
    return dataset


def each_picture(dataset: TripletDataset) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield each picture of a dataset once, batch by batch: numbers of a sample of each (B,), pictures (B, S, S, C)."""
    seen: set[str] = set()
    first = 0
    for batch in dataset.loader(JUDGED_TOGETHER, finite=True, shuffle=False, fields=("clean", "key")):
        new = []
        for row in np.flatnonzero(batch["valid"]).tolist():
            picture = str(batch["key"][row]).partition("-")[0]
            if picture not in seen:
                seen.add(picture)
                new.append(row)
        if new:
            yield first + np.array(new), batch["clean"][new]
        first += len(batch["key"])
