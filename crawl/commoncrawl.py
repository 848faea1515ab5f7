"""Pages that Common Crawl has already fetched: looked up in its index, and only their records read.

The index is a CDX server, asked page by page and one request at a time; a record is one gzip member of a WARC file,
read by a range request. Both back off as they are told (see `crawl.api`).

Source: https://pywb.readthedocs.io/en/latest/manual/cdxserver_api.html, https://index.commoncrawl.org/,
https://commoncrawl.org/get-started.
"""

import json
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from crawl.api import ApiAnswer
from crawl.archive_stream import GZIP_WINDOW
from crawl.damage import Damage, damage
from crawl.exchange import Params
from crawl.http import FetchError
from crawl.urls import canonical_url, origin_of

GetBytes = Callable[[str, Params, Collection[int]], ApiAnswer]
"""Asks an API: endpoint, parameters and the HTTP statuses that are answers in; see `crawl.api.request_bytes`."""

GetRange = Callable[[str, int, int], bytes]
"""Reads a range of a file: URL, offset and number of bytes in; see `crawl.ranges.request_range`."""

_FIELDS = "url,timestamp,status,mime,digest,filename,offset,length"
_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\.gz")
_DIGITS = re.compile(r"\d{1,18}")
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CommonCrawlSettings:
    """What to look up.

    Attributes:
        urls: what to look for, such as "trees.example" or "trees.example/walk/"; a top-level domain, such as "museum",
            stands for all of it where `match` is "domain".
        match: which URLs each stands for: the one itself, all that begin so, all of the host, or all of the domain.
        crawls: names of crawls, such as "CC-MAIN-2024-22"; none is the newest.
        media_types: media types wanted, as the servers named them; none is any. There is no look-up by type alone.
        languages: ISO 639-3 codes of languages one of which a page must have, such as "eng"; none is any.
        status: HTTP status wanted.
        max_records: records listed in all.
        max_record_bytes: compressed bytes a record may have.
        index: canonical URL of the list of crawls.
        data: canonical URL that the names of files are under, with a slash at its end.
    """

    urls: tuple[str, ...]
    match: Literal["exact", "prefix", "host", "domain"] = "domain"
    crawls: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ("text/html",)
    languages: tuple[str, ...] = ()
    status: int = 200
    max_records: int = 10_000
    max_record_bytes: int = 2**24
    index: str = "https://index.commoncrawl.org/collinfo.json"
    data: str = "https://data.commoncrawl.org/"

    def __post_init__(self) -> None:
        """Check what would send every request to the wrong place.

        Raises:
            ValueError: an address is not canonical, or that of the data has no slash at its end.
        """
        for name, url in (("index", self.index), ("data", self.data)):
            if canonical_url(url) != url:
                raise ValueError(f"{name} is {url!r}; give an http or https URL, such as {canonical_url(url)!r}")
        if not self.data.endswith("/"):
            raise ValueError(f"data is {self.data!r}; give it a slash at its end")


class IndexedRecord(NamedTuple):
    """Where a capture is stored.

    Attributes:
        url: URL that was asked, canonical.
        filename: WARC file, relative to `CommonCrawlSettings.data`.
        offset: where its gzip member begins, in bytes.
        length: length of that member, in bytes.
        digest: SHA-1 of the payload in base 32, "" where it is not told.
        mime: media type as the server named it.
        status: HTTP status.
        timestamp: when it was fetched, fourteen digits in UTC.
    """

    url: str
    filename: str
    offset: int
    length: int
    digest: str
    mime: str
    status: int
    timestamp: str


def find_records(settings: CommonCrawlSettings, get: GetBytes) -> Iterator[IndexedRecord | Damage]:
    """Yield where each capture is stored, crawl by crawl in the order of the index, and lines that tell of none.

    Raises:
        FetchError: the index could not be had; reason "unknown_crawl" where a crawl is none of its own, "api_error"
            where it does not take the query, and "bad_json" where its answer is none of a CDX server's.
    """
    num_records = 0
    for endpoint in _endpoints(settings, get):
        for url in settings.urls:
            for found in _captures(endpoint, url, settings, get):
                if num_records >= settings.max_records:
                    return
                num_records += isinstance(found, IndexedRecord)
                yield found


def fetch_record(record: IndexedRecord, settings: CommonCrawlSettings, get_range: GetRange) -> bytes:
    """Return the gzip member that holds a record, as stored.

    Raises:
        FetchError: it could not be had; reason "bad_record" where what stands there is not exactly one gzip member.
    """
    url = f"{settings.data}{record.filename}"
    member = get_range(url, record.offset, record.length)
    if fault := _member_fault(member):
        raise FetchError("bad_record", f"{url} at {record.offset}, {record.length} bytes: {fault}")
    return member


