"""PNG files: whatever pixels go in come out, of other readers too."""

from io import BytesIO

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crawl.picture_files import encode_png
from tests.hostile_pictures import encode
from tests.test_images_clean import gradient


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(0, 2**32), st.sampled_from([2, 256]))
def test_any_pixels_come_back_from_a_png(height: int, width: int, channels: int, seed: int, num_levels: int):
    levels = np.random.default_rng(seed).integers(0, num_levels, (height, width, channels))
    pixels = (levels * (255 // (num_levels - 1))).astype(np.uint8)
    read = Image.open(BytesIO(encode_png(pixels)))
    assert read.mode == ("L" if channels == 1 else "RGB")
    assert (np.asarray(read).reshape(pixels.shape) == pixels).all()


def test_a_png_is_about_as_long_as_pillows():
    pixels = np.asarray(gradient())
    noisy = np.clip(pixels + np.random.default_rng(0).normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
    assert len(encode_png(noisy)) <= 1.02 * len(encode(Image.fromarray(noisy), "PNG"))
