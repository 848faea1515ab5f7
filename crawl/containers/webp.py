"""WebP: the canvas, which the decoder sets aside before anyone has asked how large it is.

Source: RFC 9649, sections 2.5 to 2.7, and RFC 6386, section 9.1, for the sizes.
"""

from crawl.containers.stripped import BombError, DamagedError, Stripped

DECODER_BYTES_PER_PIXEL = 12
"""Two canvases of four bytes and a copy of the frame; the decoder for animations draws still pictures too.

Source: libwebp, src/demux/anim_decode.c; measured in `tests/test_image_safety.py`."""

MAX_CHUNKS = 10_000


def strip(payload: bytes) -> Stripped:
    """Return the file with its canvas' size; metadata stays, which Pillow leaves alone.

    Raises:
        DamagedError: the size cannot be told.
        BombError: too many chunks.
    """
    kind, head = payload[12:16], payload[20:30]
    if len(head) < 10:
        raise DamagedError("the header is cut off")
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (4, 7))
    elif kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    elif kind == b"VP8L" and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        raise DamagedError(f"begins with a chunk {kind!r}")
    return Stripped(payload, _exif(payload), DECODER_BYTES_PER_PIXEL, (width, height))


def _exif(payload: bytes) -> bytes:
    at = 12
    for _ in range(MAX_CHUNKS):
        length = int.from_bytes(payload[at + 4 : at + 8], "little")
        if payload[at : at + 4] == b"EXIF":
            return payload[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0")
        at += 8 + length + (length & 1)
        if at >= len(payload):
            return b""
    raise BombError(f"more than {MAX_CHUNKS} chunks")
