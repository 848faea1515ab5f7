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
        grey: uint8 (H, W), luma.
        size: width and height of the picture as it came, in pixels.
    """

    picture: Image.Image
    colours: NDArray[np.uint8]
    grey: NDArray[np.uint8]
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
        return _variance(self.grey)

    @cached_property
    def sharpness(self) -> float:
        """Variance of the Laplacian of the luma over the luma's; see `crawl.picture_filters.blur`."""
        if min(self.grey.shape) < 3 or not self.variance:
            return 0.0
        height, width = self.grey.shape
        line = self.grey.ravel().astype(np.int16)  # neighbours on one long line: those over its folds are left out
        laplacian = line[width:-width] << 2
        for neighbour in (
            line[: -2 * width],
            line[2 * width :],
            line[width - 1 : -width - 1],
            line[width + 1 : 1 - width],
        ):
            laplacian -= neighbour
        return _variance(laplacian.reshape(height - 2, width)[:, 1:-1]) / self.variance


def _variance(values: NDArray[np.integer]) -> float:
    """Of whole numbers, small enough that float64 adds them and their squares up without rounding, in any order."""
    exact = values.ravel().astype(np.float64)
    total, squares = int(exact.sum()), int(np.einsum("i,i->", exact, exact))
    return (squares * exact.size - total * total) / exact.size**2


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
    grey = np.asarray(painted.convert("L"))
    return Sketch(painted, np.ascontiguousarray(np.asarray(painted).transpose(2, 0, 1)), grey, size)
