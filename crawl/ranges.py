"""Pieces of files behind http and https: ranges asked for one at a time, as politely as an API is.

Source: RFC 9110, sections 14.2 (Range), 15.3.7 (206 Partial Content) and 15.5.17 (416).
"""

import re
import tempfile
from typing import BinaryIO, NamedTuple, cast

import requests

from crawl.exchange import NotNowError, ask_patiently, check_status, exchange, pieces
from crawl.held import HELD_IN_PROCESS, Held
from crawl.http import FetchError
from crawl.settings import FetchSettings

_MAX_WHOLE_BYTES = 2**31
"""Of a file that comes in one piece, as its server knows no ranges."""

_LEAST_BYTES = 64 * 1024
"""Of a body that must come within each `timeout_s`."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class FileStart(NamedTuple):
    """The beginning of a file: its first bytes and its size, or `whole`, all of it, from a server without ranges."""

    begin: bytes
    size: int
    whole: BinaryIO | None = None


def request_range(
    url: str, offset: int, num_bytes: int, settings: FetchSettings, held: Held = HELD_IN_PROCESS
) -> bytes:
    """Return bytes from the middle of a file, exactly as many as asked for and as they are stored.

    Args:
        url: canonical URL of the file.
        offset: where they begin.
        num_bytes: how many, at least 1.
        settings: as in `request_bytes`, whose patience is the same.
        held: as there.

    Raises:
        FetchError: as `request_bytes`; "bad_range" where the answer is not the range asked for, and "incomplete_body"
            where it ended early every time.

    Source: RFC 9110, sections 14.2 (Range), 15.3.7 (206 Partial Content) and 15.5.17 (416).
    """
    last = offset + num_bytes - 1

    def ask() -> bytes:
        with exchange(url, {}, settings, {"Range": f"bytes={offset}-{last}", "Accept-Encoding": "identity"}) as answer:
            check_status(answer, url, frozenset({206, 200, 416}))
            return _range_in(answer, url, settings, offset, num_bytes)

    return ask_patiently(ask, url, settings, held)


def request_start(url: str, num_bytes: int, settings: FetchSettings, held: Held = HELD_IN_PROCESS) -> FileStart:
    """Return how a file begins; arguments and errors are those of `request_range`.

    A file that comes as a whole may have 2 GiB, and take as long as it needs where it keeps coming.
    """

    def ask() -> FileStart:
        wanted = {"Range": f"bytes=0-{num_bytes - 1}", "Accept-Encoding": "identity"}
        with exchange(url, {}, settings, wanted) as answer:
            check_status(answer, url, frozenset({206, 200, 416}))
            if answer.status_code == 200:
                return _whole(answer, url, settings)
            sent = answer.headers.get("Content-Range", "")
            if answer.status_code == 416 and sent == "bytes */0":
                return FileStart(b"", 0)
            found = _CONTENT_RANGE.fullmatch(sent)
            size = int(found[3]) if found is not None and found[3] != "*" else 0
            return FileStart(_range_in(answer, url, settings, 0, min(num_bytes, size)), size)

    return ask_patiently(ask, url, settings, held)


def _range_in(answer: requests.Response, url: str, settings: FetchSettings, offset: int, num_bytes: int) -> bytes:
    """The bytes of an answer that must be just this range."""
    last = offset + num_bytes - 1
    sent = answer.headers.get("Content-Range", "")
    found = _CONTENT_RANGE.fullmatch(sent)
    if answer.status_code != 206 or found is None or (int(found[1]), int(found[2])) != (offset, last):
        raise FetchError("bad_range", f"{url}: bytes {offset}-{last}: {answer.status_code} {sent!r}")
    body = b"".join(pieces(answer, url, settings, num_bytes, decode=False, least_bytes=_LEAST_BYTES))
    if len(body) != num_bytes:
        raise NotNowError("incomplete_body", f"{url}: {len(body)} of {num_bytes} bytes at {offset} came")
    return body


def _whole(answer: requests.Response, url: str, settings: FetchSettings) -> FileStart:
    file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - whoever reads it closes it
    try:
        for piece in pieces(answer, url, settings, _MAX_WHOLE_BYTES, decode=False, least_bytes=_LEAST_BYTES):
            file.write(piece)
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return FileStart(b"", size, file)
