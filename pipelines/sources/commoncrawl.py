"""Pages and pictures that Common Crawl has fetched: looked up in its index, and only their records read."""

import functools
import io
import json
from collections.abc import Iterator

from crawl.api import request_bytes
from crawl.archive_stream import ArchiveError, Place
from crawl.archived_answer import read_answer
from crawl.commoncrawl import CommonCrawlSettings, IndexedRecord, fetch_record, find_records
from crawl.damage import Damage
from crawl.exchange import LeftAloneError
from crawl.http import FetchError
from crawl.ranges import request_range
from crawl.records import Kind, LinkRow
from crawl.response import Response
from crawl.warc_reader import iso_of_digits
from pipelines.archives import Archive, Listed, RecordError, unreadable
from pipelines.errors import StageError
from pipelines.fetching import fetch_settings
from pipelines.held import HeldOnDisk
from pipelines.nothing_fetched import would_do
from pipelines.source_recipes import CommonCrawlSource
from pipelines.stages import Job


def open_archive(source: CommonCrawlSource, job: Job) -> Archive:
    """How Common Crawl is read: one look-up and one record at a time, as it asks."""
    settings, fetching = _settings(source), fetch_settings(job)
    crawl = job.recipe.crawl
    max_bytes = max(crawl.max_page_bytes, crawl.max_picture_bytes)
    held = HeldOnDisk(job.folder)
    get = functools.partial(request_bytes, settings=fetching, held=held)
    get_range = functools.partial(request_range, settings=fetching, held=held)

    def records(_: str) -> Iterator[Listed]:
        try:
            for found in find_records(settings, get):
                if isinstance(found, Damage):
                    yield unreadable(f"{found.source}#{found.row}", "", found)
                else:
                    yield _listed(found)
        except FetchError as error:
            raise StageError(f"crawl: Common Crawl's index: {error}; {would_do(error.reason)}") from error

    def read(place: str) -> Response:
        record = IndexedRecord(*json.loads(place))
        try:
            member = fetch_record(record, settings, get_range)
            return read_answer(io.BytesIO(member), Place(0), max_bytes, gzipped=True, max_expansion=crawl.max_expansion)
        except LeftAloneError as error:  # it holds for all other records too, which stay due
            raise StageError(f"crawl: Common Crawl's data: {error}; {would_do(error.reason)}") from error
        except FetchError as error:
            raise RecordError(error.reason, error.detail) from error
        except ArchiveError as error:
            raise RecordError(error.reason, str(error)) from error

    return Archive(lambda: [("",)], records, read)


def _settings(source: CommonCrawlSource) -> CommonCrawlSettings:
    return CommonCrawlSettings(
        urls=source.urls,
        match=source.match,
        crawls=source.crawls,
        media_types=source.media_types,
        languages=source.languages,
        max_records=source.max_records,
        index=source.index,
        data=source.data,
    )


def _listed(record: IndexedRecord) -> Listed:
    kind: Kind = "image" if record.mime.startswith("image/") else "page"
    return Listed(LinkRow("", record.url, kind), iso_of_digits(record.timestamp), json.dumps(record))
