"""What a picture's own metadata say about data mining: the PLUS property DataMining in its XMP packets.

Every packet that the file holds is read, and the strictest statement counts. A packet that is no well-formed XML is
searched for the same terms as text; where there is no packet, or none says anything, nothing is said.

Source: Adobe, XMP Specification Part 3, for where packets stand; PLUS, LDF XMP Specification, and IPTC Photo Metadata
Standard 2023.1, for the property and its terms.
"""

import re
from collections.abc import Iterable
from xml.parsers import expat

from crawl.xmp_packets import parse_packet, xmp_packets

_PROPERTY = "http://ns.useplus.org/ldf/xmp/1.0/ DataMining"
_RESOURCE = "http://www.w3.org/1999/02/22-rdf-syntax-ns# resource"
_TERM = re.compile(r"\bDMI-PROHIBITED[A-Z-]*")
_MAX_TERM_LENGTH = 200


def data_mining_prohibition(picture: bytes) -> str | None:
    """Return the term by which a picture prohibits data mining, None where it does not; never raises.

    "DMI-PROHIBITED-AIMLTRAINING" is one. All that begin with "DMI-PROHIBITED" count: what is excepted (search
    engines) or to be looked up elsewhere (constraints, rights expressions) is no leave to train.

    Args:
        picture: a JPEG, PNG, WebP, GIF, TIFF or AVIF file, or any other bytes.
    """
    for packet in xmp_packets(picture):
        text = decoded_packet(packet)
        # One reading of the packet as text spares nearly all pictures a parse.
        if "DMI-PROHIBITED" in text:
            for value in _values(text):
                if match := _TERM.search(value):
                    return match.group()
    return None


def decoded_packet(packet: bytes) -> str:
    """Return a packet as text; they are UTF-8, seldom UTF-16 or UTF-32, told by where the zeros stand."""
    head = packet.lstrip(b"\xef\xbb\xbf\xfe\xff \r\n\t")[:4]
    for zeros, encoding in ((b"\0\0\0<", "utf-32-be"), (b"<\0\0\0", "utf-32-le"), (b"\0<", "utf-16-be")):
        if head.startswith(zeros):
            return packet.decode(encoding, "replace")
    return packet.decode("utf-16-le" if head.startswith(b"<\0") else "utf-8", "replace")


def _values(text: str) -> Iterable[str]:
    """Return the values of the property in a packet; all its text where that is not well-formed."""
    reader = _Reader()
    try:
        reader.parse(text)
    except expat.ExpatError:
        return (text,)
    return reader.values


class _Reader:
    """Collects the values of the property: as attribute, as text, as rdf:resource, or within an rdf:Bag."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._depth = 0  # of elements within the property, 0 outside

    def parse(self, text: str) -> None:
        """Read a packet; errors as of `parse_packet`."""
        parse_packet(text, self._start, self._end, self._characters)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.values += [value for key, value in attributes.items() if key == _PROPERTY]
        if self._depth or name == _PROPERTY:
            self._depth += 1
            self.values.append(attributes.get(_RESOURCE, ""))

    def _end(self, name: str) -> None:
        self._depth = max(0, self._depth - 1)

    def _characters(self, text: str) -> None:
        if self._depth:
            self.values[-1] = (self.values[-1] + text)[:_MAX_TERM_LENGTH]
