"""Records taken out of a WARC file without moving the others: something empty, and as long, stands in their place."""

import struct
import zlib
from collections.abc import Collection
from typing import BinaryIO

from crawl.archive_stream import GZIP_WINDOW
from crawl.warc import WarcError, record_id

_PIECE_BYTES = 64 * 1024
_GZIP_COMMENTED = bytes([0x1F, 0x8B, 8, 0x10, 0, 0, 0, 0, 0, 255])
"""The head of a gzip member with a comment: deflate, flag FCOMMENT, no time, unknown system. Source: RFC 1952."""


def copy_without(source: BinaryIO, target: BinaryIO, offsets: Collection[int], where: str) -> None:
    """Copy a WARC file with some of its records blotted out: an empty record as long stands in the place of each.

    All other records stay where they are, so that every reference to one of them holds.

    Args:
        source: the file, open for binary reading at its begin.
        target: open for binary writing.
        offsets: where the gzip members of the records begin that are to go.
        where: the file, as it is named to people.

    Raises:
        WarcError: no whole member begins at an offset.
    """
    for offset in sorted(offsets):
        _copy(source, target, offset - source.tell())
        try:
            length = _member_length(source)
        except zlib.error as error:
            raise WarcError(f"{where} at offset {offset}: {error}") from error
        target.write(_blot(offset, length))
        source.seek(offset + length)
    _copy(source, target, None)


def _copy(source: BinaryIO, target: BinaryIO, num_bytes: int | None) -> None:
    """Copy so many bytes, or all that are left."""
    while num_bytes is None or num_bytes > 0:
        piece = source.read(_PIECE_BYTES if num_bytes is None else min(num_bytes, _PIECE_BYTES))
        if not piece:
            return
        target.write(piece)
        num_bytes = None if num_bytes is None else num_bytes - len(piece)


def _member_length(file: BinaryIO) -> int:
    """Return how many bytes the gzip member takes that begins where the file stands."""
    inflate, read = zlib.decompressobj(GZIP_WINDOW), 0
    while not inflate.eof:
        data = file.read(_PIECE_BYTES)
        if not data:
            raise zlib.error("the file ends inside the record")
        inflate.decompress(data)
        read += len(data)
    return read - len(inflate.unused_data)


def _blot(offset: int, length: int) -> bytes:
    """Return a gzip member of so many bytes that holds an empty `metadata` record; spaces in its comment fill it up.

    Source: RFC 1952, section 2.3: a comment of any length, ended by a zero byte.
    """
    headers = (
        "WARC/1.1\r\nWARC-Type: metadata\r\n"
        f"WARC-Record-ID: {record_id(f'forgotten {offset}')}\r\n"
        "WARC-Date: 1970-01-01T00:00:00Z\r\nContent-Length: 0\r\n\r\n\r\n\r\n"
    ).encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(headers) + deflate.flush()
    trailer = struct.pack("<II", zlib.crc32(headers), len(headers))
    comment = b" " * (length - len(_GZIP_COMMENTED) - 1 - len(body) - len(trailer)) + b"\0"
    blot = _GZIP_COMMENTED + comment + body + trailer
    assert len(blot) == length, "a response's own headers are longer than a blot's"
    return blot
