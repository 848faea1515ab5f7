"""A fair draw of what a stage kept and turned away, and where each page or picture of it was stored as it came."""

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.facts import Row
from pipelines.tables import read_rows, read_table
from shards.manifest import Manifest, read_manifest

GONE = "forgotten"
"""The reason of what must not be seen again."""


def stage_rows(folder: Path, manifest: Manifest, prefix: str, columns: tuple[str, ...]) -> Iterator[Row]:
    """The rows of a stage's tables whose names begin with `prefix`, or some of their columns."""
    for file in manifest.files:
        if file.path.startswith(prefix) and file.path.endswith(".parquet"):
            yield from read_rows(f"{folder}/{file.path}", columns)


def draw(rows: Iterable[Row], count: int) -> list[Row]:
    """As many rows, drawn by the hash of their key: fair, and the same each time."""
    return heapq.nsmallest(count, rows, key=lambda row: hashlib.sha256(row["key"].encode()).digest())


def draw_by_reason(rows: Iterable[Row], count: int) -> dict[str, list[Row]]:
    """As many rows of each reason, drawn as by `draw`; few more are held at a time."""
    drawn: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        some = drawn[row["reason"]]
        some.append(row)
        if len(some) > 1_000 + count:
            drawn[row["reason"]] = draw(some, count)
    return {reason: draw(some, count) for reason, some in drawn.items()}


def warc_places(crawl: Path, urls: Sequence[str]) -> dict[str, tuple[str, int]]:
    """The WARC file and offset of each of some URLs, as far as the crawl in a folder kept them."""
    wanted, places = pa.array(urls, pa.string()), {}
    for file in read_manifest(crawl).files:
        if file.path.startswith("ledger-"):
            table = read_table(f"{crawl}/{file.path}", ("url", "fate", "warc_file", "warc_offset"))
            chosen = pc.and_(pc.is_in(table["url"], wanted), pc.equal(table["fate"], "kept"))
            for row in table.filter(chosen).to_pylist():
                places[row["url"]] = (row["warc_file"], row["warc_offset"])
    return places
