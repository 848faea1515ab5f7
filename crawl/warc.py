"""Payloads at rest: WARC 1.1, one gzip member per record, the same bytes for the same visits.

A payload is stored without its content and transfer codings; the headers that spoke of them are kept under another
name, as Common Crawl does, so that the stored message is whole and true.

Source: ISO 28500:2017, https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/.
"""

import base64
import hashlib
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from crawl.archive_stream import GZIP_WINDOW, ArchiveError, ArchiveStream, Place
from crawl.archived_answer import http_headers
from crawl.records import Visit
from crawl.response import charset_of
from crawl.settings import PRODUCT
from crawl.warc_reader import read_head

_COMPRESSED_MEDIA = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"})
_RENAMED_HEADERS = (b"content-length", b"content-encoding", b"transfer-encoding")
_HTTP_RESPONSE = "application/http; msgtype=response"
_BLANK_LINE = b"\r\n\r\n"


class WarcError(Exception):
    """A record that cannot be read; the message names file and offset."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response read back from a WARC file.

    Attributes:
        url: URL that was asked.
        payload: its decoded body.
        headers: as in `Response`; those about length and coding, which speak of what was sent, stand under other names.
    """

    url: str
    payload: bytes
    headers: tuple[tuple[str, str], ...]

    @property
    def media_type(self) -> str:
        """Media type without parameters, lower case, "" where none was sent."""
        return dict(reversed(self.headers)).get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """Character encoding named by HTTP, None where none was."""
        return charset_of(dict(reversed(self.headers)).get("content-type", ""))


def write_info(file: BinaryIO, filename: str) -> int:
    """Write the record that heads a WARC file and says what it is; return its offset.

    Args:
        file: open for binary writing, at its end.
        filename: name the file will have.
    """
    fields = (
        f"software: {PRODUCT}\r\nformat: WARC File Format 1.1\r\n"
        "conformsTo: https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/\r\n"
        "robots: RFC 9309\r\n"
    ).encode()
    headers = [
        ("WARC-Type", "warcinfo"),
        ("WARC-Record-ID", record_id(filename)),
        # Fixed: the records have times of their own, and the same visits are to give the same bytes.
        ("WARC-Date", "1970-01-01T00:00:00Z"),
        ("WARC-Filename", filename),
        ("Content-Type", "application/warc-fields"),
    ]
    return _write_record(file, headers, (fields,), level=6)


def write_visit(file: BinaryIO, visit: Visit) -> int:
    """Write the payload of a visit that has one, as one gzip member; return the member's offset.

    What came over HTTP is a `response` with its head; what did not, such as a file, is a `resource`. Pictures that are
    compressed already are stored, not deflated again.

    Args:
        file: open for binary writing, at its end.
        visit: its row's `warc_file` and `warc_offset` do not matter.
    """
    assert visit.payload is not None, f"{visit.row.url} has no payload to store"
    kind, content_type, head = "resource", visit.row.media_type, b""
    if visit.row.url.startswith(("http:", "https:")):
        kind, content_type, head = "response", _HTTP_RESPONSE, _stored_head(visit.http_head, len(visit.payload))
    headers = [
        ("WARC-Type", kind),
        ("WARC-Record-ID", record_id(f"{visit.row.url} {visit.row.fetched_at} {file.tell()}")),
        ("WARC-Date", visit.row.fetched_at),
        ("WARC-Target-URI", visit.row.url),
        ("WARC-Payload-Digest", _digest_text(bytes.fromhex(visit.row.sha256))),
        ("WARC-Block-Digest", _digest(head, visit.payload)),
        ("Content-Type", content_type),
    ]
    level = 0 if visit.row.media_type in _COMPRESSED_MEDIA else 6
    return _write_record(file, headers, (head, visit.payload), level)


