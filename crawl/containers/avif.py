"""AVIF: its boxes, with the EXIF item and long sequences kept from the decoder.

Source: ISO/IEC 14496-12 for boxes and `stsz`, ISO/IEC 23008-12 for items, AV1 Image File Format 1.1.
"""

from crawl.containers.stripped import BombError, Stripped

DECODER_BYTES_PER_PIXEL = 12
"""Planes of up to 16 bits, kept by decoder and picture, and the pixels as bytes; measured in the tests of safety."""

MAX_FRAMES = 10_000
"""Of a sequence; the decoder lists them all before the first is drawn."""


def strip(payload: bytes) -> Stripped:
    """Return the file with its EXIF item renamed, so that nobody reads it; turns and mirrors have boxes of their own.

    Raises:
        BombError: a sequence of too many frames.
    """
    at = payload.find(b"stsz")
    while at >= 0:
        num_frames = int.from_bytes(payload[at + 12 : at + 16], "big")
        if num_frames > MAX_FRAMES and at + 16 <= len(payload):
            raise BombError(f"a sequence of {num_frames} frames")
        at = payload.find(b"stsz", at + 4)
    end = payload.find(b"mdat")
    head = payload[: end if end >= 0 else len(payload)]
    return Stripped(head.replace(b"Exif", b"none") + payload[len(head) :], b"", DECODER_BYTES_PER_PIXEL)
