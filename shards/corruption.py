"""What is done to a clean picture at each step, bit for bit the same everywhere.

* `gaussian`: static is mixed into the whole picture, `a x + b n`, more at each step of its schedule.
* `sparse`: "one pixel in five": the pixels are ranked by chance, and at step k the first `k / K` of them, in all
  channels, are `x + n`; the rest are `x`.
* `whiteout`: the same pixels turn white instead.

For the last two the schedule says nothing, and what is kept as noise is what was added: noisy - clean.
"""

import numpy as np
from numpy.typing import NDArray

CORRUPTIONS = ("gaussian", "sparse", "whiteout")

PIXEL_VALUES: NDArray[np.float32] = ((2 * np.arange(256) - 255) / 256).astype(np.float32)
"""x of each pixel value u, exactly: (2u - 255) / 256, within (-1, 1)."""

WHITE = np.float16(255 / 256)
"""x of a white pixel."""


def mix(
    clean: NDArray[np.uint8],
    noise: NDArray[np.float16] | NDArray[np.float32],
    a: np.float16 | NDArray[np.float16],
    b: np.float16 | NDArray[np.float16],
) -> NDArray[np.float16]:
    """Return `a x + b n`, the noisy picture, bit for bit the same everywhere.

    x has 9 significant bits and the rest 11, so both products are exact in float32;
    only their sum is rounded, and then once more to float16.

    Args:
        clean: u, uint8, any shape.
        noise: n, of the same shape: float16, or the same values as float32, which are then overwritten.
        a: The picture's factor, float16, a scalar or an array that broadcasts.
        b: The static's factor, likewise.
    """
    # a x = a u / 128 - 255 a / 256: three numbers of at most 20 bits, found faster than by a table.
    factor = np.asarray(a, np.float32)
    noisy = clean.astype(np.float32)
    noisy *= factor / 128
    noisy -= factor * np.float32(255 / 256)
    grains = noise.astype(np.float32, copy=False)
    grains *= np.asarray(b, np.float32)
    noisy += grains
    return noisy.astype(np.float16)


def num_corrupted(step: NDArray[np.int64], steps: int, num_pixels: int) -> NDArray[np.int64]:
    """Return how many pixels are no longer clean at a step: `k S² / K`, rounded to nearest, halves upwards.

    >>> num_corrupted(np.array([1, 2, 5]), steps=5, num_pixels=16).tolist()
    [3, 6, 16]

    Args:
        step: k, 1 to K, any shape.
        steps: K.
        num_pixels: S².
    """
    counts: NDArray[np.int64] = (2 * step * num_pixels + steps) // (2 * steps)
    return counts


def corrupted_pixels(words: NDArray[np.uint16], step: NDArray[np.int64], steps: int) -> NDArray[np.bool_]:
    """Return which pixels are no longer clean, bool `(B, S²)`.

    Args:
        words: Chance for each pixel, `(B, S²)`, stream 1 of the picture; pixels are ranked by it, ties by position.
        step: k of each picture, 1 to K, `(B,)`.
        steps: K.
    """
    order = np.argsort(words, axis=1, kind="stable")
    is_first = np.arange(words.shape[1]) < num_corrupted(step, steps, words.shape[1])[:, None]
    mask = np.empty(words.shape, np.bool_)
    np.put_along_axis(mask, order, is_first, axis=1)
    return mask


def replace_pixels(
    corruption: str, clean: NDArray[np.uint8], static: NDArray[np.float16], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return noise and noisy of `sparse` or `whiteout`, float16 `(B, S, S, C)`.

    The noise is `noisy - x`, exact in float32, rounded to float16.

    Args:
        corruption: One of the two.
        clean: u, uint8 `(B, S, S, C)`.
        static: n, float16 of the same shape.
        mask: Which pixels are replaced, bool `(B, S²)`.
    """
    one = np.float16(1)
    hit = WHITE if corruption == "whiteout" else mix(clean, static, one, one)
    x = PIXEL_VALUES.take(clean)
    noisy = np.where(mask.reshape(*clean.shape[:3], 1), hit, x.astype(np.float16))
    return (noisy.astype(np.float32) - x).astype(np.float16), noisy