def write_revisit(file: BinaryIO, visit: Visit) -> int:
    """Write that a URL still has the payload which an earlier snapshot holds, without it; return the member's offset.

    Args:
        file: open for binary writing, at its end.
        visit: one with `earlier`.

    Source: WARC 1.1, section 6.7, with its profiles "server-not-modified" and "identical-payload-digest".
    """
    assert visit.earlier is not None, f"{visit.row.url} is no revisit"
    profile = "server-not-modified" if visit.row.status == 304 else "identical-payload-digest"
    headers = [
        ("WARC-Type", "revisit"),
        ("WARC-Record-ID", record_id(f"{visit.row.url} {visit.row.fetched_at} {file.tell()}")),
        ("WARC-Date", visit.row.fetched_at),
        ("WARC-Target-URI", visit.row.url),
        ("WARC-Profile", f"http://netpreserve.org/warc/1.1/revisit/{profile}"),
        ("WARC-Refers-To-Target-URI", visit.row.url),
        ("WARC-Refers-To-Date", visit.earlier.fetched_at),
        ("WARC-Payload-Digest", _digest_text(bytes.fromhex(visit.earlier.sha256))),
        ("Content-Type", _HTTP_RESPONSE),
    ]
    return _write_record(file, headers, (visit.http_head,), level=6)


def read_payload(source: Path | str | BinaryIO, offset: int) -> bytes:
    """Return the decoded payload of the response that begins at an offset; arguments and errors as `read_record`."""
    return read_record(source, offset).payload


def read_record(source: Path | str | BinaryIO, offset: int, name: str = "") -> StoredResponse:
    """Return the response or resource that begins at an offset of a WARC file.

    Args:
        source: the file, or its path.
        offset: where the gzip member begins, in bytes.
        name: what the file is called in errors; as it calls itself if not given.

    Raises:
        WarcError: no whole record of that kind stands there, or its payload differs from its digest.
        OSError: the file cannot be read.
    """
    if isinstance(source, (str, Path)):
        with Path(source).open("rb") as file:
            return read_record(file, offset, name)
    name = f"{name or getattr(source, 'name', 'WARC file')} at offset {offset}"
    try:
        stream = ArchiveStream(source, Place(offset), gzipped=True)
        record = read_head(stream)
        block = stream.read(record.num_bytes)
        stream.skip_line_ends()  # and so to the member's end, which tells whether it is whole
    except ArchiveError as error:
        raise WarcError(f"{name}: {error}; fetch it again") from error
    headers: tuple[tuple[str, str], ...] = (("content-type", record.content_type),)
    begin = 0
    if record.kind == "response" and (http := http_headers(block)) is not None:
        _, headers, begin = http
    payload = block[begin:]
    if record.kind not in ("response", "resource") or record.headers.get("warc-payload-digest") != _digest(payload):
        raise WarcError(f"{name}: no record with an intact payload; fetch it again")
    return StoredResponse(record.url, payload, headers)


def _stored_head(head: bytes, payload_bytes: int) -> bytes:
    """Return status line and headers with those about length and coding renamed, and the stored length named.

    Lines that end in a bare line feed, as some archives hold them, end as HTTP's do: nobody could tell where they stop.
    """
    status_line, *lines = (line for line in head.replace(b"\r\n", b"\n").split(b"\n") if line)
    kept = [
        b"X-Crawl-" + line if line.partition(b":")[0].strip().lower() in _RENAMED_HEADERS else line for line in lines
    ]
    return b"\r\n".join([status_line, *kept, b"Content-Length: %d" % payload_bytes]) + b"\r\n\r\n"


def _write_record(file: BinaryIO, headers: list[tuple[str, str]], block: Sequence[bytes], level: int) -> int:
    offset = file.tell()
    headers = [*headers, ("Content-Length", str(sum(map(len, block))))]
    head = "WARC/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
    member = zlib.compressobj(level, zlib.DEFLATED, GZIP_WINDOW)  # its header carries neither name nor time
    for piece in (head.encode(), *block, _BLANK_LINE):
        file.write(member.compress(piece))
    file.write(member.flush())
    return offset


def record_id(name: str) -> str:
    """Return the WARC-Record-ID that goes with a name, the same each time."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}>"


def _digest(*pieces: bytes) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return _digest_text(digest.digest())


def _digest_text(digest: bytes) -> str:
    return "sha256:" + base64.b32encode(digest).decode()
