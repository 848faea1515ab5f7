"""Payload set aside within a stage, so that later steps can name it by (file, offset, lengths) and copy it out."""

import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipelines.copies import open_file
from pipelines.open_files import OpenFiles
from pipelines.receipts import STAGING
from shards.manifest import atomic_open
from shards.object_path import AnyPath

Place = tuple[str, int, int]
"""Where something was set aside: the name of a staging file, offset and length."""


def staged_name(name: str) -> str:
    """The path, relative to the stage's folder, of the staging file called `name`."""
    return f"{STAGING}/{name}.bin"


def create_staged(folder: AnyPath, name: str) -> AbstractContextManager[BinaryIO]:
    """The staging file called `name`, to be written; it gets its name when it is whole."""
    path = folder / staged_name(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    return atomic_open(path)


def stage_payload(file: BinaryIO, pieces: Sequence[bytes]) -> tuple[int, ...]:
    """Appends `pieces` to a staging file; returns the offset of the first and the length of each."""
    offset = file.tell()
    file.write(b"".join(pieces))
    return (offset, *map(len, pieces))


def read_staged(folder: AnyPath, name: str, offset: int, lengths: Sequence[int]) -> list[bytes]:
    """The pieces that `stage_payload` put at `offset` of the staging file called `name`."""
    with OpenFiles() as files:
        payload = files.read(folder / staged_name(name), offset, sum(lengths))
    ends = list(itertools.accumulate(lengths))
    return [payload[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def map_staged(folder: AnyPath, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The rows that a staging file consists of, mapped into memory, (N,)."""
    with open_file(folder / staged_name(name), is_final=True) as file:
        return np.memmap(file, dtype, "r")
