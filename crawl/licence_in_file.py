"""What a picture's own metadata say of its licence: XMP rights, and the IPTC notice that came before them.

Source: Creative Commons, "XMP" (https://wiki.creativecommons.org/wiki/XMP); IPTC Photo Metadata Standard 2023.1; IPTC,
"Information Interchange Model" 4.2, for the records; Adobe, "Photoshop File Formats", for where they lie in a JPEG.
"""

from collections import defaultdict
from collections.abc import Iterator
from xml.parsers import expat

from crawl.licence_statements import Statement, statement_of_link, statement_of_words
from crawl.records import UNKNOWN
from crawl.xmp import decoded_packet
from crawl.xmp_packets import jpeg_segments, parse_packet, xmp_packets

_RIGHTS, _DC, _CC = (
    "http://ns.adobe.com/xap/1.0/rights/",
    "http://purl.org/dc/elements/1.1/",
    "http://creativecommons.org/ns#",
)
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_LICENCE, _STATEMENT, _TERMS, _NOTICE = (
    f"{_CC} license",
    f"{_RIGHTS} WebStatement",
    f"{_RIGHTS} UsageTerms",
    f"{_DC} rights",
)
_AUTHORS = (f"{_DC} creator", f"{_CC} attributionName", f"{_PHOTOSHOP} Credit")
_KNOWN = frozenset({_LICENCE, _STATEMENT, _TERMS, _NOTICE, *_AUTHORS})
_MAX_CHARACTERS = 1000

_JPEG_APP13, _PHOTOSHOP_MARK, _IPTC_RESOURCE = 0xED, b"Photoshop 3.0\0", 0x0404
_BY_LINE, _CREDIT, _COPYRIGHT = 80, 110, 116


def statements_in_file(picture: bytes) -> list[Statement]:
    """Return what a picture's metadata say of its licence and author; nothing where they are damaged. Never raises.

    Args:
        picture: a file of any format, or any other bytes.
    """
    found = [statement for packet in xmp_packets(picture) for statement in _of_packet(decoded_packet(packet))]
    return found + _of_records(_iptc_records(picture))


def _of_packet(text: str) -> Iterator[Statement]:
    properties = _Properties()
    try:
        properties.parse(text)
    except expat.ExpatError:
        return
    found = properties.found
    author = next((", ".join(found[name]) for name in _AUTHORS if found[name]), UNKNOWN)
    if author != UNKNOWN:
        yield Statement("xmp", author=author)
    for url in (*found[_LICENCE], *found[_STATEMENT]):
        yield statement_of_link("xmp", url)
    for words in (*found[_TERMS], *found[_NOTICE]):
        yield statement_of_words("xmp", words)


class _Properties:
    """Collects the texts of the properties of a packet that are known, those in their lists among them."""

    def __init__(self) -> None:
        self.found: defaultdict[str, list[str]] = defaultdict(list)
        self._within: list[str] = []
        self._text = ""

    def parse(self, text: str) -> None:
        """Read a packet; errors as of `parse_packet`."""
        parse_packet(text, self._start, self._end, self._characters)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        for key, value in attributes.items():
            self._note(key, value)
        if name in _KNOWN or self._within:
            self._within.append(name)
            self._text = ""
            self._note(self._within[0], attributes.get(f"{_RDF} resource", ""))

    def _end(self, _: str) -> None:
        if self._within:
            self._note(self._within[0], self._text)
            self._text = ""
            self._within.pop()

    def _characters(self, text: str) -> None:
        if self._within:
            self._text = (self._text + text)[:_MAX_CHARACTERS]

    def _note(self, name: str, text: str) -> None:
        folded = " ".join(text.split())[:_MAX_CHARACTERS]
        if folded and name in _KNOWN and folded not in self.found[name]:
            self.found[name].append(folded)


def _of_records(records: dict[int, list[str]]) -> list[Statement]:
    author = ", ".join(records.get(_BY_LINE) or records.get(_CREDIT) or []) or UNKNOWN
    found = [statement_of_words("iptc", notice, author) for notice in records.get(_COPYRIGHT, [])]
    return found or ([Statement("iptc", author=author)] if author != UNKNOWN else [])


def _iptc_records(picture: bytes) -> dict[int, list[str]]:
    """Return the texts of the application records (2:x) of a JPEG, by x."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for segment in jpeg_segments(picture, _JPEG_APP13):
        if segment.startswith(_PHOTOSHOP_MARK):
            for resource in _photoshop_resources(segment[len(_PHOTOSHOP_MARK) :]):
                for number, value in _datasets(resource):
                    found[number].append(" ".join(_text(value).split())[:_MAX_CHARACTERS])
    return found


def _photoshop_resources(data: bytes) -> Iterator[bytes]:
    """Yield the blocks that hold IPTC records: a mark, a number, a name and a length stand before each."""
    position = 0
    while data[position : position + 4] == b"8BIM" and position + 12 <= len(data):
        number = int.from_bytes(data[position + 4 : position + 6], "big")
        name_bytes = 1 + data[position + 6]
        begin = position + 6 + name_bytes + name_bytes % 2
        length = int.from_bytes(data[begin : begin + 4], "big")
        if number == _IPTC_RESOURCE:
            yield data[begin + 4 : begin + 4 + length]
        position = begin + 4 + length + length % 2


def _datasets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and value of each dataset of record 2; an extended one ends the search."""
    position = 0
    while position + 5 <= len(data) and data[position] == 0x1C:
        record, number, length = (
            data[position + 1],
            data[position + 2],
            int.from_bytes(data[position + 3 : position + 5], "big"),
        )
        if length & 0x8000:
            return
        if record == 2:
            yield number, data[position + 5 : position + 5 + length]
        position += 5 + length


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
