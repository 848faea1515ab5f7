"""PDQ, the perceptual hash of a picture: 256 bits that copies of it keep, however they are turned or mirrored.

A grey picture of 64 × 64, smoothed before it was reduced (`crawl.likeness` does both), is transformed; each bit tells
whether one of the 16 × 16 lowest frequencies lies above their median. What is added up are whole numbers over a power
of two, few enough bits that float64 does it without rounding: the same picture has the same hash on every machine,
whatever the order of the additions.

Source: Meta, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (2019), and its reference
implementation, github.com/facebook/ThreatExchange, `pdq/cpp`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAX_DISTANCE = 31
"""Bits of 256 in which the hashes of two copies of one picture differ at most. Source: Meta's PDQ paper, "matching"."""

MIN_QUALITY = 50
"""Of 100; pictures with less, flat ones, have hashes that say nothing. Source: Meta's PDQ paper, "quality metric"."""

SIDE, FREQUENCIES = 64, 16
PIXEL_UNIT, COSINE_UNIT = 2.0**10, 2.0**14
"""What the numbers of a reduced picture, and of what transforms it, are multiplied by to be whole."""

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


def hash_of(coefficients: Coefficients) -> bytes:
    """Return the 256 bits of coefficients (16, 16): whether each lies above their median."""
    flat = coefficients.ravel()
    median = np.partition(flat, flat.size // 2 - 1)[flat.size // 2 - 1]
    return np.packbits((flat > median)[::-1]).tobytes()


def cosines_of_line() -> npt.NDArray[np.float64]:
    """Return rows 1 to 16 of the discrete cosine transform of 64 values, (16, 64)."""
    frequency, place = np.arange(1.0, FREQUENCIES + 1)[:, None], np.arange(SIDE)[None, :]
    exact: npt.NDArray[np.float64] = np.cos(np.pi / 2 / SIDE * frequency * (2 * place + 1))
    scaled: npt.NDArray[np.float64] = exact * np.sqrt(2 / SIDE)
    return scaled


def quality_of(small: Reduced) -> int:
    """Return how strong the steps between neighbours in a reduced picture are, 0 to 100."""
    levels = small * (100 / 255 / PIXEL_UNIT)
    steps = sum(
        np.abs(each).astype(np.int64).sum() for each in (levels[1:] - levels[:-1], levels[:, 1:] - levels[:, :-1])
    )
    return min(100, int(steps) // 90)
