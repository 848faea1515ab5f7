"""Examples out of shards: every picture of triplets once, every document that windows were cut from.

A picture is read from its shard when it is asked for. A dataset that has a split val or test is learnt from by its
split train and judged by the others, whose near duplicates it holds no more; of one that has none, some are drawn.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from models.documents import read_documents
from models.examples import Example
from models.open_stage import STAGES, open_stage
from models.training_pictures import each_key
from shards.dataset import TripletDataset
from shards.manifest import CURRENT_NAME, MANIFEST_NAME


def is_committed(path: Path) -> bool:
    """Return whether there is what a build wrote, or a dataset."""
    names = (MANIFEST_NAME, CURRENT_NAME, *(f"{stage}/{CURRENT_NAME}" for stage in STAGES))
    return any((path / name).is_file() for name in names)


def read_shards(path: Path, is_topic: bool) -> Iterator[Example]:
    """Yield the examples of all splits of a dataset.

    Raises:
        RunError: there are triplets and windows.
        DatasetError: it cannot be read.
    """
    splits = open_stage(path, None, "train").manifest.splits
    held = [split for split in ("val", "test") if splits.get(split)]
    for split in ("train", *held):
        dataset = open_stage(path, None, split)
        told = split if held else ""
        if isinstance(dataset, TripletDataset):
            for number, key in each_key(dataset):
                picture = partial(read_picture, dataset, number)
                yield Example(f"{path.name}/{key}", is_topic, key, open=picture, split=told)
            continue
        for document in read_documents(dataset):
            text = dataset.tokenizer.decode(document.tokens.tolist())
            name = f"{path.name}/{document.key}:{document.start}"
            yield Example(name, is_topic, hashlib.sha256(text.encode()).hexdigest(), text, split=told)


def read_picture(dataset: TripletDataset, number: int) -> Image.Image:
    """Return the clean picture of a sample, in RGB.

    Raises:
        DamageError: it is damaged.
    """
    clean = dataset[number]["clean"]
    return Image.fromarray(clean if clean.shape[-1] == 3 else np.repeat(clean, 3, axis=-1))
