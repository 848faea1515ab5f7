"""What need not be asked for: records of web archives and files on disk become part of a crawl as they lie there.

    parts of a source → list what each holds → join the parts of a file → of each URL the newest → read, judge, store

A source that holds records is listed part by part (a split of a file, a page of an index); the lists, on disk, are what
everything else refers to. Parts of one file that were listed side by side must join: see `crawl.warc_reader`. Of a URL
that is there more than once the newest record counts. It is judged as an answer from the web would be, and gets its
ledger row; a robots.txt is not asked, since nobody is.
"""

import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa

from crawl.damage import Damage
from crawl.records import LINK_SCHEMA, LinkRow, Visit, link_of, target_of
from crawl.response import Response
from crawl.settings import FetchSettings
from crawl.urls import without_parameters
from crawl.visit import Asked, judge, redirect_location, redirected, unasked
from crawl.warc_reader import Span
from pipelines.attempts import begin_attempt, committed, finish_attempt
from pipelines.fetching import fetch_settings
from pipelines.receipts import STAGING, Receipt, finish_part
from pipelines.segments import SegmentWriter, ledger_tables
from pipelines.stages import Job
from pipelines.tables import read_table, write_table
from pipelines.tombstones import FILE as TOMBSTONES

BUCKETS = 64
"""In which URLs are compared; each is held in memory by itself."""

NOT_ASKED = "not_asked"
"""Stands as robots rule where nothing was asked for."""


@dataclass(frozen=True)
class Listed:
    """A record that a source holds.

    Attributes:
        link: to its URL, with all that the source says of it, and the source's name; found nowhere.
        date: when it was fetched, ISO 8601 in UTC, "" where nobody knows.
        place: where it lies, as its source understands it.
        reason: why it cannot be read, a snake_case fact; "" where it seems whole.
        detail: what exactly is wrong.
    """

    link: LinkRow
    date: str
    place: str
    reason: str = ""
    detail: str = ""


class RecordError(Exception):
    """A record that cannot be read.

    Attributes:
        reason: a snake_case fact, such as "digest_mismatch".
        detail: what exactly is wrong.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def unreadable(url: str, date: str, damage: Damage) -> Listed:
    """A record, known as `url`, that is no use before it is read."""
    detail = f"{damage.source}, {damage.row}: {damage.text}" if damage.row else f"{damage.source}: {damage.text}"
    return Listed(LinkRow("", url, "page"), date, "", damage.reason, detail)


def _never(part: str, offset: int) -> str:
    raise AssertionError(f"{part} says nothing of where it begins, so cannot begin at {offset}")


def _nothing() -> None:
    return None


class Archive(NamedTuple):
    """How one source is read.

    Attributes:
        files: tells of each file the names of its parts in order, which are listed by themselves.
        records: what a part holds, in the order in which it is best read; and where it is one of several of a file, at
            last its `Span`.
        read: the answer that stands at a place; raises `RecordError`.
        from_exactly: the name of a part if it is to begin at an offset, where a record is known to begin.
        close: lets go of what `read` holds.
    """

    files: Callable[[], Iterable[tuple[str, ...]]]
    records: Callable[[str], Iterator[Listed | Span]]
    read: Callable[[str], Response]
    from_exactly: Callable[[str, int], str] = _never
    close: Callable[[], None] = _nothing


class Part(NamedTuple):
    """One part of a source.

    Attributes:
        source: the source's name.
        file: number of the file in the source.
        number: of the part in the file.
        name: what the source calls it.
        again: whether it had to be listed again.
    """

    source: str
    file: int
    number: int
    name: str
    again: bool = False

    def named(self, kind: str) -> str:
        """A name for what is made of it."""
        return f"{kind}-{self.source}-{self.file:05d}-{self.number:05d}{'-again' if self.again else ''}"


_BESIDES = ("date", "place", "reason", "detail")
"""What is listed of a record besides its link."""

LISTED_SCHEMA: pa.Schema = pa.schema(
    [*LINK_SCHEMA, *(pa.field(name, pa.string(), nullable=False) for name in _BESIDES)]
)


class ImportArchives(beam.PTransform):
    """Reads everything that the sources hold into segments of the crawl.

    Args:
        job: the crawl.
        open_archive: how a source is read, by its name in the recipe.
    """

    def __init__(self, job: Job, open_archive: Callable[[str, Job], Archive]) -> None:
        super().__init__()
        self._job, self._open = job, open_archive

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        """The graph from `Part` to finished segments."""
        return (
            parts
            | "Spread" >> beam.Reshuffle()
            | "List" >> beam.Map(self._list)
            # ((source, file), part)
            | "GroupByFile" >> beam.GroupByKey()
            | "Join" >> beam.FlatMapTuple(lambda _, parts: join_parts(parts, self._job, self._open))
            | "SpreadParts" >> beam.Reshuffle()
            | "ReadLists" >> beam.FlatMap(read_list, self._job)
            # (bucket, packed (URL, date, part, row))
            | "GroupByBucket" >> beam.GroupByKey()
            | "NewestOfEachUrl" >> beam.FlatMapTuple(lambda _, packed: newest_of_each(packed))
            # (part as JSON, packed rows)
            | "GroupByPart" >> beam.GroupByKey()
            | "Read" >> beam.MapTuple(self._read)
        )

    def _list(self, part: Part) -> tuple[tuple[str, int], Part]:
        list_part(part, self._job, self._open)
        return (part.source, part.file), part

    def _read(self, part: str, packed: Iterable[bytes]) -> str:
        rows = sorted(row for each in packed for row in _unpack(each))
        read_part(Part(*json.loads(part)), rows, self._job, self._open)
        return part


def all_parts(source: str, archive: Archive) -> list[Part]:
    """Everything that a source of some name holds."""
    return [
        Part(source, file, number, name)
        for file, names in enumerate(archive.files())
        for number, name in enumerate(names)
    ]


def list_part(part: Part, job: Job, open_archive: Callable[[str, Job], Archive]) -> Span | None:
    """Lists what a part holds, once; returns what it turned out to be, where the source tells."""

    def make() -> Receipt:
        rows, notes = [], {}
        for found in open_archive(part.source, job).records(part.name):
            if isinstance(found, Span):
                notes = found._asdict()
            else:
                rows.append(asdict(found.link) | {name: getattr(found, name) for name in _BESIDES})
        table = write_table(job.folder, f"{STAGING}/{part.named('list')}.parquet", rows, LISTED_SCHEMA)
        return Receipt((table,), notes=notes)

    notes = finish_part(job.folder, part.named("list"), make).notes
    return Span(**notes) if notes else None


def join_parts(parts: Iterable[Part], job: Job, open_archive: Callable[[str, Job], Archive]) -> Iterator[Part]:
    """Yields the parts of one file such that each begins where the one before ended.

    One that began elsewhere took something inside a record for one, and is listed again; one that lies inside a record
    holds nothing.
    """
    after = 0
    for listed in sorted(map(Part._make, parts)):
        part, span = listed, list_part(listed, job, open_archive)
        if span is not None and part.number and span.first != after:
            name = open_archive(part.source, job).from_exactly(part.name, after)
            part = part._replace(name=name, again=True)
            span = list_part(part, job, open_archive)
        yield part
        after = span.after if span is not None else 0


def read_list(part: Part, job: Job) -> Iterator[tuple[int, bytes]]:
    """Yields the URLs of a part that is listed, with their dates, by bucket."""
    columns = read_table(f"{job.folder}/{STAGING}/{part.named('list')}.parquet", ("to_url", "date"))
    buckets: defaultdict[int, list[Any]] = defaultdict(list)
    for row, (url, date) in enumerate(zip(*(columns[each].to_pylist() for each in ("to_url", "date")), strict=True)):
        buckets[_bucket_of(url)].append((url, date, part, row))
    for bucket, urls in buckets.items():
        yield bucket, _pack(urls)


def newest_of_each(packed: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yields, by part, the rows that hold the newest record of their URL; of equally new ones the first counts."""
    best: dict[str, tuple[str, Part, int]] = {}
    for url, date, part, row in sorted((entry for each in packed for entry in _unpack(each)), key=lambda e: e[2:]):
        if url not in best or date > best[url][0]:
            best[url] = (date, Part(*part), row)
    rows: defaultdict[Part, list[int]] = defaultdict(list)
    for _, part, row in best.values():
        rows[part].append(row)
    for part, numbers in rows.items():
        yield json.dumps(part), _pack(numbers)


