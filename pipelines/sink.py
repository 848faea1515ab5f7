"""The one way in which samples become numbered files: references in, the same files out (laws 1 and 2).

References are put in buckets by the hash of their key, sorted by that hash, cut where the next sample would pass the
size limit, and numbered by a prefix sum over the buckets. Payload is read and written inside the last step, so that
nothing but references crosses a shuffle, and neither workers nor input order can change a byte.

References cross one shuffle, packed, as many together as one step planned and one bucket takes: some 25 bytes each,
where each by itself would take 600. A worker unpacks one bucket at a time, and sets aside which samples go into which
file; what it hands on is the place where that stands.
"""

import hashlib
import itertools
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam

from pipelines.errors import StageError
from pipelines.receipts import Receipt, finish_part
from pipelines.staging import read_staged, stage_payload, staged_name
from shards.manifest import atomic_open
from shards.tar import TRAILER
from shards.writer import bucket_of, cut_shards


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

Shard = tuple[str, int, int, int]
"""Bucket, number within the bucket, and where in the bucket's staging file its samples stand: offset and length."""


class WriteShards(beam.PTransform):
    """Writes samples as `SPLIT-000000…`: lists of `SampleRef` in, one receipt name a file out.

    Args:
        folder: the stage's folder.
        buckets: how many key buckets; a file never spans two, so more buckets mean more work side by side.
        max_bytes: a file closes before it would pass this.
        write: writes the samples, in order, as the file or files called `name`, and returns the receipt for them.
    """

    def __init__(
        self, folder: Path, buckets: int, max_bytes: int, write: Callable[[str, list[SampleRef]], Receipt]
    ) -> None:
        super().__init__()
        self._folder, self._buckets, self._max_bytes, self._write = folder, buckets, max_bytes, write

    def expand(self, samples: beam.PCollection) -> beam.PCollection:
        """The graph from lists of `SampleRef` to finished parts."""
        shards = (
            samples
            | "Pack" >> beam.FlatMap(pack_by_bucket, self._buckets)
            # (bucket, Packed)
            | "GroupByBucket" >> beam.GroupByKey()
            # (bucket, [Packed])
            | "Cut" >> beam.FlatMap(self._cut)
            # Shard
        )
        sizes = (
            shards | "Count" >> beam.Map(lambda shard: (shard[0], 1)) | "CountBuckets" >> beam.CombinePerKey(sum)
            # (bucket, shards in it)
        )
        return (
            shards
            | "Number" >> beam.Map(_number, beam.pvalue.AsDict(sizes))
            # (name, Shard)
            | "Spread" >> beam.Reshuffle()
            | "Write" >> beam.MapTuple(self._finish)
        )

    def _cut(self, bucket: tuple[str, Iterable[Packed]]) -> list[Shard]:
        """Cuts a bucket, and sets aside the samples of each file."""
        name, packed = bucket
        pieces = [pack(samples) for samples in cut_bucket(name, map(unpack, packed), self._max_bytes)]
        path = self._folder / staged_name(_references(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_open(path) as staging:
            places = [stage_payload(staging, [piece]) for piece in pieces]
        return [(name, number, offset, length) for number, (offset, length) in enumerate(places)]

    def _finish(self, name: str, shard: Shard) -> str:
        bucket, _, offset, length = shard
        finish_part(self._folder, name, lambda: self._write(name, self._samples(bucket, offset, length)))
        return name

    def _samples(self, bucket: str, offset: int, length: int) -> list[SampleRef]:
        return unpack(read_staged(self._folder, _references(bucket), offset, [length])[0])


def pack(samples: Iterable[SampleRef]) -> Packed:
    """References as bytes; the same references give the same bytes."""
    return zlib.compress(json.dumps(list(samples), ensure_ascii=False, separators=(",", ":")).encode(), 1)


def unpack(packed: Packed) -> list[SampleRef]:
    """The references that `pack` was given; tuples within a source have become lists."""
    rows = json.loads(zlib.decompress(packed))
    return [SampleRef(split, key, num_bytes, tuple(source)) for split, key, num_bytes, source in rows]


def pack_by_bucket(samples: Iterable[SampleRef], buckets: int) -> Iterator[tuple[str, Packed]]:
    """The samples packed under their buckets' names, whose order within a split is the order of the keys' hashes."""
    found: defaultdict[str, list[SampleRef]] = defaultdict(list)
    for sample in samples:
        found[f"{sample.split}/{bucket_of(sample.key, buckets):05d}"].append(sample)
    for name, members in found.items():
        yield name, pack(members)


def cut_bucket(name: str, parts: Iterable[Iterable[SampleRef]], max_bytes: int) -> Iterator[list[SampleRef]]:
    """The samples of each file that the bucket called `name` fills, in order.

    Raises:
        ValueError: one key stands for two samples.
        StageError: a sample alone passes `max_bytes`.
    """
    samples = itertools.chain.from_iterable(parts)
    ordered = sorted(samples, key=lambda sample: (hashlib.sha256(sample.key.encode()).digest(), sample.source))
    for one, two in itertools.pairwise(ordered):
        if one.key == two.key:
            raise ValueError(f"{name}: key {one.key} stands for two samples, {one.source} and {two.source}")
    for sample in ordered:
        size = sample.num_bytes + len(TRAILER)
        if size > max_bytes:
            raise StageError(
                f"sample {sample.key} takes {size} bytes as a file of its own, above the limit of {max_bytes}; "
                "raise max_shard_bytes, or max_part_bytes, of the stage"
            )
    for cut in cut_shards([sample.num_bytes for sample in ordered], max_bytes):
        yield ordered[cut]


def _references(bucket: str) -> str:
    """The name of the staging file with the samples of a bucket's files."""
    return f"references-{bucket.replace('/', '-')}"


def _number(shard: Shard, sizes: dict[str, int]) -> tuple[str, Shard]:
    """A shard under its name: how many shards of its split come before it is a prefix sum."""
    bucket, number = shard[:2]
    split = bucket.partition("/")[0]
    before = sum(count for other, count in sizes.items() if other.partition("/")[0] == split and other < bucket)
    return f"{split}-{before + number:06d}", shard