def _endpoints(settings: CommonCrawlSettings, get: GetBytes) -> list[str]:
    """Return where the chosen crawls are asked for; the newest stands first in the list of crawls."""
    crawls = _json(get(settings.index, {}, {200}).body, settings.index)
    if not isinstance(crawls, list) or not crawls:
        raise FetchError("bad_json", f"{settings.index} lists no crawls")
    known = {str(crawl.get("id")): str(crawl.get("cdx-api", "")) for crawl in crawls if isinstance(crawl, dict)}
    chosen = settings.crawls or tuple(known)[:1]
    return [_endpoint(name, known, settings.index) for name in chosen]


def _endpoint(name: str, known: Mapping[str, str], index: str) -> str:
    if name not in known:
        newest = ", ".join(list(known)[:5])
        raise FetchError("unknown_crawl", f"{index} knows no crawl {name!r}; the newest are {newest}")
    endpoint = canonical_url(known[name])
    if endpoint is None or origin_of(endpoint) != origin_of(index):
        raise FetchError("bad_json", f"{index} names {known[name]!r} to ask for {name}, which is not its own")
    return endpoint


def _captures(
    endpoint: str, url: str, settings: CommonCrawlSettings, get: GetBytes
) -> Iterator[IndexedRecord | Damage]:
    query: dict[str, str | list[str]] = {
        "url": url,
        "matchType": settings.match,
        "output": "json",
        "fl": _FIELDS,
        "filter": _filters(settings),
    }
    for page in range(_num_pages(endpoint, query, get)):
        lines = _answer(endpoint, {**query, "page": str(page)}, get).splitlines()
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _record(line, number, f"{endpoint}?url={url}&page={page}", settings)


def _filters(settings: CommonCrawlSettings) -> list[str]:
    """Return the filters of a query: `=` is an exact match, `~` a regular expression from the beginning on."""
    filters = [f"=status:{settings.status}"]
    if settings.media_types:
        filters.append(f"~mime:(?:{'|'.join(map(re.escape, settings.media_types))})$")
    if settings.languages:
        filters.append(f"~languages:(?:.*,)?(?:{'|'.join(map(re.escape, settings.languages))})(?:,|$)")
    return filters


def _num_pages(endpoint: str, query: Params, get: GetBytes) -> int:
    """Return how many pages an answer has; older servers say the number alone."""
    answer = _answer(endpoint, {**query, "showNumPages": "true"}, get)
    if not answer.strip():
        return 0
    found = _json(answer, endpoint)
    pages = found.get("pages") if isinstance(found, dict) else found
    if isinstance(pages, bool) or not isinstance(pages, int):
        raise FetchError("bad_json", f"{endpoint} says no number of pages: {answer[:200]!r}")
    return pages


def _answer(endpoint: str, query: Params, get: GetBytes) -> bytes:
    """Return what the server says to a query, b"" where it has no captures, which it says with 404.

    A page of a query may have none, and the next one some: filters apply to each page by itself.

    Raises:
        FetchError: the query is not taken, or 404 means something else.
    """
    answer = get(endpoint, query, {200, 400, 404})
    if answer.status == 200:
        return answer.body
    said = " ".join(answer.body.decode("utf-8", "replace").split())[:300]
    if answer.status == 404 and "no captures found" in said.lower():
        return b""
    raise FetchError("api_error", f"{endpoint} answered {answer.status} to {query['url']!r}: {said}")


def _record(line: bytes, number: int, source: str, settings: CommonCrawlSettings) -> IndexedRecord | Damage:
    text = line.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return damage(source, number, "bad_json", text)
    if not isinstance(found, dict):
        return damage(source, number, "not_an_object", text)
    fields = {name: str(found.get(name, "")) for name in _FIELDS.split(",")}
    url = canonical_url(fields["url"])
    if url is None:
        return damage(source, number, "bad_url", text)
    numbers = (fields["offset"], fields["length"], fields["status"])
    if not _FILENAME.fullmatch(fields["filename"]) or not all(map(_DIGITS.fullmatch, numbers)):
        return damage(source, number, "bad_reference", text)
    offset, length, status = map(int, numbers)
    if not 0 < length <= settings.max_record_bytes:
        return damage(source, number, "too_many_bytes", text)
    digest, mime, timestamp = fields["digest"], fields["mime"], fields["timestamp"]
    return IndexedRecord(url, fields["filename"], offset, length, digest, mime, status, timestamp)


def _member_fault(data: bytes) -> str:
    """Return why bytes are not exactly one gzip member, "" where they are; what it holds is not kept."""
    inflate = zlib.decompressobj(GZIP_WINDOW)
    try:
        while data and not inflate.eof:
            inflate.decompress(data, _PIECE_BYTES)
            data = inflate.unconsumed_tail
    except zlib.error as error:
        return str(error)
    if not inflate.eof:
        return "the gzip member is longer"
    return f"{len(inflate.unused_data)} bytes too many" if inflate.unused_data else ""


def _json(body: bytes, endpoint: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchError("bad_json", f"{endpoint}: {error}") from error
