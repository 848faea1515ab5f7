"""Undoes HTTP content codings, never making more bytes than it was told to allow.

Source: RFC 9110, section 8.4.1 (gzip, deflate); RFC 7932 (br).
"""

import zlib
from typing import Protocol

import brotli

ACCEPTED = "gzip, deflate, br"
"""What is sent as Accept-Encoding: all that can be undone."""

MAX_EXPANSION = 100.0
"""Decoded bytes for each byte sent, beyond `UNSUSPICIOUS_BYTES`.

Source: of 494 real pages (sites and article pages, 2 KB to 1.5 MB) none shrank further than to 1/8.3 by gzip level 9
and 1/10.6 by brotli level 9; gzip can do 1/1032, and brotli far more.
"""

UNSUSPICIOUS_BYTES = 2**20
"""Decoded bytes that any body may have, however few were sent: they fit in memory many times over."""

_STEP_BYTES = 4096
"""Coded bytes that are decoded at a time, so that a bomb is known as one before it has filled the memory."""

_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class CodingError(Exception):
    """A body that cannot be decoded; the message says what was wrong."""


class ExpansionError(CodingError):
    """A body that decodes to more than its size lets expect, as a decompression bomb does."""


class _Decoder(Protocol):
    def decode(self, data: bytes, max_bytes: int) -> bytes:
        """Return the decoded bytes, at most `max_bytes + 1` of them."""

    def is_complete(self) -> bool:
        """Return whether the coded stream came to its end."""


class BodyDecoder:
    """Decodes one body piece by piece.

    Args:
        coding: value of the Content-Encoding header, "" where there was none.
        max_bytes: decoded bytes allowed in all.
        max_expansion: decoded bytes allowed for each coded one, beyond the first `UNSUSPICIOUS_BYTES`.

    Attributes:
        is_over: whether the body decodes to more than that.

    Raises:
        CodingError: the coding is none of `ACCEPTED`, or more than one.
    """

    def __init__(self, coding: str, max_bytes: int, max_expansion: float = MAX_EXPANSION) -> None:
        self._decoder = _decoder_of(coding.strip().lower())
        self._left = max_bytes
        self._max_expansion = max_expansion
        self._num_coded = self._num_decoded = 0
        self.is_over = False

    def decode(self, data: bytes) -> bytes:
        """Return what the next piece decodes to, up to the bytes still allowed; `is_over` tells of more.

        Raises:
            CodingError: the piece is damaged.
            ExpansionError: it holds more than its size lets expect.
        """
        step = len(data) if isinstance(self._decoder, _Identity) else _STEP_BYTES
        return b"".join(self._decode_step(data[start : start + step]) for start in range(0, len(data), step or 1))

    def _decode_step(self, data: bytes) -> bytes:
        self._num_coded += len(data)
        believable = max(UNSUSPICIOUS_BYTES, int(self._max_expansion * self._num_coded)) - self._num_decoded
        try:
            decoded = self._decoder.decode(data, min(self._left, believable))
        except (zlib.error, brotli.error) as error:
            raise CodingError(str(error)) from error
        self._num_decoded += len(decoded)
        if believable < len(decoded) <= self._left:
            raise ExpansionError(f"{self._num_coded} bytes decode to {self._num_decoded} and more")
        self.is_over = self.is_over or len(decoded) > self._left
        decoded = decoded[: self._left]
        self._left -= len(decoded)
        return decoded

    def finish(self) -> None:
        """Check that the body came to its end.

        Raises:
            CodingError: it was cut off.
        """
        if not self._decoder.is_complete():
            raise CodingError("the coded stream ends early")


class _Identity:
    def decode(self, data: bytes, max_bytes: int) -> bytes:
        return data[: max_bytes + 1]

    def is_complete(self) -> bool:
        return True


class _Zlib:
    """Decodes gzip, of any number of members, and deflate, with or without its zlib header."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._inflate = zlib.decompressobj(window) if window else None

    def decode(self, data: bytes, max_bytes: int) -> bytes:
        decoded = b""
        while data and len(decoded) <= max_bytes:
            if self._inflate is None:
                # Some servers send deflate without the zlib header that its definition asks for.
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS)
            elif self._inflate.eof:
                if not (self._window == _GZIP_WINDOW and data.startswith(b"\x1f")):
                    break  # what follows the end is no part of the body
                self._inflate = zlib.decompressobj(self._window)
            decoded += self._inflate.decompress(data, max_bytes + 1 - len(decoded))
            data = self._inflate.unused_data if self._inflate.eof else b""
        return decoded

    def is_complete(self) -> bool:
        return self._inflate is None or self._inflate.eof


class _Brotli:
    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()
        self._begun = False

    def decode(self, data: bytes, max_bytes: int) -> bytes:
        decoded = b""
        while (data or not self._decompressor.can_accept_more_data()) and len(decoded) <= max_bytes:
            self._begun = True
            decoded += self._decompressor.process(data, output_buffer_limit=max_bytes + 1 - len(decoded))
            data = b""
        return decoded[: max_bytes + 1]

    def is_complete(self) -> bool:
        return not self._begun or bool(self._decompressor.is_finished())


def _decoder_of(coding: str) -> _Decoder:
    if coding in ("", "identity"):
        return _Identity()
    if coding in ("gzip", "x-gzip"):
        return _Zlib(_GZIP_WINDOW)
    if coding == "deflate":
        return _Zlib(0)
    if coding == "br":
        return _Brotli()
    raise CodingError(f"content coding {coding[:40]!r} was not asked for")
