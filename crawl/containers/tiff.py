"""TIFF: its first directory, written over with the fields that draw the picture.

Directories point wherever they like: 65,535 fields may each name the whole file as their value, and a chain of
directories may run in a circle. Only the first is followed, and its values together may be no longer than the file.

Source: TIFF 6.0, sections 2 and 8; Adobe Photoshop TIFF Technical Notes for compression 8; ICC.1 for tag 34675.
"""

import struct
from typing import NamedTuple

from crawl.containers.stripped import BombError, DamagedError, Stripped

MAX_FIELDS = 1_000
"""TIFF's own and private fields of one picture are some 20 to 60."""

COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946})
"""None, CCITT, LZW, JPEG, deflate and PackBits; LZMA and the like set aside what the file asks for, up to 4 GiB."""

_HEAD_BYTES = 8
_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES, _ROWS_PER_STRIP = 256, 257, 258, 259, 277, 278
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_NEEDED = frozenset(
    {_WIDTH, _LENGTH, _BITS, _COMPRESSION, 262, 266, 273, 274, _SAMPLES, _ROWS_PER_STRIP, 279, 284, 292, 293, 317, 320}
    | {_TILE_WIDTH, _TILE_LENGTH, 324, 325, 332, 333, 338, 339, 347, 529, 530, 531, 532, 34675}
)


class _Field(NamedTuple):
    tag: int
    kind: int
    number: int
    value: bytes
    """Twelve bytes' last four: the value or where it stands."""


def strip(payload: bytes) -> Stripped:
    """Return the file with a first directory that names nothing but the picture, and no second.

    Raises:
        DamagedError: the directory cannot be read.
        BombError: its fields, or a tile, are larger than a picture needs.
    """
    order = "<" if payload[:2] == b"II" else ">"
    start, found = _read_fields(payload, order)
    fields = {field.tag: field for field in found}
    needed = [fields[tag] for tag in sorted(fields.keys() & _NEEDED)]
    total = sum(field.number * _VALUE_BYTES.get(field.kind, 8) for field in needed)
    if total > len(payload):
        raise BombError(f"fields of {total} bytes in a file of {len(payload)}")
    values = {tag: _value(fields[tag], order) for tag in fields.keys() & _NEEDED}
    if values.get(_COMPRESSION, 1) not in COMPRESSIONS:
        raise BombError(f"compression {values[_COMPRESSION]}")
    directory = struct.pack(f"{order}H", len(needed))
    directory += b"".join(struct.pack(f"{order}HHI", *field[:3]) + field.value for field in needed)
    directory += bytes(4)  # no directory follows
    stripped = payload[:start] + directory + payload[start + len(directory) :]
    return Stripped(stripped, payload, _strip_bytes_per_pixel(values))


def _read_fields(payload: bytes, order: str) -> tuple[int, list[_Field]]:
    """Where the first directory stands, and what is in it."""
    try:
        (start,) = struct.unpack_from(f"{order}I", payload, 4)
        (count,) = struct.unpack_from(f"{order}H", payload, start)
        if start < _HEAD_BYTES:
            raise DamagedError("the directory stands in the header")
        if count > MAX_FIELDS:
            raise BombError(f"{count} fields")
        places = range(start + 2, start + 2 + 12 * count, 12)
        heads = [struct.unpack_from(f"{order}HHI4s", payload, place) for place in places]
    except struct.error as error:
        raise DamagedError(f"the directory: {error}") from error
    return start, [_Field(*head) for head in heads]


def _value(field: _Field, order: str) -> int:
    """The value of a short or long field that holds one; 0 where it holds more."""
    if field.number != 1:
        return 0
    size = _VALUE_BYTES.get(field.kind, 4)
    return int.from_bytes(field.value[: min(size, 4)], "little" if order == "<" else "big")


def _strip_bytes_per_pixel(values: dict[int, int]) -> float:
    """What the buffer for one strip or tile adds, by the picture's pixel: a picture may be one strip."""
    pixels = values.get(_WIDTH, 0) * values.get(_LENGTH, 0)
    across = values.get(_TILE_WIDTH, values.get(_WIDTH, 0))
    down = values.get(_TILE_LENGTH, min(values.get(_ROWS_PER_STRIP, 1 << 32), values.get(_LENGTH, 0)))
    return across * down * 2 * max(values.get(_SAMPLES, 1), 1) / pixels if pixels else 0.0
