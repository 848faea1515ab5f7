"""The encoding that the first bytes of a page name, read as browsers read them.

Source: HTML Standard, "prescan a byte stream to determine its encoding", "get an attribute", "algorithm for extracting
a character encoding from a meta element" and "get an XML encoding".
"""

import re
from collections.abc import Iterator

PRESCAN_BYTES = 1024
UTF_16_XML = {b"<\0?\0x\0": "utf-16le", b"\0<\0?\0x": "utf-16be"}
"""How an XML declaration in UTF-16 begins, without a byte order mark."""

_SPACE = rb"\t\n\f\r "
_MARKUP = re.compile(rb"<(?:(!--)|(meta)(?=[%b/])|/?([a-z])|[!/?])" % _SPACE, re.IGNORECASE)
_NAME_END = re.compile(rb"[%b>]" % _SPACE)
_ATTRIBUTE = re.compile(
    rb"[%b/]*([^%b/>][^%b/>=]*)(?:[%b]*=[%b]*(?:\"([^\"]*)\"?|'([^']*)'?|([^%b>\"'][^%b>]*))?)?" % ((_SPACE,) * 7)
)
_CHARSET = re.compile(rb"charset[%b]*=[%b]*(?:\"([^\"]*)\"|'([^']*)'|([^%b;\"'][^%b;]*))" % ((_SPACE,) * 4), re.I)
_XML_ENCODING = re.compile(rb"<\?xml[^>]*?encoding[\0-\x20]*=[\0-\x20]*([\"'])([^>\"']*)\1[^>]*>")


def named_encodings(payload: bytes) -> Iterator[str]:
    """Yield the labels that the first 1,024 bytes of a page name, best first, known or not.

    >>> list(named_encodings(b"<!-- <meta charset=koi8-r> --><meta charset=windows-1251>"))
    ['windows-1251']
    """
    start = payload[:PRESCAN_BYTES]
    position = 0
    while markup := _MARKUP.search(start, position):
        if markup[1]:
            # the dashes that begin a comment may be those that end it
            position = _behind(b"-->", start, markup.end() - 2)
        elif markup[2] or markup[3]:
            name_end = _NAME_END.search(start, markup.end()) if markup[3] else None
            attributes, position = _read_attributes(start, name_end.start() if name_end else markup.end())
            label = _charset_of(attributes) if markup[2] else None
            if label:
                yield label
        else:
            position = _behind(b">", start, markup.end())
    if xml := _XML_ENCODING.match(start):
        yield xml[2].decode("latin-1")


def _read_attributes(start: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes of a tag, of those alike the first, and where they end."""
    attributes: dict[bytes, bytes] = {}
    while attribute := _ATTRIBUTE.match(start, position):
        position = attribute.end()
        attributes.setdefault(attribute[1].lower(), attribute[2] or attribute[3] or attribute[4] or b"")
    return attributes, position


def _charset_of(attributes: dict[bytes, bytes]) -> str | None:
    """The label a meta element names: by itself, or in its content where that stands for an HTTP header."""
    if b"charset" in attributes:
        return attributes[b"charset"].decode("latin-1")
    if attributes.get(b"http-equiv", b"").lower() != b"content-type":
        return None
    content = _CHARSET.search(attributes.get(b"content", b""))
    return (content[1] or content[2] or content[3] or b"").decode("latin-1") if content else None


def _behind(end: bytes, start: bytes, position: int) -> int:
    found = start.find(end, position)
    return len(start) if found < 0 else found + len(end)
