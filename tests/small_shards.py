"""Small files of lines that the sink writes: their samples, the graph, and what came out."""

import functools
import hashlib
from collections.abc import Iterable

import apache_beam as beam

from pipelines.fates import Fates
from pipelines.receipts import Receipt
from pipelines.sink import WriteShards
from pipelines.sorting import SampleRef
from pipelines.tables import write_file
from shards.object_path import AnyPath, files_below

BUCKETS, MAX_BYTES = 3, 4096


def write_lines(folder: AnyPath, name: str, samples: Iterable[SampleRef]) -> Receipt:
    """Writes what each sample's source says, a line each."""
    lines = [f"{sample.key} {sample.source[0]}\n" for sample in samples]
    return Receipt((write_file(folder, f"{name}.txt", "".join(lines).encode(), len(lines)),), Fates(kept=len(lines)))


def some_samples(number: int) -> list[SampleRef]:
    keys = [hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in range(number)]
    return [SampleRef("train" if i % 4 else "val", key, 100 + i % 300, (f"source-{i}",)) for i, key in enumerate(keys)]


def build_shards(pipeline: beam.Pipeline, samples: list[SampleRef], folder: AnyPath) -> None:
    write = functools.partial(write_lines, folder)
    lists = [samples[at : at + 7] for at in range(0, len(samples), 7)]
    pipeline | beam.Create(lists) | beam.Reshuffle() | WriteShards(folder, BUCKETS, MAX_BYTES, write)


def contents(folder: AnyPath) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in sorted(files_below(folder)) if name.endswith(".txt")}
