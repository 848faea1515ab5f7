"""PDQ, the perceptual hash of a picture: 256 bits that copies of it keep, however they are turned or mirrored.

The grey picture is smoothed by two passes of a box, reduced to 64 × 64 and transformed; each bit tells whether one of
the 16 × 16 lowest frequencies lies above their median. All of it is linear: two small matrix products do it. Their
factors are whole numbers over a power of two, few enough bits that float64 adds them up without rounding: the same
picture has the same hash on every machine, whatever the order of the additions.

Source: Meta, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (2019), and its reference
implementation, github.com/facebook/ThreatExchange, `pdq/cpp`.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

HASH_BYTES = 32

MAX_DISTANCE = 31
"""Bits of 256 in which the hashes of two copies of one picture differ at most. Source: Meta's PDQ paper, "matching"."""

MIN_QUALITY = 50
"""Of 100; pictures with less, flat ones, have hashes that say nothing. Source: Meta's PDQ paper, "quality metric"."""

SIDE, FREQUENCIES = 64, 16
PIXEL_UNIT, COSINE_UNIT = 2.0**10, 2.0**14
"""What the numbers of a reduced picture, and of what transforms it, are multiplied by to be whole."""

_MIN_SIDE = 5
_FILTER_UNIT = 2.0**16


Grey = npt.NDArray[np.uint8]
Reduced = npt.NDArray[np.float64]
Coefficients = npt.NDArray[np.float64]


class Pdq(NamedTuple):
    """What PDQ says of a picture.

    Attributes:
        coefficients: (16, 16) the frequencies 1 to 16, down and across, in a fixed unit.
        quality: 0 to 100, how much there is to see.
    """

    coefficients: Coefficients
    quality: int

    @property
    def hash(self) -> bytes:
        """The 256 bits, 32 bytes; their hex digits are written as Meta writes them."""
        return hash_of(self.coefficients)


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


def hash_of(coefficients: Coefficients) -> bytes:
    """Return the 256 bits of coefficients (16, 16): whether each lies above their median."""
    flat = coefficients.ravel()
    median = np.partition(flat, flat.size // 2 - 1)[flat.size // 2 - 1]
    return np.packbits((flat > median)[::-1]).tobytes()


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


def cosines_of_line() -> npt.NDArray[np.float64]:
    """Return rows 1 to 16 of the discrete cosine transform of 64 values, (16, 64)."""
    frequency, place = np.arange(1.0, FREQUENCIES + 1)[:, None], np.arange(SIDE)[None, :]
    exact: npt.NDArray[np.float64] = np.cos(np.pi / 2 / SIDE * frequency * (2 * place + 1))
    scaled: npt.NDArray[np.float64] = exact * np.sqrt(2 / SIDE)
    return scaled


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float64]:
    return np.rint(cosines_of_line() * COSINE_UNIT)


def quality_of(small: Reduced) -> int:
    """Return how strong the steps between neighbours in a reduced picture are, 0 to 100."""
    levels = small * (100 / 255 / PIXEL_UNIT)
    steps = (np.abs(np.diff(levels, axis=axis)).astype(np.int64).sum() for axis in (0, 1))
    return min(100, int(sum(steps)) // 90)
