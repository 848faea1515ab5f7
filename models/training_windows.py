"""The windows a language model is trained on, counted and judged by."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from models.baselines import WordCounts, count_words
from models.open_stage import open_stage
from models.runs import RunError
from models.word_losses import COUNTED_TOGETHER
from shards.dataset import WindowDataset

MAX_COUNTED_BATCHES = 2_000
"""Batches of training windows that counts of words and pairs are taken from, lest a large dataset is read twice."""


def open_windows(path: str | Path, split: str) -> WindowDataset:
    """Return a split of the windows in `path`: what a build wrote, its windows folder, or a dataset in it.

    Raises:
        DatasetError: it has no such split.
        RunError: it holds no windows, or its tokenizer is not the one its windows were made with.
    """
    dataset = open_stage(path, "windows", split)
    if not isinstance(dataset, WindowDataset):
        raise RunError(f"{path}: holds no windows; give a dataset of windows")
    made_with = dataset[0]["meta"]["tokenizer_sha256"]
    if dataset.tokenizer.sha256() != made_with:
        raise RunError(f"{dataset.where}: its tokenizer is not the one its windows were made with ({made_with})")
    return dataset


def held_out_of(path: str | Path, dataset: WindowDataset, splits: Sequence[str]) -> WindowDataset:
    """Return the first of the splits that has windows, or the training windows, saying so, where none has."""
    for split in splits:
        if dataset.manifest.splits.get(split):
            return open_windows(path, split)
    missing = " or ".join(splits)
    print(f"no text is held out (no split {missing}): losses are measured on the training text", flush=True)
    return dataset


def count_training_words(dataset: WindowDataset) -> WordCounts:
    """Return the counts of next words and their pairs in training windows, `MAX_COUNTED_BATCHES` batches at most."""
    loader = dataset.loader(COUNTED_TOGETHER, finite=True, shuffle=False, fields=("tokens", "mask"))
    batches = ((batch["tokens"], batch["mask"] & batch["valid"][:, None]) for batch in loader)
    return count_words(itertools.islice(batches, MAX_COUNTED_BATCHES), dataset.tokenizer.vocab_size)
