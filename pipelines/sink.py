"""The one way in which samples become numbered files: references in, the same files out (laws 1 and 2).

References are put in buckets by the hash of their key, sorted by that hash, cut where the next sample would pass the
size limit, and numbered by a prefix sum over the buckets. Payload is read and written inside the last step, so that
nothing but references crosses a shuffle, and neither workers nor input order can change a byte.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam

from pipelines.errors import StageError
from pipelines.receipts import Receipt, finish_part
from shards.tar import TRAILER
from shards.writer import bucket_of, cut_shards, order_hash


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


Shard = tuple[str, int, list[SampleRef]]
"""Bucket, number within the bucket, and the samples in order."""


class WriteShards(beam.PTransform):
    """Writes samples as `SPLIT-000000…`: `SampleRef` in, one receipt name a file out.

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
        """The graph from `SampleRef` to finished parts."""
        shards = (
            samples
            | "KeyByBucket" >> beam.Map(_key_by_bucket, self._buckets)
            # (bucket, SampleRef)
            | "GroupByBucket" >> beam.GroupByKey()
            # (bucket, [SampleRef])
            | "Cut" >> beam.FlatMap(cut_bucket, self._max_bytes)
            # (bucket, number in the bucket, [SampleRef])
        )
        sizes = (
            shards | "Count" >> beam.Map(lambda shard: (shard[0], 1)) | "CountBuckets" >> beam.CombinePerKey(sum)
            # (bucket, shards in it)
        )
        return (
            shards
            | "Number" >> beam.Map(_number, beam.pvalue.AsDict(sizes))
            # (name, [SampleRef])
            | "Spread" >> beam.Reshuffle()
            | "Write" >> beam.MapTuple(self._finish)
        )

    def _finish(self, name: str, samples: list[SampleRef]) -> str:
        finish_part(self._folder, name, lambda: self._write(name, samples))
        return name


def cut_bucket(bucket: tuple[str, Iterable[SampleRef]], max_bytes: int) -> Iterator[Shard]:
    """The files that one bucket's samples fill, in order.

    Raises:
        ValueError: one key stands for two samples.
        StageError: a sample alone passes `max_bytes`.
    """
    name, samples = bucket
    ordered = sorted(samples, key=lambda sample: (order_hash(sample.key), sample.source))
    for one, two in itertools.pairwise(ordered):
        if one.key == two.key:
            raise ValueError(f"key {one.key} stands for two samples, {one.source} and {two.source}")
    for sample in ordered:
        size = sample.num_bytes + len(TRAILER)
        if size > max_bytes:
            raise StageError(
                f"sample {sample.key} takes {size} bytes as a file of its own, above the limit of {max_bytes}; "
                "raise max_shard_bytes, or max_part_bytes, of the stage"
            )
    cuts = cut_shards([sample.num_bytes for sample in ordered], max_bytes)
    for number, cut in enumerate(cuts):
        yield name, number, ordered[cut]


def _key_by_bucket(sample: SampleRef, buckets: int) -> tuple[str, SampleRef]:
    """The sample under its bucket's name, whose order among those of its split is the order of the hashes."""
    return f"{sample.split}/{bucket_of(sample.key, buckets):05d}", sample


def _number(shard: Shard, sizes: dict[str, int]) -> tuple[str, list[SampleRef]]:
    """A shard under its name: how many shards of its split come before it is a prefix sum."""
    bucket, number, samples = shard
    split = bucket.partition("/")[0]
    before = sum(count for other, count in sizes.items() if other.partition("/")[0] == split and other < bucket)
    return f"{split}-{before + number:06d}", samples