def read_part(part: Part, rows: list[int], job: Job, open_archive: Callable[[str, Job], Archive]) -> None:
    """Reads some of the records that a part holds into segments, but for those that a killed run has read."""
    name = part.named("archive")
    attempt = begin_attempt(job.folder, name)
    tables = ledger_tables(committed(job.folder, name))
    known = {url for each in tables for url in read_table(f"{job.folder}/{each}", ("url",))["url"].to_pylist()}
    table = read_table(f"{job.folder}/{STAGING}/{part.named('list')}.parquet")
    settings, config = fetch_settings(job), job.recipe.crawl
    limits = (config.records_per_segment, config.segment_time_s)
    with (
        closing(open_archive(part.source, job)) as archive,
        SegmentWriter(job.folder, attempt, *limits, is_behind=True) as segments,
    ):
        for values in table.take(rows).to_pylist():
            listed = Listed(LinkRow(**{key: values.pop(key) for key in LINK_SCHEMA.names}), **values)
            if listed.link.to_url not in known:
                segments.add(_visit(listed, archive, settings, job))
    finish_attempt(job.folder, attempt)


def _visit(listed: Listed, archive: Archive, settings: FetchSettings, job: Job) -> Visit:
    """What a record amounts to; the link to it is what tells later stages where it was found."""
    target, asked = target_of(listed.link), Asked(robots_rule=NOT_ASKED, fetched_at=listed.date)
    if listed.reason:
        return unasked(target, "failed", listed.reason, listed.detail, asked)
    if job.tombstones.cover(target.url):
        return unasked(target, "rejected", "forgotten", TOMBSTONES, asked)
    try:
        response = archive.read(listed.place)
    except RecordError as error:
        return unasked(target, "failed", error.reason, error.detail, asked)
    location = redirect_location(response, target.url)
    if location is None:
        visit = judge(target, response, asked, settings)
    else:
        visit = redirected(target, response, without_parameters(location, settings.drop_parameters), asked)
        if settings.scopes[target.source].follow != "links":
            visit = replace(visit, links=())  # where it leads counts if it is archived, too
    return replace(visit, links=(link_of(target, target.url), *visit.links))


def _bucket_of(url: str) -> int:
    return int.from_bytes(hashlib.sha256(url.encode()).digest()[:8], "big") % BUCKETS


def _pack(values: list[Any]) -> bytes:
    return zlib.compress(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode(), 1)


def _unpack(packed: bytes) -> list[Any]:
    found: list[Any] = json.loads(zlib.decompress(packed))
    return found
