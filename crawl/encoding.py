"""Turns the bytes of a page into text, as browsers do."""

import codecs

from resiliparse.parse.encoding import map_encoding_to_html5

from crawl.prescan import UTF_16_XML, named_encodings

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Labels that resiliparse does not know, and decoders that know more characters than Python's of that name, as those of
# browsers do. Source: Encoding Standard, "names and labels" and its indexes.
_MORE_LABELS = {"x-mac-cyrillic": "mac_cyrillic", "x-mac-ukrainian": "mac_cyrillic"}
_WIDER = {"shift_jis": "cp932", "euc_kr": "cp949", "gbk": "gb18030", "big5": "big5hkscs", "iso8859-11": "cp874"}


def decode_page(payload: bytes, charset: str | None) -> str:
    """Return a page's text; bytes its encoding does not know become U+FFFD, as in browsers.

    The encoding is that of a byte order mark, else the one HTTP names, else the one that a meta element or XML
    declaration among the first 1,024 bytes names, else UTF-8 where the page is valid UTF-8, else windows-1252.

    Source: HTML Standard, "determining the character encoding"; labels as in the Encoding Standard.
    """
    for mark, marked in _BYTE_ORDER_MARKS:
        if payload.startswith(mark):
            return _decoded(payload[len(mark) :], marked)
    if encoding := _known_encoding(charset) or _encoding_within(payload):
        return _decoded(payload, encoding)
    try:
        return payload.decode("utf-8").replace("\0", "\ufffd")
    except UnicodeDecodeError:
        return _decoded(payload, "cp1252")


def is_utf_16(payload: bytes, charset: str | None) -> bool:
    """Return whether a page is in UTF-16, as its first bytes or HTTP say, so that NULs are no sign of binary data."""
    if payload.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, *UTF_16_XML)):
        return True
    return (_known_encoding(charset) or "").startswith("utf-16")


def _known_encoding(label: str | None) -> str | None:
    """Return Python's name for an encoding label of the web, None where browsers do not know it."""
    if not label:
        return None
    name = label.strip("\t\n\f\r ").lower()
    known: str | None = _MORE_LABELS.get(name) or map_encoding_to_html5(name, fallback_utf8=False)
    return _WIDER.get(known, known) if known else None


def _encoding_within(payload: bytes) -> str | None:
    """The first encoding that a page names and browsers know."""
    if payload.startswith(tuple(UTF_16_XML)):
        return _known_encoding(UTF_16_XML[payload[:6]])
    for label in named_encodings(payload):
        if label.strip().lower() == "x-user-defined":
            return "cp1252"
        if encoding := _known_encoding(label):
            # A page whose meta element could be read byte by byte is not in UTF-16, whatever it says.
            return "utf-8" if encoding.startswith("utf-16") else encoding
    return None


def _decoded(payload: bytes, encoding: str) -> str:
    # lxml would end the page at a NUL.
    return payload.decode(encoding, "replace").replace("\0", "\ufffd")
