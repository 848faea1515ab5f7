"""A sketch: the picture at one small scale, the same whatever comes out, on which the filters look."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crawl.colours import paint_on_white

SKETCH_SIDE = 128
"""Shortest side of a sketch in pixels: twice the default target, so that decoding for it costs nothing there."""


@dataclass(frozen=True, eq=False)
class Sketch:
    """A picture at its sketch's scale.

    Attributes:
        picture: the sketch, mode RGB.
        colours: uint8 (3, H, W), red, green and blue, on white; the colour profile is not applied.
        grey: float32 (H, W), luma, 0 to 255.
        size: width and height of the picture as it came, in pixels.
    """

    picture: Image.Image
    colours: NDArray[np.uint8]
    grey: NDArray[np.float32]
    size: tuple[int, int]

    @cached_property
    def coarse(self) -> NDArray[np.uint16]:
        """Each pixel's colour in 12 bits, four of each channel: (H, W)."""
        red, green, blue = self.colours & 0xF0
        codes: NDArray[np.uint16] = np.left_shift(red, 4, dtype=np.uint16)
        codes |= green | (blue >> 4)
        return codes

    @cached_property
    def num_of_each(self) -> NDArray[np.int64]:
        """How many pixels have each coarse colour: (4096,)."""
        return np.bincount(self.coarse.ravel(), minlength=1 << 12)

    @cached_property
    def variance(self) -> float:
        """Of the luma."""
        return float(self.grey.var())

    @cached_property
    def sharpness(self) -> float:
        """Variance of the Laplacian of the luma over the luma's; see `crawl.picture_filters.blur`."""
        if min(self.grey.shape) < 3 or not self.variance:
            return 0.0
        inner = self.grey[1:-1, 1:-1]
        sides = self.grey[:-2, 1:-1] + self.grey[2:, 1:-1] + self.grey[1:-1, :-2] + self.grey[1:-1, 2:]
        return float((4 * inner - sides).var()) / self.variance


def sketch_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the sketch of a picture; a small picture is its own.

    >>> sketch_size((640, 480))
    (171, 128)
    """
    factor = min(1.0, SKETCH_SIDE / min(size))
    width, height = (max(1, round(side * factor)) for side in size)
    return width, height


def draw_sketch(image: Image.Image, extent: tuple[float, float], size: tuple[int, int]) -> Sketch:
    """Return the sketch of a decoded picture.

    Args:
        image: mode L, RGB, RGBA or CMYK; its upper left `extent` is the picture.
        extent: width and height in pixels of `image`.
        size: width and height of the picture as it came.
    """
    small = image.resize(sketch_size(size), Image.Resampling.BOX, (0.0, 0.0, *extent), reducing_gap=1.0)
    painted = paint_on_white(small)
    painted = painted if painted.mode == "RGB" else painted.convert("RGB")
    grey = np.asarray(painted.convert("L"), np.float32)
    return Sketch(painted, np.ascontiguousarray(np.asarray(painted).transpose(2, 0, 1)), grey, size)
