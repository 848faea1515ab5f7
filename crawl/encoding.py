"""Turns the bytes of a page into text, as browsers do."""

import codecs
import re

from resiliparse.parse.encoding import map_encoding_to_html5

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META_CHARSET = re.compile(rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]+)", re.I)
_PRESCAN_BYTES = 1024  # Source: HTML Standard, "prescan a byte stream to determine its encoding"


def decode_page(payload: bytes, charset: str | None) -> str:
    """Return a page's text; bytes its encoding does not know become U+FFFD, as in browsers.

    The encoding is that of a byte order mark, else the one HTTP names, else the one a meta element among the first
    1,024 bytes names, else UTF-8 where the page is valid UTF-8, else windows-1252.

    Source: HTML Standard, "determining the character encoding"; labels as in the Encoding Standard.
    """
    for mark, marked in _BYTE_ORDER_MARKS:
        if payload.startswith(mark):
            return _decoded(payload[len(mark) :], marked)
    if encoding := _known_encoding(charset) or _meta_encoding(payload):
        return _decoded(payload, encoding)
    try:
        return payload.decode("utf-8").replace("\0", "\ufffd")
    except UnicodeDecodeError:
        return _decoded(payload, "cp1252")


def _known_encoding(label: str | None) -> str | None:
    """Return Python's name for an encoding label of the web, None where browsers do not know it."""
    known: str | None = map_encoding_to_html5(label, fallback_utf8=False) if label else None
    return known


def _meta_encoding(payload: bytes) -> str | None:
    meta = _META_CHARSET.search(payload[:_PRESCAN_BYTES])
    encoding = _known_encoding(meta.group(1).decode("ascii")) if meta else None
    # A page whose meta element could be read byte by byte is not in UTF-16, whatever it says.
    return "utf-8" if encoding and encoding.startswith("utf-16") else encoding


def _decoded(payload: bytes, encoding: str) -> str:
    # lxml would end the page at a NUL.
    return payload.decode(encoding, "replace").replace("\0", "\ufffd")
