"""Why a version of a stage does not have a record: looked up by its URL, of as many records as there are.

Ten bytes are held of each record that was turned away, and of each that was kept.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.inspect.ordered_records import TABLES, Version, read_batches

CHANGED = "changed"
"""The URL is kept in the other version too, as something else: its key follows from its pixels or its words."""

NEVER_MET = "never_met"
"""The other version knows nothing of that URL."""

UNTOLD = "untold"
"""Of a sample: that of its picture or its documents stands with the stage that it was made from."""

_HASHED = np.dtype([("url", "<u8"), ("reason", "<u2")])


class _Told(NamedTuple):
    """Tables that say why: of a stage, how their names begin, and the columns with URL, reason and detail."""

    stage: str
    prefix: str
    url: str
    reason: str
    detail: str


_REJECTS: Mapping[str, tuple[str, ...]] = {"images": ("images",), "score": ("score", "images"), "text": ("text",)}
"""The stages whose rejects say why a stage does not have a record; after them the ledger of the crawl says."""


class Reasons:
    """Why a version of a stage does not have a record.

    Args:
        version: of the stage.

    Raises:
        StageError: a table cannot be read.
    """

    def __init__(self, version: Version) -> None:
        self._stage = version.manifest.stage
        self._tables = list(_tables(version)) if self._stage in TABLES else []
        numbers: dict[str, int] = {}
        parts = [part for told, path in self._tables for part in self._read(told, path, numbers)]
        rows = np.concatenate(parts) if parts else np.empty(0, _HASHED)
        # Of rows with the same URL the first says: a stable sort leaves it in front.
        order = np.argsort(rows["url"], kind="stable")
        # Each by itself: of an array of pairs the search would copy a whole column every time.
        self._urls, self._numbers = rows["url"][order], rows["reason"][order]
        self._names = list(numbers)

    def of(self, url: str) -> str:
        """The reason: a fact of this stage, or one of another with that stage before it, as in `crawl: http_404`."""
        if self._stage not in TABLES:
            return UNTOLD
        hashed = np.uint64(_hash(url))  # a plain integer would be searched for among floats
        place = int(np.searchsorted(self._urls, hashed))
        if place == len(self._urls) or self._urls[place] != hashed:
            return NEVER_MET
        return self._names[int(self._numbers[place])]

    def details(self, urls: Sequence[str]) -> dict[str, str]:
        """What was measured of some of them, or the key that a changed one has here."""
        found: dict[str, str] = {}
        for told, path in self._tables if urls else ():
            table = pq.read_table(path, columns=[told.url, told.detail], filters=[(told.url, "in", list(urls))])
            for url, detail in zip(*(table[name].to_pylist() for name in (told.url, told.detail)), strict=True):
                found.setdefault(url, detail)
        return found

    def _read(self, told: _Told, path: Path, numbers: dict[str, int]) -> Iterator[NDArray[np.void]]:
        for batch in read_batches(path, [told.url, *([told.reason] if told.reason else [])]):
            reasons = self._reasons(told, batch)
            pairs = [
                (_hash(url), numbers.setdefault(reason, len(numbers)))
                for url, reason in zip(batch[told.url].to_pylist(), reasons, strict=True)
                if reason
            ]
            yield np.array(pairs, _HASHED)

    def _reasons(self, told: _Told, batch: pa.RecordBatch) -> list[str]:
        """The reason of each row, "" where it was kept to be turned away later."""
        if not told.reason:
            return [CHANGED] * len(batch)
        before = "" if told.stage == self._stage else f"{told.stage}: "
        return [before + reason if reason else "" for reason in batch[told.reason].to_pylist()]


def _tables(version: Version) -> Iterator[tuple[_Told, Path]]:
    """The tables that say why, the one that says it best first."""
    stage = version.manifest.stage
    told = [_Told(stage, TABLES[stage][0], "url", "", "key")]
    told += [_Told(each, "rejects-", "key", "reason", "detail") for each in _REJECTS[stage]]
    for each in (*told, _Told("crawl", "ledger-", "url", "reason", "detail")):
        source = version.source(each.stage)
        yield from ((each, path) for path in (source.tables(each.prefix) if source else ()))


def _hash(url: str) -> int:
    return int.from_bytes(hashlib.sha256(url.encode("utf-8", "surrogatepass")).digest()[:8], "big")
