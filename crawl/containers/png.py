"""PNG: its chunks. Source: PNG, third edition, sections 5 and 11."""

from crawl.containers.stripped import BombError, Stripped

MAX_CHUNKS = 100_000
"""Writers cut image data into chunks of 8 kB or more; 32 MiB are 4,096 of them."""

_HEAD_BYTES = 8
_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"IDAT", b"IEND"})


def strip(payload: bytes) -> Stripped:
    """Return the file without texts, times and the later frames of an animation.

    Raises:
        BombError: too many chunks.
    """
    kept, exif, at = [payload[:_HEAD_BYTES]], b"", _HEAD_BYTES
    for _ in range(MAX_CHUNKS):
        if at >= len(payload):
            return Stripped(b"".join(kept), exif)
        kind, end = payload[at + 4 : at + 8], at + 12 + int.from_bytes(payload[at : at + 4], "big")
        if kind in _NEEDED:
            kept.append(payload[at:end])
        if kind == b"eXIf" and not exif:
            exif = payload[at + 8 : end - 4]
        if kind == b"IEND":
            return Stripped(b"".join(kept), exif)
        at = end
    raise BombError(f"more than {MAX_CHUNKS} chunks")
