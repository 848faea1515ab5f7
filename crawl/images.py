"""Clean pictures: untrusted bytes in, a square of sRGB pixels or a verdict out.

Size and shape are judged from the header, before any pixel is decoded. The work on what is left is bounded by
`ImageSettings.max_pixels`, and whatever a hostile file does comes back as a verdict.
"""

import hashlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms, ImageFile, UnidentifiedImageError

from crawl.verdict import Verdict

Pixels = npt.NDArray[np.uint8]

# Everything else Pillow reads (EPS runs Ghostscript, ICNS and PSD nest further formats, …) has no place on a web page.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")

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

# EXIF orientation to the transposition that makes the picture upright. Source: EXIF 3.0, tag 0x0112.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TURNS_SIDEWAYS = frozenset({5, 6, 7, 8})

EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp"}
"""What a clean picture can be stored as, and what its file's name then ends with."""

# Others (F, I, LAB, …) have no known white and black, or no way to RGB.
CONVERTIBLE_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr"})


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What a picture must be, and what it becomes.

    Attributes:
        size: side of the square that comes out, in pixels.
        min_side: shortest side taken, in pixels; at least `size`, since no picture is ever enlarged.
        max_aspect: longest side over shortest at most; banners and rulers lie above 3.
        max_pixels: width times height at most, read from the header before decoding.
        channels: 3 for colour, 1 for grey.
        encoding: what comes out: "png" (lossless), "jpeg" or "webp".
        quality: of JPEG and WebP, 1 to 100.
    """

    size: int = 64
    min_side: int = 64
    max_aspect: float = 3.0
    max_pixels: int = 100_000_000
    channels: int = 3
    encoding: str = "png"
    quality: int = 95

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}; a picture needs a side of at least 1 pixel")
        if self.min_side < self.size:
            raise ValueError(
                f"min_side is {self.min_side} and size {self.size}; pictures are never enlarged: raise min_side"
            )
        if not self.max_aspect >= 1:
            raise ValueError(f"max_aspect is {self.max_aspect}; longest over shortest side is at least 1")
        if self.max_pixels < self.min_side**2:
            raise ValueError(f"max_pixels is {self.max_pixels}; no picture of min_side {self.min_side} is that small")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}; 3 is colour and 1 is grey")
        if self.encoding not in EXTENSIONS:
            raise ValueError(f"encoding is {self.encoding}; it is one of {', '.join(EXTENSIONS)}")
        if self.encoding == "webp" and self.channels == 1:
            raise ValueError("encoding is webp and channels 1; WebP has no grey: take png or jpeg")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality is {self.quality}; it lies in 1…100")


@dataclass(frozen=True, slots=True, eq=False)
class CleanImage:
    """A cleaned picture.

    Attributes:
        key: 32 hex digits of SHA-256, over the pixels where `encoded` is lossless, else over `encoded` itself: either
            can be told from the file, and reading a lossy one back would cost a fifth of all work on a picture.
        encoded: the picture as a file, the same bytes each time and without metadata.
        width: width of the picture as it came, upright, in pixels.
        height: height of the picture as it came, upright, in pixels.
        media_format: one of `FORMATS`.
    """

    key: str
    encoded: bytes
    width: int
    height: int
    media_format: str

    @property
    def pixels(self) -> Pixels:
        """The pixels in `encoded`: uint8 (S, S, C), sRGB or grey."""
        pixels = np.array(Image.open(BytesIO(self.encoded)))
        return pixels.reshape(*pixels.shape[:2], -1)


class _BrokenImageError(Exception):
    """A picture that Pillow cannot read; the message is Pillow's."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A decoded picture: mode L, RGB, RGBA or CMYK, of which the upper left `extent` is the picture."""

    image: Image.Image
    extent: tuple[float, float]
    full_size: tuple[int, int]
    orientation: int
    profile: bytes
    media_format: str


def clean_image(payload: bytes, settings: ImageSettings) -> CleanImage | Verdict:
    """Return the central square of a picture, upright, in sRGB, reduced to `settings.size`.

    The first frame of an animation counts, and transparency becomes white. Rejects `not_an_image`,
    `too_many_pixels`, `too_small`, `extreme_aspect` and `unknown_colours`; fails `broken_image`.
    """
    decoded = _decode(payload, settings)
    if isinstance(decoded, Verdict):
        return decoded
    square = _paint_on_white(_reduce_square(decoded, settings.size))
    upright = _to_srgb(square, decoded.profile).convert("RGB" if settings.channels == 3 else "L")
    if decoded.orientation in UPRIGHT:
        upright = upright.transpose(UPRIGHT[decoded.orientation])
    width, height = decoded.full_size
    if decoded.orientation in TURNS_SIDEWAYS:
        width, height = height, width
    encoded = encode(upright, settings.encoding, settings.quality)
    key = sha256_key(upright.tobytes() if settings.encoding == "png" else encoded)
    return CleanImage(key, encoded, width, height, decoded.media_format)


