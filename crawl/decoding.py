"""Decoding in safety: untrusted bytes in, pixels or a verdict out.

The format is told by the first bytes, and one decoder is asked for it and no other. The container is walked and
stripped (`crawl.containers`), size and memory are judged from the header, and only then is a pixel decoded. Whatever a
hostile file does comes back as a verdict.
"""

import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import AvifImagePlugin, Image, ImageFile, UnidentifiedImageError

from crawl.containers import avif, gif, jpeg, png, tiff, webp
from crawl.containers.stripped import BombError, DamagedError, Stripped
from crawl.exif import orientation
from crawl.image_settings import ImageSettings
from crawl.picture_filters.header import judge_header
from crawl.picture_filters.sketch import sketch_size
from crawl.resizing import target_size
from crawl.signatures import sniff_picture
from crawl.verdict import Verdict

# Everything else Pillow reads (EPS runs Ghostscript, ICNS and PSD nest further formats, …) has no place on a web page.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
STRIP: dict[str, Callable[[bytes], Stripped]] = {
    "JPEG": jpeg.strip,
    "PNG": png.strip,
    "WEBP": webp.strip,
    "GIF": gif.strip,
    "BMP": Stripped,
    "TIFF": tiff.strip,
    "AVIF": avif.strip,
}

# What Pillow raises on damaged files. Source: Pillow's own fuzz targets (Tests/oss-fuzz/fuzz_pillow.py),
# and what its plugins let through from struct, zlib, libavif and dictionaries of header fields. A worker without memory
# left says nothing about the picture: MemoryError fails the job.
DECODE_ERRORS = (
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    EOFError,
    struct.error,
    zlib.error,
)

# Bytes a pixel that a decoded picture of each mode takes, and that its conversion and resizing take beside it: RGB is
# stored in 4 bytes, and what is transparent is multiplied by its opacity first. Others (F, I, LAB, …) have no known
# white and black, or no way to RGB.
# Source: Pillow's src/libImaging/Storage.c; Image.resize.
MODE_BYTES = {"1": 5, "L": 1, "P": 5, "RGB": 4, "RGBX": 8, "CMYK": 4, "YCbCr": 8, "I;16": 7}
TRANSPARENT_BYTES = {"LA": 12, "PA": 12, "RGBA": 8, "RGBa": 12, "P": 9, "L": 9, "RGB": 12, "1": 9}

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # a worker has one core, and each thread would hold pictures of its own


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture.

    Attributes:
        image: mode L, RGB, RGBA or CMYK, perhaps reduced.
        extent: width and height of the picture in pixels of `image`, from its upper left.
        size: width and height of the picture as it came, stored as it is, in pixels.
        orientation: how it must be turned to stand upright, EXIF's 1 to 8.
        profile: ICC profile, empty where there is none.
        media_format: one of `FORMATS`.
        exif: its EXIF block, empty where there is none.
    """

    image: Image.Image
    extent: tuple[float, float]
    size: tuple[int, int]
    orientation: int
    profile: bytes
    media_format: str
    exif: bytes


class _BrokenImageError(Exception):
    """A picture that Pillow cannot read; the message is Pillow's."""


