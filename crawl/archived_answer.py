"""The answer that a record of a web archive holds, checked against its digests and decoded as a browser would."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from crawl.archive_stream import ArchiveError, ArchiveStream, Place
from crawl.content_coding import MAX_EXPANSION, BodyDecoder, CodingError, ExpansionError
from crawl.response import Response
from crawl.warc_reader import MAX_HEAD_BYTES, ArchiveRecord, read_head

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})(?:[ \r\n]|$)", re.I)
_CHUNK_SIZE = re.compile(rb"\s*([0-9a-fA-F]{1,8})\s*(?:;[^\r\n]*)?\r?\n")
_ALGORITHMS = {"sha1": "sha1", "sha-1": "sha1", "sha256": "sha256", "sha-256": "sha256", "md5": "md5"}


def read_answer(
    file: BinaryIO, place: Place, max_bytes: int, *, gzipped: bool, max_expansion: float = MAX_EXPANSION
) -> Response:
    """Return the answer in the record that begins at a place.

    Args:
        file: the archive, which can seek.
        place: of a `response` or `resource` record.
        max_bytes: of the body, decoded.
        gzipped: whether the archive is.
        max_expansion: decoded bytes of the body for each coded one, see `crawl.content_coding.MAX_EXPANSION`.

    Raises:
        ArchiveError: "too_many_bytes", "expands_too_much", "truncated_record", "digest_mismatch", "bad_http", or what
            `read_head` raises.
    """
    stream = ArchiveStream(file, place, gzipped=gzipped)
    stream.skip_blank()
    record = read_head(stream)
    if record.num_bytes > max_bytes + MAX_HEAD_BYTES:
        raise ArchiveError("too_many_bytes", f"{record.num_bytes} > {max_bytes}", place)
    block = stream.read(record.num_bytes)
    if len(block) < record.num_bytes:
        raise ArchiveError("truncated_record", f"{len(block)} of {record.num_bytes} bytes are there", place)
    if record.kind == "resource":
        _check_digests(record, block, [block])
        media_type = record.content_type
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n\r\n".encode("latin-1", "replace")
        return Response(200, head, (("content-type", media_type),), _cut(block, max_bytes, place))
    return _http_answer(record, block, max_bytes, max_expansion)


def http_headers(block_start: bytes) -> tuple[int, tuple[tuple[str, str], ...], int] | None:
    """Return status, headers (names in lower case) and length of the head of an HTTP message, None if it is none."""
    status = _STATUS_LINE.match(block_start)
    if status is None:
        return None
    end, blank = block_start.find(b"\r\n\r\n"), 4
    if (bare := block_start.find(b"\n\n", 0, end if end >= 0 else len(block_start))) >= 0:
        end, blank = bare, 2
    if end < 0:
        end, blank = len(block_start), 0
    lines = block_start[:end].replace(b"\r\n", b"\n").split(b"\n")[1:]
    pairs = (line.decode("latin-1").partition(":") for line in lines)
    headers = tuple((name.strip().lower(), value.strip()) for name, colon, value in pairs if colon)
    return int(status[1]), headers, end + blank


def _http_answer(record: ArchiveRecord, block: bytes, max_bytes: int, max_expansion: float) -> Response:
    parsed = http_headers(block)
    if parsed is None:
        raise ArchiveError("bad_http", block[:40].decode("latin-1"), record.place)
    status, headers, head_bytes = parsed
    head, body = block[:head_bytes], block[head_bytes:]
    response = Response(status, head, headers)
    entity = body
    # Archives often hold bodies without their transfer coding, and headers that still tell of it.
    if "chunked" in (response.header("transfer-encoding") or "").lower():
        entity = _dechunked(body)
    _check_digests(record, block, [body, entity])
    coding = response.header("content-encoding") or ""
    return Response(status, head, headers, _decoded(entity, coding, max_bytes, max_expansion, record))


def _dechunked(body: bytes) -> bytes:
    """Return what chunks amount to; the body as it is where it does not consist of any."""
    pieces, position = [], 0
    while position < len(body):
        size = _CHUNK_SIZE.match(body, position)
        if size is None:
            return body
        length = int(size[1], 16)
        if length == 0:
            break
        pieces.append(body[size.end() : size.end() + length])
        position = size.end() + length
        position += 2 if body.startswith(b"\r\n", position) else 1
    return b"".join(pieces)


def _decoded(entity: bytes, coding: str, max_bytes: int, max_expansion: float, record: ArchiveRecord) -> bytes:
    if coding.strip().lower() in ("", "identity"):
        return _cut(entity, max_bytes, record.place)
    try:
        decoder = BodyDecoder(coding, max_bytes, max_expansion)
        body = decoder.decode(entity)
        if not decoder.is_over:
            decoder.finish()
    except ExpansionError as error:
        raise ArchiveError("expands_too_much", str(error), record.place) from error
    except CodingError:
        return _cut(entity, max_bytes, record.place)  # stored decoded, as wget and browsers' archives do
    if decoder.is_over:
        raise ArchiveError("too_many_bytes", f"more than {max_bytes} when decoded", record.place)
    return body


def _cut(body: bytes, max_bytes: int, place: Place) -> bytes:
    if len(body) > max_bytes:
        raise ArchiveError("too_many_bytes", f"{len(body)} > {max_bytes}", place)
    return body


def _check_digests(record: ArchiveRecord, block: bytes, payloads: list[bytes]) -> None:
    """Check the block's digest, else the payload's, which writers take before or after the transfer coding is undone.

    Raises:
        ArchiveError: "digest_mismatch".
    """
    for name, contents in (("warc-block-digest", [block]), ("warc-payload-digest", payloads)):
        algorithm, digest = _digest(record.headers.get(name, ""))
        if digest is not None:
            if any(hashlib.new(algorithm, content, usedforsecurity=False).digest() == digest for content in contents):
                return
            raise ArchiveError("digest_mismatch", f"{name} is {record.headers[name]}", record.place)


def _digest(text: str) -> tuple[str, bytes | None]:
    """Return algorithm and bytes of a labelled digest, in base 32 or hex; None for those that cannot be checked."""
    label, _, value = text.partition(":")
    algorithm = _ALGORITHMS.get(label.strip().lower())
    if algorithm is None:
        return "", None
    size = hashlib.new(algorithm, usedforsecurity=False).digest_size
    return algorithm, next((found for found in _spelled(value.strip()) if len(found) == size), None)


def _spelled(value: str) -> Iterator[bytes]:
    """Yield what a digest may stand for."""
    with suppress(ValueError):
        yield bytes.fromhex(value)
    with suppress(binascii.Error):
        yield base64.b32decode(value.upper() + "=" * (-len(value) % 8))
