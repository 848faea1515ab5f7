"""The bytes of a web archive, plain or gzipped, from any place on, and how to find one where a record may begin."""

import re
import zlib
from typing import BinaryIO, NamedTuple

PIECE_BYTES = 16 * 1024
"""Compressed bytes inflated at a time: at most 1,032 times as many come out. Source: zlib's technical details."""

GZIP_WINDOW = 16 + zlib.MAX_WBITS
"""For zlib: gzip members, and nothing else."""

MAX_LINE_BYTES = 64 * 1024
"""Of a header line."""

_SEARCH_BYTES = 1024 * 1024
_MAGIC = b"\x1f\x8b\x08"
_SCHEME = rb"(?:https?|ftp|dns|filedesc|warcinfo|metadata)"
_WARC_START = rb"WARC/[0-9]+\.[0-9]+\r?\n"
_ARC_START = _SCHEME + rb":[^\r\n]{0,8192} [0-9]{1,9}\r?\n"
_RECORD_START = re.compile(rb"(?:%b|%b)" % (_WARC_START, _ARC_START), re.I)
_RECORD_AT_LINE_START = re.compile(rb"(?:^|(?<=\n))(?:%b|%b)" % (_WARC_START, _ARC_START), re.I)
_MAY_START = re.compile(rb"(?:WARC/|%b:)" % _SCHEME, re.I)
_LONGEST_START = 8192 + 64
_SHORTEST_START = 16


class Place(NamedTuple):
    """Where something stands in an archive.

    Attributes:
        offset: in the file, in bytes; of the gzip member where the archive is gzipped.
        inner: bytes to be skipped of what that member inflates to; 0 where each record has a member of its own.
    """

    offset: int
    inner: int = 0


class ArchiveError(Exception):
    """A piece of an archive that cannot be read.

    Attributes:
        reason: a snake_case fact, such as "truncated_record".
        place: where it was noticed.
    """

    def __init__(self, reason: str, text: str, place: Place) -> None:
        super().__init__(text)
        self.reason, self.place = reason, place


def is_gzipped(file: BinaryIO) -> bool:
    """Return whether an archive is gzipped, by its first bytes."""
    file.seek(0)
    return file.read(2) == _MAGIC[:2]


