"""Reads web archives: WARC 1.0 and 1.1, ARC 1 and 2, plain or gzipped, whole or any part, damaged or not.

A part of a file is read without knowing what stands before it: it begins with the first thing that looks like a record.
Where a record holds another archive, that may be a false one, so a part also says where it began and where it ended;
part by part these must join, and one that does not is read again from where the one before it ended.

Source: ISO 28500:2017 (WARC 1.1), https://iipc.github.io/warc-specifications/; ARC:
https://archive.org/web/researcher/ArcFileFormat.php.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, NamedTuple

from crawl.archive_stream import ArchiveError, ArchiveStream, Place, find_start, is_gzipped

MAX_HEADERS = 1_000
"""Header lines of a record."""

MAX_HEAD_BYTES = 64 * 1024
"""Of the HTTP head in a record that is looked into to tell what it is."""

_ARC_LINE = re.compile(
    rb"(?P<url>[a-z][a-z0-9+.-]*:.*) \S+ (?P<date>\d{14}) (?P<rest>.*?)(?P<length>\d{1,18})\r?\n", re.I
)


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One record, as its header has it.

    Attributes:
        place: where it begins.
        kind: `WARC-Type` in lower case; of ARC "response", or "warcinfo" for the record that heads the file.
        url: what was asked for, as written; "" where nothing is named.
        date: ISO 8601 in UTC; "" where none is named.
        content_type: of the block.
        num_bytes: of the block.
        headers: all of a WARC record, names in lower case; the first of a name counts.
        block_start: the block's first bytes, up to `MAX_HEAD_BYTES`.
    """

    place: Place
    kind: str
    url: str
    date: str
    content_type: str
    num_bytes: int
    headers: dict[str, str]
    block_start: bytes = b""


class Flaw(NamedTuple):
    """A piece of an archive that nothing came of: where, why (a snake_case fact) and what exactly is wrong."""

    place: Place
    reason: str
    text: str


class Span(NamedTuple):
    """What a part turned out to be: where its first record begins and where the first behind it does.

    Where there is none, it is the size of the file, or for the first of a part that holds none, `after`.
    """

    first: int
    after: int


def scan(file: BinaryIO, start: int, end: int, *, is_exact: bool = False) -> Iterator[ArchiveRecord | Flaw | Span]:
    """Yield the records that begin in a part of an archive, what is damaged there, and at last the part's `Span`.

    Args:
        file: the archive, which can seek.
        start: of the part, in bytes.
        end: of the part, in bytes; a record that begins before it belongs to the part, however long it is.
        is_exact: whether a record is known to begin at `start`.
    """
    gzipped, size = is_gzipped(file), file.seek(0, 2)
    offset = start if is_exact or start == 0 else find_start(file, start, gzipped=gzipped)
    if offset is None or offset >= min(end, size):
        after = size if offset is None else offset
        yield Span(after, after)
        return
    first = offset
    while offset is not None and offset < min(end, size):
        reader = _Reader(file, Place(offset), gzipped)
        yield from reader.records(end)
        offset = reader.after
    yield Span(first, size if offset is None else offset)


class _Reader:
    """Reads records one after the other until one is damaged or a part ends; `after` is where to go on."""

    def __init__(self, file: BinaryIO, place: Place, gzipped: bool) -> None:
        self._file, self._place, self._gzipped = file, place, gzipped
        self.after: int | None = None

    def records(self, end: int) -> Iterator[ArchiveRecord | Flaw]:
        place = self._place
        try:
            stream = ArchiveStream(self._file, place, gzipped=self._gzipped)
            while stream.skip_blank():
                place = stream.place
                if place.offset >= end:
                    self.after = place.offset
                    return
                record = read_head(stream)
                start = stream.read(min(record.num_bytes, MAX_HEAD_BYTES))
                num_bytes = len(start) + stream.skip(record.num_bytes - len(start))
                self._check(stream, record, num_bytes)
                yield replace(record, block_start=start)
        except ArchiveError as error:
            place = max(place, Place(error.place.offset))  # it may be the next that cannot be begun
            yield Flaw(place, error.reason, str(error))
            self.after = find_start(self._file, place.offset + 1, gzipped=self._gzipped)

    def _check(self, stream: ArchiveStream, record: ArchiveRecord, num_bytes: int) -> None:
        """Check that the block was whole, and that what follows is a record or the end.

        Raises:
            ArchiveError: it is not so.
        """
        if num_bytes < record.num_bytes:
            raise ArchiveError("truncated_record", f"{num_bytes} of {record.num_bytes} bytes are there", record.place)
        if stream.skip_line_ends() and not stream.may_begin_record():
            raise ArchiveError("wrong_length", f"no record follows its {record.num_bytes} bytes", record.place)


def read_head(stream: ArchiveStream) -> ArchiveRecord:
    """Return the record whose header comes next; the stream then stands at its block.

    Raises:
        ArchiveError: no header comes next.
    """
    place, line = stream.place, stream.read_line()
    if line[:5].upper() == b"WARC/":
        return _warc_head(stream, place)
    arc = _ARC_LINE.fullmatch(line)
    if arc is None:
        raise ArchiveError("bad_header", line[:80].decode("latin-1"), place)
    kind = "warcinfo" if arc["url"].lower().startswith(b"filedesc:") else "response"
    return ArchiveRecord(
        place=place,
        kind=kind,
        url=arc["url"].decode("utf-8", "replace"),
        date=iso_of_digits(arc["date"].decode()),
        content_type="application/http; msgtype=response",
        num_bytes=int(arc["length"]),
        headers={},
    )


def iso_of_digits(date: str) -> str:
    """Return the ISO 8601 spelling of a time as ARC and CDX write it.

    >>> iso_of_digits("20140216050221")
    '2014-02-16T05:02:21Z'
    """
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z"


def _warc_head(stream: ArchiveStream, place: Place) -> ArchiveRecord:
    headers: dict[str, str] = {}
    name = ""
    for _ in range(MAX_HEADERS):
        line = stream.read_line()
        if not line.endswith(b"\n"):
            raise ArchiveError("truncated_record", "it ends inside its header", place)
        text = line.rstrip(b"\r\n").decode("utf-8", "replace")
        if not text:
            return _record(place, headers)
        if text[0] in " \t" and name:  # folded
            headers[name] = f"{headers[name]} {text.strip()}"
            continue
        key, _, value = text.partition(":")
        name = key.strip().lower()
        headers.setdefault(name, value.strip())
    raise ArchiveError("bad_header", f"more than {MAX_HEADERS} header lines", place)


def _record(place: Place, headers: dict[str, str]) -> ArchiveRecord:
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal() and len(length) < 19):
        raise ArchiveError("bad_header", f"its Content-Length is {length!r}", place)
    return ArchiveRecord(
        place=place,
        kind=headers.get("warc-type", "").lower(),
        url=headers.get("warc-target-uri", "").removeprefix("<").removesuffix(">"),
        date=headers.get("warc-date", ""),
        content_type=headers.get("content-type", ""),
        num_bytes=int(length),
        headers=headers,
    )
