"""Arrays as pictures: what a sample holds, as PNG files that hold nothing else."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shards.corruption import PIXEL_VALUES

NOISE_SHOWN = 4.0
"""Noise is shown from minus to plus so much; the static ends at 4.324."""

Pixels = NDArray[np.uint8]


def to_png(pixels: Pixels) -> bytes:
    """Returns a picture (S, S, C) or (H, W) as a PNG; fast to write rather than small."""
    flat = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return image_png(Image.fromarray(np.ascontiguousarray(flat)))


def image_png(image: Image.Image) -> bytes:
    """Returns a picture as a PNG without whatever else its file carried."""
    file = io.BytesIO()
    image.info.clear()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def values_to_pixels(x: NDArray[np.float16] | NDArray[np.float32]) -> Pixels:
    """Returns the pixel values u nearest to x = (2u − 255) / 256; what lies outside is cut off.

    >>> values_to_pixels(np.array([-2, -1 / 256, 1 / 256, 2], np.float32)).tolist()
    [0, 127, 128, 255]
    """
    return np.clip(np.rint((256 * x.astype(np.float32) + 255) / 2), 0, 255).astype(np.uint8)


def noise_to_pixels(noise: NDArray[np.float16]) -> Pixels:
    """Returns noise as pixels: no noise is grey, `NOISE_SHOWN` of it white."""
    return values_to_pixels(noise.astype(np.float32) / NOISE_SHOWN)


def pixels_to_values(pixels: Pixels) -> NDArray[np.float32]:
    """Returns x = (2u − 255) / 256 of pixels, exactly."""
    return PIXEL_VALUES.take(pixels)


def side_by_side(panels: list[Pixels], gap: int = 2) -> Pixels:
    """Returns pictures of one height in a row, white between them."""
    white = np.full((panels[0].shape[0], gap, panels[0].shape[2]), 255, np.uint8)
    parts = [part for panel in panels for part in (panel, white)]
    return np.concatenate(parts[:-1], axis=1)
