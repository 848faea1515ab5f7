"""AVIF: its boxes; where the coded pictures stand, and how large they are for the decoder.

Source: ISO/IEC 14496-12, sections 4.2, 8.7 and 8.11, for boxes, samples and items; AV1 Image File Format 1.1.
"""

from collections.abc import Iterator

from crawl.containers.av1 import max_frame_pixels
from crawl.containers.stripped import BombError, DamagedError, Stripped

DECODER_BYTES_PER_PIXEL = 12
"""Planes of up to 16 bits, kept by decoder and picture, and the pixels as bytes; measured in the tests of safety."""

MAX_BOXES, MAX_ITEMS, MAX_FRAMES = 1_000, 1_000, 10_000
"""Of one box, of a file, and of a sequence: the decoder lists all before the first is drawn."""

Span = tuple[int, int]
_TO_SAMPLES = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}
_TO_ITEMS = {b"meta": 4}


def strip(payload: bytes) -> Stripped:
    """Return the file with its EXIF item renamed, so that nobody reads it; turns and mirrors have boxes of their own.

    Raises:
        DamagedError: it holds no AV1 picture.
        BombError: too many boxes, items or frames.
    """
    whole = (0, len(payload))
    spans = [*_items(payload, whole), *_chunks(payload, whole)]
    most = max((max_frame_pixels(payload, *span) for span in spans), default=0)
    if not most:
        raise DamagedError("no AV1 sequence header")
    metas = [span for kind, span in _boxes(payload, whole) if kind == b"meta"]
    renamed = bytearray(payload)
    for start, end in metas:
        renamed[start:end] = renamed[start:end].replace(b"Exif", b"none")
    return Stripped(bytes(renamed), b"", DECODER_BYTES_PER_PIXEL, decoder_pixels=most)


def _boxes(payload: bytes, span: Span) -> Iterator[tuple[bytes, Span]]:
    """The boxes side by side in a span: kind and content."""
    at, end = span
    for _ in range(MAX_BOXES):
        if at + 8 > end:
            return
        size, head = int.from_bytes(payload[at : at + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(payload[at + 8 : at + 16], "big"), 16
        box_end = min(at + size, end) if size else end
        if box_end < at + head:
            return
        yield payload[at + 4 : at + 8], (at + head, box_end)
        at = box_end
    raise BombError(f"more than {MAX_BOXES} boxes side by side")


def _find(payload: bytes, span: Span, kind: bytes, through: dict[bytes, int]) -> Iterator[Span]:
    """The boxes of one kind in a span and in the boxes `through` leads, which have so many bytes before theirs."""
    for found, (start, end) in _boxes(payload, span):
        if found == kind:
            yield start, end
        if found in through:
            yield from _find(payload, (start + through[found], end), kind, through)


def _chunks(payload: bytes, whole: Span) -> Iterator[Span]:
    """Where a sequence's samples stand; from each start to the end of the file."""
    for start, _ in _find(payload, whole, b"stsz", _TO_SAMPLES):
        num_frames = int.from_bytes(payload[start + 8 : start + 12], "big")
        if num_frames > MAX_FRAMES:
            raise BombError(f"a sequence of {num_frames} frames")
    for kind, size in ((b"stco", 4), (b"co64", 8)):
        for start, end in _find(payload, whole, kind, _TO_SAMPLES):
            number = int.from_bytes(payload[start + 4 : start + 8], "big")
            if number > MAX_ITEMS:
                raise BombError(f"a sequence in {number} chunks")
            for at in range(start + 8, min(start + 8 + size * number, end), size):
                yield int.from_bytes(payload[at : at + size], "big"), len(payload)


def _items(payload: bytes, whole: Span) -> Iterator[Span]:
    """Where the items stand."""
    data = next((start for start, _ in _find(payload, whole, b"idat", _TO_ITEMS)), 0)
    for start, end in _find(payload, whole, b"iloc", _TO_ITEMS):
        yield from _locations(payload[start:end], data, len(payload))


def _locations(box: bytes, data: int, file_end: int) -> Iterator[Span]:
    """The extents in an item location box, as (start, end) in the file; `data` is where the `idat` box begins."""
    if len(box) < 6:
        raise DamagedError("the items' locations are cut off")
    version, sizes, more = box[0], box[4], box[5]
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more >> 4
    index_size = more & 15 if version else 0
    at = 6
    number, at = _number(box, at, 2 if version < 2 else 4)
    if number > MAX_ITEMS:
        raise BombError(f"{number} items")
    for _ in range(number):
        at += 2 if version < 2 else 4
        method, at = _number(box, at, 2) if version else (0, at)
        base, at = _number(box, at + 2, base_size)
        num_extents, at = _number(box, at, 2)
        if num_extents > MAX_ITEMS or method & 15 > 1:
            raise BombError(f"an item in {num_extents} extents, by method {method & 15}")
        for _ in range(num_extents):
            offset, at = _number(box, at + index_size, offset_size)
            length, at = _number(box, at, length_size)
            start = base + offset + (data if method & 15 else 0)
            yield start, min(start + length, file_end) if length else file_end


def _number(box: bytes, at: int, size: int) -> tuple[int, int]:
    """The number of `size` bytes there, and where it ends."""
    if at + size > len(box):
        raise DamagedError("the items' locations are cut off")
    return int.from_bytes(box[at : at + size], "big"), at + size
