"""Pictures that mean harm: bombs, lies and polyglots of each format, small enough to be made in a moment."""

import re
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Literal

import numpy as np
from PIL import Image

MEBIBYTE = 1 << 20


def encode(image: Image.Image, media_format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, media_format, **options)
    return file.getvalue()


def photo(width: int = 160, height: int = 120) -> Image.Image:
    """Noise over a gradient: nothing that a filter minds."""
    down, right = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3))
    pixels = np.stack([right * 190 // width, down * 190 // height, np.full_like(right, 64)], axis=2) + noise
    return Image.fromarray(pixels.astype(np.uint8))


def bombs() -> Iterator[tuple[str, bytes, str]]:
    """A name, the file, and the reason that it must be turned away for; "" where it is a picture all the same."""
    yield from _jpeg_bombs()
    yield from _png_bombs()
    yield from _gif_bombs()
    yield from _tiff_bombs()
    yield from _webp_bombs()
    yield from _avif_bombs()
    bmp = bytearray(encode(photo(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 30_000, 30_000)
    yield "bmp of 900 million pixels", bytes(bmp), "too_many_pixels"
    bmp[18:26] = struct.pack("<ii", 9_000, 9_000)
    yield "bmp of 81 million pixels that are not there", bytes(bmp), "too_many_pixels"


def _jpeg_bombs() -> Iterator[tuple[str, bytes, str]]:
    plain, progressive = encode(photo(), "JPEG"), encode(photo(), "JPEG", progressive=True, subsampling=0)
    yield "jpeg of 4 billion pixels", _jpeg_sized(plain, 65_000, 65_000), "too_many_pixels"
    yield "jpeg, progressive, whose coefficients take 588 MB", _jpeg_sized(progressive, 9_900, 9_900), "too_many_pixels"
    last = progressive.rindex(b"\xff\xda")
    scans = progressive[:-2] + progressive[last:-2] * 5_000 + progressive[-2:]
    yield "jpeg of 5,000 scans", _jpeg_sized(scans, 5_000, 5_000), "decompression_bomb"
    yield (
        "jpeg of 8 million empty segments",
        plain[:2] + b"\xff\xfe\0\2" * (8 * MEBIBYTE) + plain[2:],
        "decompression_bomb",
    )
    yield "jpeg behind 32 MiB of fill", plain[:2] + b"\xff" * (32 * MEBIBYTE) + plain[2:], ""
    yield "jpeg behind 32 MiB of rubbish", plain[:2] + b"\xff\xfe\0\2" + bytes(32 * MEBIBYTE) + plain[2:], ""
    block = b"Exif\0\0" + overlapping_exif(60_000)
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    yield "jpeg whose EXIF names 300 MB", plain[:2] + segment + plain[2:], ""
    yield "jpeg whose EXIF is in 500 segments", plain[:2] + segment * 500 + plain[2:], ""


def _jpeg_sized(payload: bytes, width: int, height: int) -> bytes:
    at = max(payload.find(b"\xff\xc0"), payload.find(b"\xff\xc2"))
    return payload[: at + 5] + struct.pack(">HH", height, width) + payload[at + 9 :]


def overlapping_exif(size: int) -> bytes:
    """A TIFF structure of `size` bytes whose fields each have all of it as their value."""
    count = min((size - 14) // 12, 65_535)
    fields = b"".join(struct.pack("<HHII", tag, 7, size - 8, 8) for tag in range(count))
    return (b"II*\0" + struct.pack("<IH", 8, count) + fields).ljust(size, b"\0")


def _png_bombs() -> Iterator[tuple[str, bytes, str]]:
    plain = encode(photo(), "PNG")
    head, rest = plain[:33], plain[33:]
    yield "png of 900 million pixels", _png_header(30_000, 30_000, 2) + rest, "too_many_pixels"
    yield "png of 392 MB", _png_header(9_900, 9_900, 6) + rest, "too_many_pixels"
    yield "png of 2.7 million chunks", head + png_chunk(b"tEXt", b"") * 2_700_000 + rest, "decompression_bomb"
    text = b"a\0\0" + zlib.compress(bytes(64 * MEBIBYTE))
    yield "png with 1 GB of text", head + png_chunk(b"zTXt", text) * 16 + rest, ""
    profile = b"a\0\0" + zlib.compress(bytes(200 * MEBIBYTE))
    yield "png with a profile of 200 MB", head + png_chunk(b"iCCP", profile) + rest, "broken_image"
    indexed = _png_header(100, 100, 3) + png_chunk(b"IDAT", zlib.compress(bytes(101 * 100))) + png_chunk(b"IEND", b"")
    yield "png of a palette that is not there", indexed, "broken_image"
    yield "png whose EXIF names 1 GB", head + png_chunk(b"eXIf", overlapping_exif(MEBIBYTE)) + rest, ""


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_header(width: int, height: int, colours: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0))


def _gif_bombs() -> Iterator[tuple[str, bytes, str]]:
    plain = encode(photo(), "GIF")
    table = 13 + (3 << (plain[10] & 7) + 1)
    vast = plain[:6] + struct.pack("<HH", 65_535, 65_535) + plain[10:]
    yield "gif of 4 billion pixels", vast, "too_many_pixels"
    comment = b"\x21\xfe" + (b"\xff" + bytes(255)) * 120_000 + b"\0"
    yield "gif with 30 MB of comment", plain[:table] + comment + plain[table:], ""
    small = b"\x21\xfe" + b"\1a" * 15_000_000 + b"\0"
    yield "gif with 15 million blocks of comment", plain[:table] + small + plain[table:], "decompression_bomb"
    frame = plain.index(b",", table)
    beyond = plain[: frame + 5] + struct.pack("<HH", 40_000, 40_000) + plain[frame + 9 :]
    yield "gif with a frame beyond its screen", beyond, "too_many_pixels"


def tiff(fields: list[tuple[int, int, int, int]], data: bytes = b"", next_directory: int = 0) -> bytes:
    """A little-endian TIFF of one directory behind its data; fields are (tag, type, count, value)."""
    directory = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *field) for field in fields)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + struct.pack("<I", next_directory)


def _tiff_bombs() -> Iterator[tuple[str, bytes, str]]:
    data = np.random.default_rng(0).integers(0, 256, 96 * 96).astype(np.uint8).tobytes()
    base = {256: (4, 1, 96), 257: (4, 1, 96), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8), 277: (3, 1, 1)}
    base |= {258: (3, 1, 8), 278: (4, 1, 96), 279: (4, 1, 96 * 96)}

    def file(changes: dict[int, tuple[int, int, int]], payload: bytes = data, following: int = 0) -> bytes:
        return tiff([(tag, *value) for tag, value in sorted((base | changes).items())], payload, following)

    yield "tiff, plain", file({}), ""
    yield "tiff of 900 million pixels", file({256: (4, 1, 30_000), 257: (4, 1, 30_000)}), "too_many_pixels"
    one = {256: (4, 1, 9_000), 257: (4, 1, 9_000), 278: (4, 1, 9_000), 279: (4, 1, 81_000_000)}
    yield "tiff of one strip of 81 million pixels", file(one), "too_many_pixels"
    tiles = {322: (4, 1, 60_000), 323: (4, 1, 60_000), 324: (4, 1, 8), 325: (4, 1, 1000), 259: (3, 1, 8)}
    yield "tiff of one tile of 3.6 billion pixels", file(tiles), "too_many_pixels"
    yield "tiff in LZMA", file({259: (3, 1, 34925)}), "decompression_bomb"
    yield "tiff whose strips name 64 MB", file({273: (4, 16 * MEBIBYTE, 8)}), "decompression_bomb"
    yield "tiff whose directories run in a circle", file({}, data, 8 + len(data)), ""
    yield "tiff of 65,535 fields of 8 MiB each", overlapping_exif(8 * MEBIBYTE), "decompression_bomb"
    fields = [(tag, 7, 8 * MEBIBYTE, 8) for tag in range(40_000, 40_900)]
    body = data.ljust(8 * MEBIBYTE, b"\0")
    many = tiff([(tag, *value) for tag, value in sorted(base.items())] + fields, body)
    yield "tiff of 900 private fields of 8 MiB each", many, ""
    rows, width = 9_000, 3_000
    arrays = struct.pack(f"<{rows}I", *[8 + 8 * rows] * rows) + struct.pack(f"<{rows}I", *[width] * rows)
    strips = {256: (4, 1, width), 257: (4, 1, rows), 278: (4, 1, 1), 273: (4, rows, 8), 279: (4, rows, 8 + 4 * rows)}
    yield "tiff of 9,000 strips in one place, and 28 MB behind", file(strips, arrays + data * 3_000), ""
    yield "tiff, big", b"II+\0" + struct.pack("<HHQ", 8, 0, 16) + bytes(64), "not_an_image"


def _webp_bombs() -> Iterator[tuple[str, bytes, str]]:
    plain = encode(photo(), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
    assert plain[12:16] == b"VP8X"
    vast = plain[:24] + (16_382).to_bytes(3, "little") * 2 + plain[30:]
    yield "webp of a canvas of 268 million pixels", vast, "too_many_pixels"
    wide = plain[:24] + (8_000).to_bytes(3, "little") * 2 + plain[30:]
    yield "webp of a canvas of 1 GB", wide, "too_many_pixels"
    extended = encode(photo(), "WEBP", exif=overlapping_exif(MEBIBYTE))
    yield "webp whose EXIF names 1 GB", extended, ""
    yield "webp of 2 million chunks", plain + b"ABCD\0\0\0\0" * (2 * MEBIBYTE), ""


def _avif_bombs() -> Iterator[tuple[str, bytes, str]]:
    plain = encode(photo(), "AVIF")
    at = plain.index(b"ispe") + 8
    yield "avif of 4 billion pixels", plain[:at] + struct.pack(">II", 65_000, 65_000) + plain[at + 8 :], "broken_image"
    yield "avif of 1 GB", plain[:at] + struct.pack(">II", 9_000, 9_000) + plain[at + 8 :], "too_many_pixels"
    large = encode(Image.new("RGB", (6_000, 6_000), (90, 120, 60)), "AVIF", speed=10)
    at = large.index(b"ispe") + 8
    lying = large[:at] + struct.pack(">II", 96, 96) + large[at + 8 :]
    yield "avif of 36 million pixels that says 96 × 96", lying, "too_many_pixels"
    harmless = b"II*\0\x08\0\0\0".ljust(MEBIBYTE, b"\0")
    harmful = encode(photo(), "AVIF", exif=harmless).replace(harmless, overlapping_exif(MEBIBYTE))
    yield "avif whose EXIF names 64 GB", harmful, ""
    frames = [photo().rotate(angle) for angle in (0, 90)]
    sequence = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    at = sequence.index(b"stsz") + 12
    yield "avif of 4 billion frames", sequence[:at] + b"\xff\xff\xff\xff" + sequence[at + 4 :], "decompression_bomb"


def chunked() -> Iterator[tuple[str, list[bytes]]]:
    """A name, and the pieces that a picture file is made of: its head, then chunks or segments; all are pictures."""
    indexed = photo().quantize(16)
    for name, payload in (
        ("png", encode(photo(), "PNG")),
        ("png, palette", encode(indexed, "PNG")),
        ("png, palette and transparency", encode(indexed, "PNG", transparency=3)),
        ("png, animated", encode(photo(), "PNG", save_all=True, append_images=[photo().rotate(90)])),
    ):
        yield name, [payload[:8], *_pieces(payload, 8, 12, "big")]
    jpeg = encode(photo(), "JPEG", progressive=True, exif=b"Exif\0\0" + overlapping_exif(100))
    yield "jpeg", [jpeg[:2], *_segments(jpeg)]
    for name, payload in (
        ("webp", encode(photo(), "WEBP", exif=overlapping_exif(100))),
        ("webp, animated", encode(photo(), "WEBP", save_all=True, append_images=[photo().rotate(90)])),
    ):
        yield name, [payload[:12], *_pieces(payload, 12, 8, "little")]


def _pieces(payload: bytes, at: int, num_more: int, order: Literal["big", "little"]) -> Iterator[bytes]:
    """Chunks that hold `num_more` bytes beside their data; a big-endian length stands before the kind."""
    length_at = 0 if order == "big" else 4
    while at < len(payload):
        length = int.from_bytes(payload[at + length_at : at + length_at + 4], order)
        end = at + num_more + length + (length & 1 if order == "little" else 0)
        yield payload[at:end]
        at = end


def _segments(payload: bytes) -> Iterator[bytes]:
    """The segments of a JPEG, each with the coded data behind it."""
    begins = [found.start() for found in re.finditer(rb"\xff[^\x00\xff\xd0-\xd8]", payload)]
    for begin, end in zip(begins, [*begins[1:], len(payload)], strict=True):
        yield payload[begin:end]
