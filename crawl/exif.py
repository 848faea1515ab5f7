"""What EXIF says of how a picture was taken: a short list of fields, read in bounded work, and never where.

Source: Exif 3.0 (CIPA DC-008), sections 4.6.2 to 4.6.6; TIFF 6.0, section 2, for the types.
"""

import struct

FIELDS = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0112: "Orientation",
    0x0131: "Software",
    0x0132: "DateTime",
    0x013B: "Artist",
    0x8298: "Copyright",
    0x829A: "ExposureTime",
    0x829D: "FNumber",
    0x8827: "ISOSpeedRatings",
    0x9003: "DateTimeOriginal",
    0x9209: "Flash",
    0x920A: "FocalLength",
    0xA405: "FocalLengthIn35mmFilm",
    0xA434: "LensModel",
}
"""What is read. Positions (the GPS directory), serial numbers, owners' names, notes and comments are not."""

MAX_FIELDS, MAX_TEXT_BYTES = 500, 512

_EXIF_DIRECTORY, _ORIENTATION = 0x8769, 0x0112
_ASCII, _SHORT, _LONG, _RATIONAL = 2, 3, 4, 5

Exif = dict[str, str | int | float]


def read_exif(block: bytes) -> Exif:
    """Return the fields of an EXIF block (from its TIFF header on) by the standard's names.

    What is damaged or of an unexpected type is left out; rationals become floats of six significant digits.
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2], "")
    if not order or len(block) < 8:
        return {}
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    found, beyond = _read_directory(block, order, start)
    return found | _read_directory(block, order, beyond)[0] if beyond else found


def orientation(block: bytes) -> int:
    """Return which way up a picture is stored, 1 to 8; 1 where the block does not say."""
    found = read_exif(block).get("Orientation", 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _read_directory(block: bytes, order: str, start: int) -> tuple[Exif, int]:
    """The fields of one directory, and where the EXIF directory stands that it names; 0 for nowhere."""
    found: Exif = {}
    beyond = 0
    try:
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for place in range(start + 2, start + 2 + 12 * min(count, MAX_FIELDS), 12):
            tag, kind, number = struct.unpack_from(f"{order}HHI", block, place)
            if tag == _EXIF_DIRECTORY:
                (beyond,) = struct.unpack_from(f"{order}I", block, place + 8)
            elif tag in FIELDS:
                value = _value(block, order, kind, number, place + 8)
                if value not in ("", None):
                    found[FIELDS[tag]] = value
    except struct.error:
        pass  # cut off: what was read stands
    return found, beyond


def _value(block: bytes, order: str, kind: int, number: int, place: int) -> str | int | float | None:
    if kind == _ASCII:
        start = place if number <= 4 else struct.unpack_from(f"{order}I", block, place)[0]
        text = block[start : start + min(number, MAX_TEXT_BYTES)].partition(b"\0")[0]
        return text.decode("utf-8", "replace").strip()
    if kind in (_SHORT, _LONG) and number >= 1:
        return int(struct.unpack_from(order + ("H" if kind == _SHORT else "I"), block, place)[0])
    if kind == _RATIONAL and number == 1:
        (start,) = struct.unpack_from(f"{order}I", block, place)
        above, below = struct.unpack_from(f"{order}II", block, start)
        return float(f"{above / below:.6g}") if below else None
    return None
