"""Examples that a person has sorted: a folder for each label, of pictures or of texts.

    FOLDER/tree/*.jpg     FOLDER/good/*.txt     FOLDER/good.jsonl     one JSON object a line, with a `text`
    FOLDER/other/*.jpg    FOLDER/bad/*.txt      FOLDER/bad.parquet    a table with a column `text`
    FOLDER/tree           FOLDER/good           what a build wrote, or a dataset: see `models.labelled_shards`

One label is the topic; all others together are what it is not.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from pyarrow.parquet import ParquetFile
from torch import Tensor

from models.examples import Example
from models.labelled_shards import is_committed, read_shards
from models.runs import RunError

PICTURES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
TABLES = (".jsonl", ".parquet")
TEXTS = (*TABLES, ".txt")

COMPARED_TOGETHER = 512
"""Examples compared with all others at a time, when looking for near duplicates."""


def find_examples(folder: Path, topic: str) -> list[Example]:
    """Return the examples below `folder` in order of name: all pictures, or all texts.

    Raises:
        RunError: there are none with the label `topic` or none without, there is no such folder, both kinds lie there,
            or a text cannot be read.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; give one with a folder of examples for each label")
    datasets = [path for path in sorted(folder.iterdir()) if is_committed(path)]
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (*PICTURES, *TEXTS) and path.is_file())
    files = [
        path
        for path in found
        if not any(path.is_relative_to(dataset) for dataset in datasets)
        and (path.parent != folder or path.suffix.lower() in TABLES)
    ]
    examples = [example for path in files for example in _read(folder, path, topic)]
    examples += [example for path in datasets for example in read_shards(path, path.name == topic)]
    if len({example.open is None for example in examples}) > 1:
        raise RunError(f"{folder}: holds pictures and texts; give a folder with one of them")
    num_topic = sum(example.is_topic for example in examples)
    if not 0 < num_topic < len(examples):
        labels = (
            ", ".join(sorted({_label(folder, path) for path in files} | {path.name for path in datasets})) or "none"
        )
        raise RunError(
            f"{folder}: {num_topic} examples of '{topic}' and {len(examples) - num_topic} of anything else "
            f"(labels: {labels}); put each kind in a folder named after it, and name one by --topic"
        )
    return examples


def open_picture(path: Path) -> Image.Image:
    """Return a picture as it is to be looked at, upright.

    Raises:
        RunError: it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RunError(f"{path}: cannot be read as a picture ({error}); take it out of the folder") from error


def read_text(path: Path) -> str:
    """Return what a file of text says.

    Raises:
        RunError: it cannot be read.
    """
    try:
        return path.read_bytes().decode()
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read as text ({error}); give another file") from error


def near_duplicates(features: Tensor, threshold: float) -> NDArray[np.int64]:
    """Return for each example the first one that it is joined to by a chain of near duplicates, itself where none.

    Args:
        features: (N, D), dense or sparse.
        threshold: cosine of the angle between the features of two near duplicates, at least.

    Returns:
        (N,) places in 0 … N − 1.
    """
    lengths = (features * features).sum(1).to_dense().sqrt().clamp(min=1e-12)
    first = np.arange(features.shape[0])
    for start in range(0, len(first), COMPARED_TOGETHER):
        rows = torch.arange(start, min(start + COMPARED_TOGETHER, len(first)))
        some = features.index_select(0, rows).to_dense() / lengths[rows, None]
        cosines = (features @ some.T).T / lengths
        for row, two in (cosines >= threshold).nonzero().tolist():
            low, high = sorted((first[start + row], first[two]))
            if low < high:
                first[first == high] = low
    return first


def held_out(examples: Sequence[Example], first: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return which examples are held out, (N,): drawn by a hash, near duplicates together.

    A group is known by the smallest digest in it, so that neither names nor order decide, and none moves when others
    come. What stands in a dataset with splits was drawn before.
    """
    smallest: dict[int, str] = {}
    for example, group in zip(examples, first.tolist(), strict=True):
        smallest[group] = min(example.digest, smallest.get(group, example.digest))
    drawn = {
        group: int.from_bytes(hashlib.sha256(f"{seed}:{digest}".encode()).digest()[:8], "big") / 2**64
        for group, digest in smallest.items()
    }
    return np.array(
        [
            example.split != "train" if example.split else drawn[group] < fraction
            for example, group in zip(examples, first.tolist(), strict=True)
        ]
    )


def _read(folder: Path, path: Path, topic: str) -> Iterator[Example]:
    name, is_topic = path.relative_to(folder).as_posix(), _label(folder, path) == topic
    if path.suffix.lower() not in TEXTS:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield Example(name, is_topic, digest, open=partial(open_picture, path))
        return
    try:
        texts = list(_texts(name, path))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); take it out of the folder"
        ) from error
    for place, told in texts:
        yield Example(place, is_topic, hashlib.sha256(told.encode()).hexdigest(), told)


def _texts(name: str, path: Path) -> Iterator[tuple[str, str]]:
    """The texts in a file, each with its place."""
    if path.suffix.lower() == ".parquet":
        yield from _rows(name, path)
    elif path.suffix.lower() == ".jsonl":
        yield from _lines(name, path.read_bytes().decode())
    else:
        yield name, path.read_bytes().decode()


def _rows(name: str, path: Path) -> Iterator[tuple[str, str]]:
    with ParquetFile(path) as table:
        for number, told in enumerate(table.read(columns=["text"])["text"].to_pylist(), 1):
            if not isinstance(told, str):
                raise TypeError(f"row {number}: its text is no string")
            yield f"{name}:{number}", told


def _lines(name: str, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            told = json.loads(line)["text"]
            if not isinstance(told, str):
                raise TypeError(f"line {number}: its text is no string")
            yield f"{name}:{number}", told


def _label(folder: Path, path: Path) -> str:
    """The label of a file: the first folder on its way, or its own name in front of `.jsonl` or `.parquet`."""
    first, *rest = path.relative_to(folder).parts
    return first if rest else path.stem


def digest_of(examples: Sequence[Example]) -> str:
    """Return the hex SHA-256 of what the examples are, whatever their folder is called."""
    told = "\n".join(f"{example.digest} {example.is_topic:d}" for example in examples)
    return hashlib.sha256(told.encode()).hexdigest()


def describe(examples: Sequence[Example], is_held_out: NDArray[np.bool_]) -> dict[str, Any]:
    """Return how many examples of each sort there were, and the hash of them all."""
    is_topic = np.array([example.is_topic for example in examples])
    return {
        "sha256": digest_of(examples),
        "train": {"topic": int((is_topic & ~is_held_out).sum()), "other": int((~is_topic & ~is_held_out).sum())},
        "held_out": {"topic": int((is_topic & is_held_out).sum()), "other": int((~is_topic & is_held_out).sum())},
    }
