"""What pictures begin with."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)
"""Source: WHATWG MIME Sniffing Standard, section 6.1; TIFF 6.0, section 2."""

_BMP_HEADER_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def sniff_picture(head: bytes) -> str:
    """Return the media type of a picture by its first bytes, "" where they are none of a picture we can read.

    >>> sniff_picture(b"GIF89a..."), sniff_picture(b"<svg>")
    ('image/gif', '')

    Source: WHATWG MIME Sniffing Standard, section 6.1; for BMP and AVIF, the header sizes of Windows and ISO/IEC
    23000-22.
    """
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "image/bmp"
    brands = {head[8:12]} | {head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4]), 64), 4)}
    return "image/avif" if head[4:8] == b"ftyp" and brands & _AVIF_BRANDS else ""
