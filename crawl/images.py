"""Clean pictures: untrusted bytes in, a small sRGB picture or a verdict out."""

import json
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from crawl.colours import paint_on_white, to_srgb
from crawl.decoding import Decoded, decode
from crawl.exif import read_exif
from crawl.image_settings import ImageSettings
from crawl.likeness import ENOUGH, Look, look_at, shrink
from crawl.picture_files import encode, sha256_key
from crawl.picture_filters import judge_sketch
from crawl.picture_filters.sketch import Sketch, draw_sketch
from crawl.resizing import pad, resize
from crawl.verdict import Verdict

Pixels = npt.NDArray[np.uint8]

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


@dataclass(frozen=True, slots=True, eq=False)
class CleanImage:
    """A cleaned picture.

    Attributes:
        key: 32 hex digits of SHA-256, over the pixels where `encoded` is lossless, else over `encoded` itself: either
            can be told from the file, and reading a lossy one back would cost a fifth of all work on a picture.
        encoded: the picture as a file, the same bytes each time and without metadata.
        width: width of that file, in pixels.
        height: height of that file, in pixels.
        original_width: width of the picture as it came, upright, in pixels.
        original_height: height of the picture as it came, upright, in pixels.
        media_format: one of `crawl.decoding.FORMATS`.
        exif: JSON of the fields of `crawl.exif.FIELDS` that it came with; `{}` where none are kept.
        look: how the whole picture looks, upright, before it is cut; None where it was not asked for.
    """

    key: str
    encoded: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    media_format: str
    exif: str
    look: Look | None

    @property
    def pixels(self) -> Pixels:
        """The pixels in `encoded`: uint8 (H, W, C), sRGB or grey."""
        pixels = np.array(Image.open(BytesIO(self.encoded)))
        return pixels.reshape(*pixels.shape[:2], -1)


def clean_image(payload: bytes, settings: ImageSettings) -> CleanImage | Verdict:
    """Return a picture upright, in sRGB, at `settings.size`, as `settings.resize` says.

    The first frame of an animation counts, and transparency becomes white. Rejects what `decode` and `judge_sketch`
    reject; fails `broken_image`.
    """
    decoded = decode(payload, settings)
    if isinstance(decoded, Verdict):
        return decoded
    if not (settings.look or settings.filters.looks_at_pixels):
        return _finish(decoded, None, settings)
    smaller = _reduce_to_judge(decoded)
    sketch = draw_sketch(smaller.image, smaller.extent, smaller.size)
    verdict = judge_sketch(sketch, settings.filters)
    return verdict or _finish(decoded, _look(smaller, sketch) if settings.look else None, settings)


def draw_clean(payload: bytes, settings: ImageSettings) -> Image.Image | Verdict:
    """Return what `clean_image` returns as a picture in memory; no filter and no likeness is asked for."""
    decoded = decode(payload, settings)
    return decoded if isinstance(decoded, Verdict) else _draw(decoded, settings)


def _reduce_to_judge(decoded: Decoded) -> Decoded:
    """Return the picture by a whole factor smaller, still enough for the sketch and the look, which share it."""
    factor = int(min(decoded.extent) / ENOUGH)
    if factor < 2:
        return decoded
    width, height = decoded.extent
    return replace(decoded, image=decoded.image.reduce(factor), extent=(width / factor, height / factor))


def _draw(decoded: Decoded, settings: ImageSettings) -> Image.Image:
    small = paint_on_white(resize(decoded.image, decoded.extent, decoded.size, settings))
    picture = to_srgb(small, decoded.profile).convert("RGB" if settings.channels == 3 else "L")
    if decoded.orientation in UPRIGHT:
        picture = picture.transpose(UPRIGHT[decoded.orientation])
    return pad(picture, settings.size) if settings.resize == "pad" else picture


def _finish(decoded: Decoded, look: Look | None, settings: ImageSettings) -> CleanImage:
    picture = _draw(decoded, settings)
    width, height = decoded.size
    if decoded.orientation in TURNS_SIDEWAYS:
        width, height = height, width
    encoded = encode(picture, settings.encoding, settings.quality)
    return CleanImage(
        key=sha256_key(picture.tobytes() if settings.encoding == "png" else encoded),
        encoded=encoded,
        width=picture.width,
        height=picture.height,
        original_width=width,
        original_height=height,
        media_format=decoded.media_format,
        exif=json.dumps(read_exif(decoded.exif), ensure_ascii=False, separators=(",", ":")) if settings.exif else "{}",
        look=look,
    )


def _look(decoded: Decoded, sketch: Sketch) -> Look:
    """Return how a picture looks: all of it, in the colours of its file, upright."""
    shrunk = shrink(paint_on_white(decoded.image), sketch.picture, decoded.extent, decoded.size)
    return look_at(shrunk.turned(UPRIGHT.get(decoded.orientation)))
