"""A sketch: the picture at one small scale, the same whatever comes out, on which the filters look."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crawl.colours import paint_on_white

SKETCH_SIDE = 128
"""Shortest side of a sketch in pixels: twice the default target, so that decoding for it costs nothing there."""


class Sketch(NamedTuple):
    """A picture at its sketch's scale.

    Attributes:
        colours: uint8 (H, W, 3), on white; its colour profile is not applied.
        grey: float32 (H, W), luma, 0 to 255.
        transparency: share of the picture that shows what is behind it, 0 to 1.
        size: width and height of the picture as it came, in pixels.
    """

    colours: NDArray[np.uint8]
    grey: NDArray[np.float32]
    transparency: float
    size: tuple[int, int]


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
    transparency = 1 - np.asarray(small.getchannel("A")).mean() / 255 if small.mode == "RGBA" else 0.0
    painted = paint_on_white(small).convert("RGB")
    grey = np.asarray(painted.convert("L"), np.float32)
    return Sketch(np.asarray(painted), grey, float(transparency), size)
