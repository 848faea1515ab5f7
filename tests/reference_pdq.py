"""PDQ of a whole picture, as its authors define it: what the quicker way of `crawl.likeness` is held against.

Two passes of a box smooth the picture before 64 × 64 of its pixels are picked; all of it is linear, so that two matrix
products do it. Source: as of `crawl.pdq`.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from crawl.pdq import (
    COSINE_UNIT,
    FREQUENCIES,
    PIXEL_UNIT,
    SIDE,
    Coefficients,
    Pdq,
    Reduced,
    cosines_of_line,
    quality_of,
)

Grey = npt.NDArray[np.uint8]

_MIN_SIDE = 5
_FILTER_UNIT = 2.0**16


def pdq(grey: Grey, full_size: tuple[int, int] | None = None) -> Pdq:
    """Return what PDQ says of a picture; nothing, quality 0, of one with a side below 5 pixels.

    Args:
        grey: (H, W), the picture or a smaller one whose pixels are the means of its pixels.
        full_size: height and width of the picture, where `grey` is smaller.
    """
    if min(grey.shape) < _MIN_SIDE:
        return Pdq(np.zeros((FREQUENCIES, FREQUENCIES)), 0)
    small = reduced(grey, full_size or grey.shape)
    cosines = _cosines()
    return Pdq(cosines @ small @ cosines.T, quality_of(small))


def reduced(grey: Grey, full_size: tuple[int, int]) -> Reduced:
    """Return a picture smoothed and reduced to 64 × 64, in whole `PIXEL_UNIT`s; arguments as of `pdq`."""
    height, width = full_size
    small = _reduction(height, grey.shape[0]) @ grey.astype(np.float64) @ _reduction(width, grey.shape[1]).T
    return np.rint(small * (PIXEL_UNIT / _FILTER_UNIT**2))


def dihedral_forms(coefficients: Coefficients) -> list[Coefficients]:
    """Return the coefficients of a picture's eight forms.

    They are: as it is; turned by 90°, 180° and 270°; mirrored top to bottom and left to right; mirrored along both
    diagonals. To mirror a picture is to change the sign of its odd frequencies.
    """
    odd = np.where(np.arange(FREQUENCIES) % 2, 1.0, -1.0)
    down, across = coefficients * odd[:, None], coefficients * odd
    both = down * odd
    return [coefficients, across.T, both, down.T, down, across, coefficients.T, both.T]


def hamming_distance(one: bytes, two: bytes) -> int:
    r"""Return the number of bits in which two hashes differ.

    >>> hamming_distance(b"\x0f", b"\x1e")
    2
    """
    return (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).bit_count()


@lru_cache(maxsize=1024)
def _reduction(length: int, given: int) -> npt.NDArray[np.float64]:
    """Return what smooths a line and picks 64 values, (64, given), in whole `_FILTER_UNIT`s.

    The line has `length` pixels, of which each of the `given` ones stands for as many as lie beneath it.
    """
    if length == SIDE:
        smooth = np.eye(SIDE)
    else:
        smooth = np.zeros((SIDE, length))
        centres = ((np.arange(SIDE) + 0.5) * length / SIDE).astype(np.intp)
        for row, centre in zip(smooth, centres, strict=True):
            inner = range(*_window(int(centre), length))
            for place in inner:
                begin, end = _window(place, length)
                row[begin:end] += 1 / (len(inner) * (end - begin))
    begins = (np.arange(given) * length / given).astype(np.intp)
    return np.rint(np.add.reduceat(smooth, begins, axis=1) * _FILTER_UNIT)


def _window(place: int, length: int) -> tuple[int, int]:
    """Return the pixels that a box around one of them takes the mean of, at the ends fewer: first and end."""
    width = -(-length // (2 * SIDE))
    half = (width + 2) // 2
    return max(0, place + half - width), min(length, place + half)


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float64]:
    return np.rint(cosines_of_line() * COSINE_UNIT)