def decode(payload: bytes, settings: ImageSettings) -> Decoded | Verdict:
    """Return the first frame of a picture, reduced where its format allows, or why there is none.

    Rejects `not_an_image`, `decompression_bomb`, what `judge_header` rejects, and `unknown_colours`; fails
    `broken_image`.
    """
    media_format = sniff_picture(payload[:64]).rpartition("/")[2].upper()
    if not media_format:
        return Verdict("rejected", "not_an_image", f"none of {', '.join(FORMATS)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata, and of sizes that max_pixels judges
        try:
            return _decode_format(payload, media_format, settings)
        except BombError as error:
            return Verdict("rejected", "decompression_bomb", str(error))
        except Image.DecompressionBombError as error:
            return Verdict("rejected", "too_many_pixels", str(error))
        except (DamagedError, _BrokenImageError) as error:
            return Verdict("failed", "broken_image", str(error)[:200])


def _decode_format(payload: bytes, media_format: str, settings: ImageSettings) -> Decoded | Verdict:
    stripped = STRIP[media_format](payload)
    if stripped.size != (0, 0):
        verdict = judge_header(stripped.size, settings) or _judge_memory(stripped.size, stripped, 0, settings)
        if verdict:
            return verdict
    with _damage_named():
        image = Image.open(BytesIO(stripped.payload), formats=[media_format])
    if image.mode == "P" and image.palette is None:  # Pillow asserts that there is one
        raise DamagedError("it has no palette")
    verdict = judge_header(image.size, settings)
    return verdict or _decode_pixels(image, stripped, settings)


@contextmanager
def _damage_named() -> Iterator[None]:
    """Make one error of all that Pillow raises on damaged files; only Pillow's own calls belong inside."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise _BrokenImageError("the header cannot be read") from error
    except DECODE_ERRORS as error:
        raise _BrokenImageError(f"{type(error).__name__}: {error}") from error


def _decode_pixels(image: ImageFile.ImageFile, stripped: Stripped, settings: ImageSettings) -> Decoded | Verdict:
    size = image.size
    wanted = _wanted_size(size, settings)
    with _damage_named():
        drafted = image.draft(None, wanted)  # libjpeg can reduce by 2, 4 or 8 while it decodes
    if verdict := _judge_memory(size, stripped, _picture_bytes(image), settings):
        return verdict
    if image.format == "JPEG":  # one scan, not a file of many strips, each of which would be read with all behind it
        image.decodermaxblock = len(stripped.payload)  # at once: pieces would be copied together, again and again
    with _damage_named():
        image.load()
    known = _to_known_mode(image)
    if known is None:
        return Verdict("rejected", "unknown_colours", f"mode {image.mode}")
    profile = image.info.get("icc_profile")
    reduced, extent = _reduce(known, drafted[1][2:] if drafted else image.size, wanted)
    return Decoded(
        image=reduced,
        extent=extent,
        size=size if drafted else image.size,  # loading turned a TIFF upright
        orientation=1 if image.format == "TIFF" else orientation(stripped.exif),
        profile=profile if isinstance(profile, bytes) else b"",
        media_format=str(image.format),
        exif=stripped.exif,
    )


def _wanted_size(size: tuple[int, int], settings: ImageSettings) -> tuple[int, int]:
    """Width and height that are enough: twice what comes out, which leaves as much to be smoothed, and the sketch."""
    target = target_size(size, settings)
    sketched = sketch_size(size) if settings.look or settings.filters.looks_at_pixels else (0, 0)
    return max(2 * target[0], sketched[0]), max(2 * target[1], sketched[1])


def _reduce(
    image: Image.Image, extent: tuple[float, float], wanted: tuple[int, int]
) -> tuple[Image.Image, tuple[float, float]]:
    """The picture and its extent by a whole factor smaller, but no smaller than wanted: what comes then is cheap.

    Source: Pillow documentation, `Image.resize`, reducing_gap: from 2 on hardly to be told from resizing at once.
    """
    factor = max(1, min(int(extent[0] / wanted[0]), int(extent[1] / wanted[1])))
    return (image, extent) if factor == 1 else (image.reduce(factor), (extent[0] / factor, extent[1] / factor))


def _picture_bytes(image: ImageFile.ImageFile) -> int:
    """Memory that a picture takes, with what it is turned into, once the decoder is done with it."""
    sizes = TRANSPARENT_BYTES if image.has_transparency_data else MODE_BYTES
    mode = "I;16" if image.mode.startswith("I;16") else image.mode
    return sizes.get(mode, 8) * image.width * image.height


def _judge_memory(
    size: tuple[int, int], stripped: Stripped, picture_bytes: int, settings: ImageSettings
) -> Verdict | None:
    """Whether decoding would take more than it may: the decoder for every pixel, and the picture as it comes out."""
    pixels = max(size[0] * size[1], stripped.decoder_pixels)
    needed = stripped.decoder_bytes_per_pixel * pixels + picture_bytes
    if needed <= settings.max_decoded_bytes:
        return None
    return Verdict("rejected", "too_many_pixels", f"{pixels} decode into {needed / 1e6:.0f} MB, too much memory")


def _to_known_mode(image: Image.Image) -> Image.Image | None:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in MODE_BYTES.keys() | TRANSPARENT_BYTES.keys():
        return None
    with _damage_named():
        if image.has_transparency_data:
            return image if image.mode == "RGBA" else image.convert("RGBA")
        return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
