"""Records turned away by a step that sees many at once: written as a table with a receipt of its own."""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from pipelines.fates import Fates, Reject
from pipelines.receipts import Receipt, finish_part
from pipelines.squeezed import squeeze, unsqueeze
from pipelines.tables import write_rejects
from shards.object_path import AnyPath
from shards.writer import bucket_of


class WriteRejects(beam.PTransform):
    """Writes `Reject`s as `rejects-NAME-0000.parquet`, one table a bucket, and counts their fates."""

    def __init__(self, folder: AnyPath, name: str, buckets: int) -> None:
        super().__init__()
        self._folder, self._name, self._buckets = folder, name, buckets

    def expand(self, rejects: beam.PCollection) -> beam.PCollection:
        """The graph from `Reject` to finished parts."""
        return (
            rejects
            | "KeyByBucket" >> beam.Map(lambda reject: (bucket_of(reject.key, self._buckets), packed(reject)))
            # (bucket, packed Reject)
            | "GroupByBucket" >> beam.GroupByKey()
            | "Write" >> beam.MapTuple(self._finish)
        )

    def _finish(self, bucket: int, rejects: Iterable[tuple[Any, ...]]) -> str:
        name = f"{self._name}-{bucket:04d}"
        finish_part(self._folder, f"rejects-{name}", lambda: _make(self._folder, name, [*map(unpacked, rejects)]))
        return name


def packed(reject: Reject) -> tuple[Any, ...]:
    """A reject as it crosses a shuffle: its key is an address, and its detail may be one."""
    return squeeze(reject.key), reject.fate, reject.reason, squeeze(reject.detail)


def unpacked(crossed: tuple[Any, ...]) -> Reject:
    """What `packed` packed."""
    key, fate, reason, detail = crossed
    return Reject(unsqueeze(key), fate, reason, unsqueeze(detail))


def _make(folder: AnyPath, name: str, rejects: list[Reject]) -> Receipt:
    return Receipt(files=write_rejects(folder, name, rejects), fates=Fates.of(rejects))
