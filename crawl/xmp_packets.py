"""Where pictures keep XMP packets: by structure in JPEG, PNG, WebP, GIF and TIFF, else by the packet's own mark.

Source: Adobe, XMP Specification Part 3 (2020), section 1.1; PNG specification, 11.3.3.4; TIFF 6.0, section 2.
"""

import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from xml.parsers import expat

MAX_XMP_BYTES = 4 * 2**20
"""Bytes of one packet that are read; cameras write some thousand."""

_MAX_PACKETS = 16
_MAX_PIECES = 100_000
"""Segments or chunks of a file that are walked over; a 32 MiB PNG written in kibibytes has a third of it."""

_JPEG_STANDARD = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_JPEG_WITHOUT_LENGTH = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
_JPEG_APP1, _JPEG_PIXELS = 0xE1, (0xDA, 0xD9)

_PNG_KEYWORD = b"XML:com.adobe.xmp\0"
_GIF_BLOCK = b"\x21\xff\x0bXMP DataXMP"
_GIF_TRAILER = b"\x01\xff\xfe\xfd"
_TIFF_XMP_TAG, _TIFF_MAX_PAGES, _TIFF_MAX_ENTRIES = 700, 100, 1000
_MARK, _END_MARK = b"<x:xmpmeta", b"</x:xmpmeta>"


def xmp_packets(picture: bytes) -> Iterator[bytes]:
    """Yield the XMP packets of a picture, each up to `MAX_XMP_BYTES`; any bytes will do, and damage ends the search."""
    for packet in islice(_walk_of(picture)(picture), _MAX_PACKETS):
        yield packet[:MAX_XMP_BYTES]


def parse_packet(
    text: str,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None],
    characters: Callable[[str], None],
) -> None:
    """Read a packet; names are those of the namespace and the property, a blank between them.

    Args:
        text: the packet, decoded.
        start: called with the name and the attributes of each element that begins.
        end: called with the name of each that ends.
        characters: called with the text between them, piece by piece.

    Raises:
        ExpatError: it is not well-formed, or has a document type, which no packet needs and bombs do.
    """
    parser = expat.ParserCreate("utf-8", " ")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = _refuse
    # Declared or not, the text is UTF-8 now; a mark before it and zeros behind it are padding.
    parser.Parse(text.strip("\ufeff\0 \r\n\t").encode("utf-8", "replace"), True)


def _refuse(*_: object) -> None:
    raise expat.ExpatError("document type")


def _walk_of(picture: bytes) -> Callable[[bytes], Iterator[bytes]]:
    if picture.startswith(b"\xff\xd8"):
        return _of_jpeg
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        return _of_png
    if picture.startswith(b"RIFF") and picture[8:12] == b"WEBP":
        return _of_webp
    if picture.startswith(b"GIF8"):
        return _of_gif
    if picture.startswith((b"II*\0", b"MM\0*")):
        return _of_tiff
    return _marked


def _marked(picture: bytes) -> Iterator[bytes]:
    """Yield whatever looks like a packet, as it stands in AVIF."""
    begin = picture.find(_MARK)
    while begin >= 0:
        end = picture.find(_END_MARK, begin)
        end = begin + MAX_XMP_BYTES if end < 0 else end + len(_END_MARK)
        yield picture[begin:end]
        begin = picture.find(_MARK, end)


def _of_jpeg(picture: bytes) -> Iterator[bytes]:
    extensions: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    for segment in jpeg_segments(picture, _JPEG_APP1):
        if segment.startswith(_JPEG_STANDARD):
            yield segment[len(_JPEG_STANDARD) :]
        elif segment.startswith(_JPEG_EXTENSION) and len(segment) >= len(_JPEG_EXTENSION) + 40:
            # 32 digits name the whole, four bytes tell its length, four where this part belongs.
            body = segment[len(_JPEG_EXTENSION) :]
            extensions[body[:32]].append((int.from_bytes(body[36:40], "big"), body[40:]))
    for parts in extensions.values():
        yield b"".join(part for _, part in sorted(parts))


def jpeg_segments(picture: bytes, wanted: int) -> Iterator[bytes]:
    """Yield the contents of the segments of a JPEG that have a marker, before its pixels; of other files nothing."""
    position = 0
    for _ in range(_MAX_PIECES):
        if position + 4 > len(picture) or picture[position] != 0xFF:
            return
        marker = picture[position + 1]
        if marker in _JPEG_PIXELS:
            return
        if marker == 0xFF:
            position += 1
        elif marker in _JPEG_WITHOUT_LENGTH:
            position += 2
        else:
            length = int.from_bytes(picture[position + 2 : position + 4], "big")
            if marker == wanted:
                yield picture[position + 4 : position + 2 + length]
            position += 2 + max(2, length)


def _of_png(picture: bytes) -> Iterator[bytes]:
    position = 8
    for _ in range(_MAX_PIECES):
        if position + 8 > len(picture):
            return
        length, kind = struct.unpack_from(">I4s", picture, position)
        if kind == b"iTXt":
            chunk = picture[position + 8 : position + 8 + length]
            if chunk.startswith(_PNG_KEYWORD):
                yield _png_text(chunk[len(_PNG_KEYWORD) :])
        position += 12 + length


def _png_text(chunk: bytes) -> bytes:
    """Return the text of an iTXt chunk behind its keyword: flag, method, language, translated keyword, text."""
    text = chunk[2:].split(b"\0", 2)[-1]
    if chunk[:1] != b"\1":
        return text
    try:
        return zlib.decompressobj().decompress(text, MAX_XMP_BYTES)
    except zlib.error:
        return b""


def _of_webp(picture: bytes) -> Iterator[bytes]:
    position = 12
    for _ in range(_MAX_PIECES):
        if position + 8 > len(picture):
            return
        kind, length = struct.unpack_from("<4sI", picture, position)
        if kind == b"XMP ":
            yield picture[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _of_gif(picture: bytes) -> Iterator[bytes]:
    """Yield the packets of a GIF: plain text, closed by a run of bytes that leads any reader of blocks to its end."""
    begin = picture.find(_GIF_BLOCK)
    while begin >= 0:
        begin += len(_GIF_BLOCK)
        end = picture.find(_GIF_TRAILER, begin)
        end = begin + MAX_XMP_BYTES if end < 0 else end
        yield picture[begin:end]
        begin = picture.find(_GIF_BLOCK, end)


def _of_tiff(picture: bytes) -> Iterator[bytes]:
    order = "<" if picture.startswith(b"II") else ">"
    position = _unsigned(picture, 4, order)
    for _ in range(_TIFF_MAX_PAGES):
        if not 8 <= position <= len(picture) - 2:
            return
        (num_entries,) = struct.unpack_from(f"{order}H", picture, position)
        end = position + 2 + 12 * num_entries
        for entry in range(position + 2, min(end, position + 12 * _TIFF_MAX_ENTRIES, len(picture) - 11), 12):
            tag, _, length, offset = struct.unpack_from(f"{order}HHII", picture, entry)
            if tag == _TIFF_XMP_TAG:
                yield picture[offset : offset + min(length, MAX_XMP_BYTES)]
        position = _unsigned(picture, end, order)


def _unsigned(picture: bytes, position: int, order: str) -> int:
    return int.from_bytes(picture[position : position + 4], "little" if order == "<" else "big")
