"""Web archives, read where they lie: a large file by many workers at once."""

import functools
import json
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from crawl.archive_stream import ArchiveError, Place, is_gzipped
from crawl.archived_answer import http_headers, read_answer
from crawl.damage import damage
from crawl.records import Kind, LinkRow
from crawl.response import Response
from crawl.stored_file import StoredFileError, open_stored, size_of_stored
from crawl.url_lists import OpenFile
from crawl.urls import canonical_url
from crawl.warc_reader import ArchiveRecord, Flaw, Span, scan
from pipelines.archives import Archive, Listed, RecordError, unreadable
from pipelines.errors import StageError, said
from pipelines.fetching import fetch_settings
from pipelines.held import HeldOnDisk
from pipelines.nothing_fetched import would_do
from pipelines.source_files import find_files
from pipelines.source_recipes import WarcSource
from pipelines.stages import Job

_WANTED = ("response", "resource")
_OF_THE_ARCHIVE = ("dns:", "metadata:", "urn:", "whois:")
"""Begins of URLs that writers of archives give to what they note of their own work."""


def open_archive(source: WarcSource, job: Job) -> Archive:
    """How web archives are read: in parts of `split_bytes`, records of each found where they begin."""
    crawl = job.recipe.crawl
    max_bytes = max(crawl.max_page_bytes, crawl.max_picture_bytes)
    open_file = functools.partial(open_stored, settings=fetch_settings(job), held=HeldOnDisk(job.folder))
    latest = _LatestFile(open_file)

    def records(part: str) -> Iterator[Listed | Span]:
        path, start, end, is_exact = json.loads(part)
        with _told_of(path), open_file(path) as file:
            for found in scan(file, start, end, is_exact=is_exact):
                if isinstance(found, Span):
                    yield found
                elif isinstance(found, Flaw):
                    yield _flawed(path, found)
                elif found.kind in _WANTED and not found.url.startswith(_OF_THE_ARCHIVE):
                    yield _listed(path, found)
                elif found.kind == "revisit":
                    yield _flawed(path, Flaw(found.place, "revisit", f"{found.url} stands in an earlier archive"))

    def read(place: str) -> Response:
        path, offset, inner = json.loads(place)
        try:
            file, gzipped = latest.open(path)
            return read_answer(
                file, Place(offset, inner), max_bytes, gzipped=gzipped, max_expansion=crawl.max_expansion
            )
        except ArchiveError as error:
            raise RecordError(error.reason, str(error)) from error
        except StoredFileError as error:  # the records behind it could not be had either, and stay due
            raise StageError(f"crawl: {path}: {error}; {would_do(error.reason)}") from error
        except OSError as error:
            raise RecordError("unreadable", said(error)) from error

    def from_exactly(part: str, offset: int) -> str:
        path, _, end, _ = json.loads(part)
        return json.dumps([path, offset, end, True])

    return Archive(lambda: _files(source, job), records, read, from_exactly, latest.close)


class _LatestFile:
    """The archive that was read last, kept open: records are read file by file."""

    def __init__(self, open_file: OpenFile) -> None:
        self._open_file, self._opened = open_file, ExitStack()
        self._path = ""

    def open(self, path: str) -> tuple[BinaryIO, bool]:
        """The archive at a path, and whether it is gzipped."""
        if path != self._path:
            self.close()
            self._file = self._opened.enter_context(self._open_file(path))
            self._gzipped, self._path = is_gzipped(self._file), path
        return self._file, self._gzipped

    def close(self) -> None:
        """Closes it."""
        self._opened.close()
        self._path = ""


@contextmanager
def _told_of(path: str) -> Iterator[None]:
    """Says of a file what is wrong with it.

    Raises:
        StageError: it cannot be read.
    """
    try:
        yield
    except OSError as error:
        do = would_do(error.reason) if isinstance(error, StoredFileError) else "check the files that the source names"
        raise StageError(f"crawl: {path}: {said(error)}; {do}") from error


def _files(source: WarcSource, job: Job) -> Iterator[tuple[str, ...]]:
    """The parts of each file.

    Raises:
        StageError: a file is not there, or cannot be read.
    """
    for path in find_files(source.files):
        with _told_of(path):
            size = size_of_stored(path, fetch_settings(job), HeldOnDisk(job.folder))
        starts = range(0, max(size, 1), source.split_bytes)
        yield tuple(json.dumps([path, start, min(start + source.split_bytes, size), False]) for start in starts)


def _listed(path: str, record: ArchiveRecord) -> Listed:
    url = canonical_url(record.url)
    if url is None:
        return _flawed(path, Flaw(record.place, "bad_url", record.url))
    media_type = record.content_type
    if record.kind == "response":
        parsed = http_headers(record.block_start)
        media_type = "" if parsed is None else Response(parsed[0], b"", parsed[1]).media_type
    kind: Kind = "image" if media_type.strip().lower().startswith("image/") else "page"
    return Listed(LinkRow("", url, kind), record.date, json.dumps([path, *record.place]))


def _flawed(path: str, flaw: Flaw) -> Listed:
    name = path.rsplit("/", 1)[-1]
    where = f"{flaw.place.offset}" if not flaw.place.inner else f"{flaw.place.offset}+{flaw.place.inner}"
    told_apart = f"{zlib.crc32(path.encode()):08x}"  # two files may have one name
    return unreadable(f"archive:{name}?{told_apart}#{where}", "", damage(name, 0, flaw.reason, flaw.text))
