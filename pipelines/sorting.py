"""References in the order of their samples, however many there are: sorted in runs, set aside, and merged.

A worker holds one run, and then a block of each.
"""

import hashlib
import heapq
import itertools
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

RUN_SAMPLES = 20_000
"""Samples sorted at a time: some 12 MB."""

BLOCK_SAMPLES = 100
"""Samples packed together: enough to compress well, few enough to hold a block of each of a few hundred runs."""

_LENGTH = struct.Struct("<I")


class SampleRef(NamedTuple):
    """A sample before it is written: where it goes and where it comes from."""

    split: str
    """The prefix of its file: `train`, `val` or `test`; for parts of a stage `part` or `documents`."""
    key: str
    """Its key; the order of the samples is the order of the keys' SHA-256."""
    num_bytes: int
    """What it takes in its file, exactly."""
    source: tuple[Any, ...]
    """Where its payload lies, as plain values; understood by whoever writes it."""


Packed = bytes
"""References, packed: see `pack`."""


def pack(samples: Iterable[SampleRef]) -> Packed:
    """References as bytes; the same references give the same bytes."""
    return zlib.compress(json.dumps(list(samples), ensure_ascii=False, separators=(",", ":")).encode(), 1)


def unpack(packed: Packed) -> list[SampleRef]:
    """The references that `pack` was given; tuples within a source have become lists."""
    rows = json.loads(zlib.decompress(packed))
    return [SampleRef(split, key, num_bytes, tuple(source)) for split, key, num_bytes, source in rows]


def write_blocks(file: BinaryIO, samples: Iterable[SampleRef]) -> tuple[int, int]:
    """Appends references to a file, block by block; returns offset and length of them all."""
    offset = file.tell()
    for block in batched(samples, BLOCK_SAMPLES):
        packed = pack(block)
        file.write(_LENGTH.pack(len(packed)) + packed)
    return offset, file.tell() - offset


def read_blocks(read: Callable[[int, int], bytes], offset: int, length: int) -> Iterator[SampleRef]:
    """The references that `write_blocks` wrote, a block in memory at a time; `read` takes offset and length."""
    end = offset + length
    while offset < end:
        (num_bytes,) = _LENGTH.unpack(read(offset, _LENGTH.size))
        yield from unpack(read(offset + _LENGTH.size, num_bytes))
        offset += _LENGTH.size + num_bytes


def sort_samples(samples: Iterable[SampleRef], scratch: Path | None = None) -> Iterator[SampleRef]:
    """The references in the order of their keys' SHA-256.

    Args:
        samples: in any order.
        scratch: a folder for a file without a name, where there are more than `RUN_SAMPLES`.
    """
    runs = (sorted(run, key=_order) for run in batched(samples, RUN_SAMPLES))
    first = next(runs, [])
    second = next(runs, None)
    if second is None:
        yield from first
        return
    with tempfile.TemporaryFile(dir=scratch) as file:
        places = [write_blocks(file, run) for run in itertools.chain((first, second), runs)]
        del first, second
        file.flush()
        read = _reader(file)
        yield from heapq.merge(*(read_blocks(read, *place) for place in places), key=_order)


def batched(samples: Iterable[SampleRef], size: int) -> Iterator[list[SampleRef]]:
    """The references in lists of `size`, the last as many as are left."""
    rest = iter(samples)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def _order(sample: SampleRef) -> tuple[bytes, tuple[Any, ...]]:
    return hashlib.sha256(sample.key.encode()).digest(), sample.source


def _reader(file: BinaryIO) -> Callable[[int, int], bytes]:
    return lambda offset, length: os.pread(file.fileno(), length, offset)
