"""The one way in which samples become numbered files: references in, the same files out (laws 1 and 2).

References are put in buckets by the hash of their key, sorted by that hash, cut where the next sample would pass the
size limit, and numbered by a prefix sum over the buckets. Payload is read and written inside the last step, so that
nothing but references crosses a shuffle, and neither workers nor input order can change a byte.

References cross one shuffle, packed, as many together as one step planned and one bucket takes: some 25 bytes each,
where each by itself would take 600. Long lists are set aside, and what crosses is the place where they stand. A worker
sorts a bucket run by run, and sets aside which samples go into which file, block by block: what it holds does not grow
with the bucket.
"""

import functools
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import apache_beam as beam

from pipelines.behind import FinishParts, Turn
from pipelines.errors import StageError
from pipelines.open_files import OpenFiles
from pipelines.receipts import STAGING, Receipt, finish_part
from pipelines.sorting import Packed, SampleRef, pack, read_blocks, sort_samples, unpack, write_blocks
from pipelines.staging import Place, create_staged, read_staged, stage_payload, staged_name
from shards.object_path import AnyPath
from shards.tar import TRAILER
from shards.writer import bucket_of, number_shards

MAX_PACKED_BYTES = 4096
"""Of one list's references that cross the shuffle themselves; of more only the place does."""

Shard = tuple[str, int, int, int]
"""Bucket, number within the bucket, and where in the bucket's staging file its samples stand: offset and length."""


class WriteShards(beam.PTransform):
    """Writes samples as `SPLIT-000000…`: lists of `SampleRef` in, one receipt name a file out.

    Args:
        folder: the stage's folder.
        buckets: how many key buckets; a file never spans two, so more buckets mean more work side by side.
        max_bytes: a file closes before it would pass this.
        write: writes the samples, in order, as the file or files called `name`, and returns the receipt for them; it is
            given them one by one, and need not hold them.
    """

    def __init__(
        self, folder: AnyPath, buckets: int, max_bytes: int, write: Callable[[str, Iterable[SampleRef]], Receipt]
    ) -> None:
        super().__init__()
        self._folder, self._buckets, self._max_bytes, self._write = folder, buckets, max_bytes, write

    def expand(self, samples: beam.PCollection) -> beam.PCollection:
        """The graph from lists of `SampleRef` to finished parts."""
        shards = (
            samples
            | "Pack" >> beam.FlatMap(self._pack)
            # (bucket, Packed | Place)
            | "GroupByBucket" >> beam.GroupByKey()
            # (bucket, [Packed | Place])
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
            | "Write" >> beam.ParDo(FinishParts(self._finish, self._folder))
        )

    def _pack(self, samples: list[SampleRef]) -> Iterator[tuple[str, Packed | Place]]:
        """Packs a list by bucket; a long one is set aside under a name that follows from what is in it."""
        packed = dict(pack_by_bucket(samples, self._buckets))
        if sum(map(len, packed.values())) <= MAX_PACKED_BYTES:
            yield from packed.items()
            return
        name = f"planned-{hashlib.sha256(b''.join(packed.values())).hexdigest()[:32]}"
        with create_staged(self._folder, name) as staging:
            offsets = [stage_payload(staging, [piece])[0] for piece in packed.values()]
        for (bucket, piece), offset in zip(packed.items(), offsets, strict=True):
            yield bucket, (name, offset, len(piece))

    def _cut(self, bucket: tuple[str, Iterable[Packed | Place]]) -> list[Shard]:
        """Cuts a bucket, and sets aside the samples of each file."""
        name, pieces = bucket
        parts = (unpack(piece if isinstance(piece, bytes) else self._packed(*piece)) for piece in pieces)
        with create_staged(self._folder, _references(name)) as staging:
            scratch = self._folder / STAGING if isinstance(self._folder, Path) else None
            shards = cut_bucket(name, parts, self._max_bytes, scratch)
            places = [write_blocks(staging, shard) for shard in shards]
        return [(name, number, offset, length) for number, (offset, length) in enumerate(places)]

    def _finish(self, part: tuple[str, Shard], turn: Turn) -> list[str]:
        name, shard = part

        def make() -> Receipt:
            with closing(self._samples(shard, turn)) as samples:
                return self._write(name, samples)

        finish_part(self._folder, name, make)
        return [name]

    def _samples(self, shard: Shard, turn: Turn) -> Generator[SampleRef]:
        """The samples of a file, which is made when they have all been taken, and then only to be put."""
        bucket, _, offset, length = shard
        with turn, OpenFiles() as files:
            yield from read_blocks(
                functools.partial(files.read, self._folder / staged_name(_references(bucket))), offset, length
            )

    def _packed(self, name: str, offset: int, length: int) -> Packed:
        return read_staged(self._folder, name, offset, [length])[0]


def pack_by_bucket(samples: Iterable[SampleRef], buckets: int) -> Iterator[tuple[str, Packed]]:
    """The samples packed under their buckets' names, whose order within a split is the order of the keys' hashes."""
    found: defaultdict[str, list[SampleRef]] = defaultdict(list)
    for sample in samples:
        found[f"{sample.split}/{bucket_of(sample.key, buckets):05d}"].append(sample)
    for name, members in found.items():
        yield name, pack(members)


def cut_bucket(
    name: str, parts: Iterable[Iterable[SampleRef]], max_bytes: int, scratch: Path | None = None
) -> Iterator[Iterator[SampleRef]]:
    """The samples of each file that the bucket called `name` fills, in order; each file's are taken before the next's.

    Args:
        name: the bucket.
        parts: its samples, in any order.
        max_bytes: of a file.
        scratch: a folder to sort in, see `sort_samples`.

    Raises:
        ValueError: one key stands for two samples.
        StageError: a sample alone passes `max_bytes`.
    """
    ordered = sort_samples(itertools.chain.from_iterable(parts), scratch)
    samples, measured = itertools.tee(_checked(name, ordered, max_bytes))
    numbers = number_shards((sample.num_bytes for sample in measured), max_bytes)
    for _, shard in itertools.groupby(zip(numbers, samples, strict=True), key=lambda pair: pair[0]):
        yield (sample for _, sample in shard)


def _checked(name: str, ordered: Iterable[SampleRef], max_bytes: int) -> Iterator[SampleRef]:
    before = None
    for sample in ordered:
        if before is not None and before.key == sample.key:
            raise ValueError(f"{name}: key {sample.key} stands for two samples, {before.source} and {sample.source}")
        size = sample.num_bytes + len(TRAILER)
        if size > max_bytes:
            raise StageError(
                f"sample {sample.key} takes {size} bytes as a file of its own, above the limit of {max_bytes}; "
                "raise max_shard_bytes, or max_part_bytes, of the stage"
            )
        yield sample
        before = sample


def _references(bucket: str) -> str:
    """The name of the staging file with the samples of a bucket's files."""
    return f"references-{bucket.replace('/', '-')}"


def _number(shard: Shard, sizes: dict[str, int]) -> tuple[str, Shard]:
    """A shard under its name: how many shards of its split come before it is a prefix sum."""
    bucket, number = shard[:2]
    split = bucket.partition("/")[0]
    before = sum(count for other, count in sizes.items() if other.partition("/")[0] == split and other < bucket)
    return f"{split}-{before + number:06d}", shard
