"""Picture files that came out clean: what they are called by, and how they are written."""

import hashlib
import struct
import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _TRUECOLOUR = 0, 2
_PAETH = 4


def sha256_key(content: bytes) -> str:
    """Return the key of a clean picture: 32 hex digits of SHA-256 over its pixels in C order, or over its file."""
    return hashlib.sha256(content).hexdigest()[:32]


def encode(picture: Image.Image, encoding: str, quality: int) -> bytes:
    """Return a picture of mode RGB or L as a file of one of `EXTENSIONS`, without metadata, always the same bytes."""
    if encoding == "png":
        return encode_png(np.atleast_3d(np.asarray(picture)))
    file = BytesIO()
    picture.info.clear()  # of a profile, that is
    picture.save(file, encoding.upper(), quality=quality)
    return file.getvalue()


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG of pixels (H, W, C), C being 1 or 3.

    Each line is filtered as Paeth does, and zlib looks for runs only. Of photographs at 256 × 256 that takes 2.2 ms
    where Pillow's writer takes 11 by default, and 4 with runs only; at 64 × 64, 0.17 ms for 0.39 and 0.29. The files
    are 1 % longer on average, a tenth at worst, and half where the photograph is grey stored in colour. Text drawn on
    white, which no photograph is, takes 4 to 16 times as many bytes.

    Source: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", sections 5 and 11;
    https://www.zlib.net/manual.html, deflateInit2, for Z_RLE, which is made for the data of PNG.
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _GREY if channels == 1 else _TRUECOLOUR, 0, 0, 0)
    member = zlib.compressobj(strategy=zlib.Z_RLE)
    data = member.compress(_filtered(pixels)) + member.flush()
    return b"".join([_PNG_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join([struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))])


def _filtered(pixels: NDArray[np.uint8]) -> bytes:
    """Lines (H, 1 + W·C): the number of Paeth's filter, and by how much each byte differs from what it foretells.

    That is the one of left, above and corner which is nearest to left + above - corner, the first where they tie. Where
    left and above lie to the same side of the corner, that is no farther than either; so bytes are enough.
    """
    height, width, channels = pixels.shape
    stride = (width + 1) * channels
    padded = np.zeros(channels + (height + 1) * stride, np.uint8)  # black above the picture, and left of each line
    lines = padded[channels:].reshape(height + 1, stride)
    lines[1:, channels:] = pixels.reshape(height, -1)
    left, above, corner = padded[stride:-channels], padded[channels:-stride], padded[: -stride - channels]
    by_left = np.maximum(above, corner) - np.minimum(above, corner)
    by_above = np.maximum(left, corner) - np.minimum(left, corner)
    nearest = np.minimum(by_left, by_above)
    by_corner = np.maximum(by_left, by_above) - nearest
    is_between = (left >= corner) != (above >= corner)
    foretold = _chosen(by_left <= by_above, left, above)
    foretold = _chosen(is_between & (by_corner < nearest), corner, foretold)
    filtered = np.full((height, 1 + width * channels), _PAETH, np.uint8)
    np.subtract(lines[1:, channels:], foretold.reshape(height, stride)[:, channels:], out=filtered[:, 1:])
    return filtered.tobytes()


def _chosen(is_first: NDArray[np.bool_], first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What `np.where` returns, in half the time."""
    chosen: NDArray[np.uint8] = second ^ ((first ^ second) & -is_first.view(np.uint8))
    return chosen