class ArchiveStream:
    """Reads on from a place, within one gzip member or, in a plain archive, to the end of the file.

    Args:
        file: the archive, which can seek.
        place: where to begin.
        gzipped: whether the archive is.

    Raises:
        ArchiveError: there is no such place.
    """

    def __init__(self, file: BinaryIO, place: Place, *, gzipped: bool) -> None:
        self._file, self._gzipped = file, gzipped
        self._position = place.offset
        self._raw, self._raw_offset = b"", place.offset
        self._buffer = b""
        self._begin_member()
        self.skip(place.inner)

    @property
    def place(self) -> Place:
        """Where the next byte comes from."""
        if self._gzipped:
            return Place(self._member, self._inner)
        return Place(self._member + self._inner)

    def read(self, num_bytes: int) -> bytes:
        """Return the next bytes, fewer only where the member ends."""
        pieces = []
        while num_bytes and self._fill():
            piece, self._buffer = self._buffer[:num_bytes], self._buffer[num_bytes:]
            self._inner += len(piece)
            num_bytes -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def skip(self, num_bytes: int) -> int:
        """Pass over bytes; return how many there were."""
        skipped = 0
        while skipped < num_bytes and (piece := self.read(min(num_bytes - skipped, _SEARCH_BYTES))):
            skipped += len(piece)
        return skipped

    def read_line(self) -> bytes:
        """Return the next line with its end, which is missing where the member ends or the line is too long."""
        pieces: list[bytes] = []
        while sum(map(len, pieces)) < MAX_LINE_BYTES and self._fill():
            end = self._buffer.find(b"\n") + 1
            pieces.append(self.read(min(end or len(self._buffer), MAX_LINE_BYTES)))
            if end:
                break
        return b"".join(pieces)

    def skip_blank(self) -> bool:
        """Pass over line ends, and on to the next member where this one ends; return whether anything follows."""
        while not self.skip_line_ends():
            if not self._begin_next_member():
                return False
        return True

    def skip_line_ends(self) -> bool:
        """Pass over line ends; return whether anything follows in this member."""
        while self._fill():
            rest = self._buffer.lstrip(b"\r\n")
            self._inner += len(self._buffer) - len(rest)
            self._buffer = rest
            if rest:
                return True
        return False

    def may_begin_record(self) -> bool:
        """Return whether what comes next may be a record's header, or what the end of the file left of one."""
        start = self.read(_SHORTEST_START)
        self._buffer = start + self._buffer
        self._inner -= len(start)
        return _MAY_START.match(start) is not None or b"WARC/".startswith(start.upper())

    def _next_piece(self) -> bytes:
        """The next bytes of the file, whoever else has read in it meanwhile."""
        self._file.seek(self._position)
        piece = self._file.read(PIECE_BYTES)
        self._position += len(piece)
        return piece

    def _begin_member(self) -> None:
        self._member, self._inner = self._raw_offset, 0
        self._inflate = zlib.decompressobj(GZIP_WINDOW)

    def _begin_next_member(self) -> bool:
        """Go on to the next member of a gzipped archive; return whether there is one."""
        if not self._gzipped:
            return False
        while True:
            data = self._raw or self._next_piece()
            self._raw = data.lstrip(b"\0")  # some writers pad with zeros
            self._raw_offset += len(data) - len(self._raw)
            if self._raw:
                self._begin_member()
                return True
            if not data:
                return False

    def _fill(self) -> bool:
        """Have something in the buffer; return False at the end of the member.

        Raises:
            ArchiveError: the member is damaged, or the file ends inside it.
        """
        while not self._buffer:
            if not self._gzipped:
                self._buffer = self._next_piece()
                return bool(self._buffer)
            if self._inflate.eof:
                return False
            self._raw = self._raw or self._next_piece()
            if not self._raw:
                raise ArchiveError("truncated_record", "the file ends inside a gzip member", self.place)
            try:
                self._buffer = self._inflate.decompress(self._raw)
            except zlib.error as error:
                raise ArchiveError("bad_gzip", str(error), self.place) from error
            self._raw_offset += len(self._raw) - len(self._inflate.unused_data)
            self._raw = self._inflate.unused_data
        return True


def find_start(file: BinaryIO, offset: int, *, gzipped: bool) -> int | None:
    """Return where the first record may begin at or behind an offset, None where none does.

    What looks like the begin of a record may stand inside of one: only who knows where the record before ends can tell.
    """
    while True:
        file.seek(max(offset - 1, 0))
        data = file.read(_SEARCH_BYTES)
        begin = min(offset, 1)
        found = _magics(file, data, offset - begin, begin) if gzipped else _line_starts(data, begin)
        if found is not None:
            return offset - begin + found
        if len(data) < _SEARCH_BYTES:
            return None
        offset += _SEARCH_BYTES - _LONGEST_START - 1


def _line_starts(data: bytes, begin: int) -> int | None:
    match = _RECORD_AT_LINE_START.search(data, begin)
    return None if match is None else match.start()


def _magics(file: BinaryIO, data: bytes, base: int, begin: int) -> int | None:
    found = data.find(_MAGIC, begin)
    while found >= 0:
        if _begins_record(file, base + found):
            return found
        found = data.find(_MAGIC, found + 1)
    return None


def _begins_record(file: BinaryIO, offset: int) -> bool:
    try:
        head = ArchiveStream(file, Place(offset), gzipped=True).read(_LONGEST_START)
    except ArchiveError as error:
        if error.reason == "bad_gzip":
            return False
        head = b"WARC/1.0\n"  # cut off by the end of the file: counted as what it was to be
    return _RECORD_START.match(head.lstrip(b"\r\n")) is not None