def judge_header(size: tuple[int, int], settings: ImageSettings) -> Verdict | None:
    """Return why a picture of that width and height is not wanted, or None."""
    short, long = sorted(size)
    if short * long > settings.max_pixels:
        return Verdict("rejected", "too_many_pixels", f"{short * long} > {settings.max_pixels}")
    if short < settings.min_side:
        return Verdict("rejected", "too_small", f"{short} < {settings.min_side}")
    if long > settings.max_aspect * short:
        return Verdict("rejected", "extreme_aspect", f"{long / short:.2f} > {settings.max_aspect:g}")
    return None


def sha256_key(content: bytes) -> str:
    """Return the key of a clean picture: 32 hex digits of SHA-256 over its pixels in C order, or over its file."""
    return hashlib.sha256(content).hexdigest()[:32]


def encode(picture: Image.Image, encoding: str, quality: int) -> bytes:
    """Return a picture of mode RGB or L as a file of one of `EXTENSIONS`, without metadata, the same bytes each time.

    Source: https://pillow.readthedocs.io/en/stable/handbook/image-file-formats.html for what each writer takes.
    """
    file = BytesIO()
    picture.info.clear()  # of a profile, that is
    if encoding == "png":
        picture.save(file, "PNG")
    else:
        picture.save(file, encoding.upper(), quality=quality)
    return file.getvalue()


def _decode(payload: bytes, settings: ImageSettings) -> _Decoded | Verdict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata, and of sizes that max_pixels judges
        try:
            with _damage_named():
                image = Image.open(BytesIO(payload), formats=FORMATS)
            return judge_header(image.size, settings) or _decode_pixels(image, settings.size)
        except UnidentifiedImageError:
            return _judge_unidentified(payload)
        except Image.DecompressionBombError as error:
            return Verdict("rejected", "too_many_pixels", str(error))
        except _BrokenImageError as error:
            return Verdict("failed", "broken_image", str(error)[:200])


@contextmanager
def _damage_named() -> Iterator[None]:
    """Make one error of all that Pillow raises on damaged files; only Pillow's own calls belong inside."""
    try:
        yield
    except UnidentifiedImageError:
        raise
    except DECODE_ERRORS as error:
        raise _BrokenImageError(f"{type(error).__name__}: {error}") from error


def _judge_unidentified(payload: bytes) -> Verdict:
    if payload.startswith(SIGNATURES) or payload[8:12] == b"WEBP" or payload[4:12] == b"ftypavif":
        return Verdict("failed", "broken_image", "the header cannot be read")
    return Verdict("rejected", "not_an_image", f"none of {', '.join(FORMATS)}")


def _decode_pixels(image: ImageFile.ImageFile, size: int) -> _Decoded | Verdict:
    header_size = image.size
    with _damage_named():
        # libjpeg can reduce by 2, 4 or 8 while it decodes. Twice the size is left to be smoothed.
        drafted = image.draft(None, (2 * size, 2 * size))
        image.load()
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    known = _to_known_mode(image)
    if known is None:
        return Verdict("rejected", "unknown_colours", f"mode {image.mode}")
    profile = image.info.get("icc_profile")
    return _Decoded(
        image=known,
        extent=drafted[1][2:] if drafted else image.size,
        full_size=header_size if drafted else image.size,  # loading turned a TIFF upright
        orientation=orientation,
        profile=profile if isinstance(profile, bytes) else b"",
        media_format="JPEG" if image.format == "MPO" else str(image.format),
    )


def _to_known_mode(image: Image.Image) -> Image.Image | None:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in CONVERTIBLE_MODES:
        return None
    with _damage_named():
        if image.has_transparency_data:
            return image.convert("RGBA")
        return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _reduce_square(decoded: _Decoded, size: int) -> Image.Image:
    width, height = decoded.extent
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    # Every pixel counts once in HAMMING, in LANCZOS three times over: half the time, and sharper than an area's mean.
    # Source: Pillow documentation, "Concepts", filters.
    return decoded.image.resize((size, size), Image.Resampling.HAMMING, box)


def _paint_on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    canvas = Image.new("RGB", image.size, (255, 255, 255))
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image  # as browsers do with a profile that is broken or made for other channels
    return converted or image
