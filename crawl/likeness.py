"""What tells whether two pictures are copies of one another: signs of frequencies, of all and of parts, and colours.

The signs are PDQ's bits read at zero instead of at the median, so that a mirrored picture has exactly the same ones or
exactly the opposite ones. Whoever cuts a tenth off a picture changes a third of them: so the signs of parts of it are
kept too, and a copy that was cut is found beside the part that it is nearly. The colours are a second opinion, of
coarse shapes that the frequencies leave out.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from crawl.pdq import COSINE_UNIT, FREQUENCIES, PIXEL_UNIT, SIDE, Pdq, cosines_of_line, quality_of

NUM_WORDS, GRID = 4, 4

ENOUGH = 256
"""Pixels of a side that decide the hash; see `shrink`."""

_TENTS = 2 * SIDE - 1

_KEPT = 0.9**0.5
"""Of each side, where a tenth of the area goes."""

_WINDOWS = (
    (0.0, 1.0),
    *((offset * (1 - _KEPT) / 2, offset * (1 - _KEPT) / 2 + _KEPT) for offset in range(3)),
    (0.0, 0.9),
    (0.1, 1.0),
)
"""Parts of a side: all; with a tenth of the area cut off, at three places; without one end."""

_PARTS = (*((down, across) for down in (1, 2, 3) for across in (1, 2, 3)), (4, 0), (5, 0), (0, 4), (0, 5))
"""Parts of a picture, as windows down and across."""

NUM_PARTS = len(_PARTS)
_DOWN, _ACROSS = (np.array(windows) for windows in zip((0, 0), *_PARTS, strict=True))

_CHUNK = 65_536

Words = npt.NDArray[np.uint64]


LIKENESS = np.dtype(
    [
        ("area", "<i8"),
        ("quality", "<i8"),
        ("whole", "<u8", NUM_WORDS),
        ("parts", "<u8", (NUM_PARTS, NUM_WORDS)),
        ("colours", "u1", (GRID, GRID, 3)),
    ]
)
"""How a picture looks, in 512 bytes.

    area: of the picture, in pixels.
    quality: PDQ's, 0 to 100.
    whole: the signs of its frequencies. A word holds those that change together where the picture is mirrored: never;
        where top and bottom change places; where left and right do; where either but not both. The lowest frequency is
        the lowest bit.
    parts: the same of parts of it.
    colours: its mean colours, sRGB, as a picture of 4 × 4.
"""


class Look(NamedTuple):
    """How one picture looks.

    Attributes:
        pdq: its perceptual hash and quality.
        likeness: a `LIKENESS`, as bytes.
    """

    pdq: Pdq
    likeness: bytes


class Shrunk(NamedTuple):
    """What is left of a picture to look at.

    Attributes:
        grey: 64 × 64, mode L.
        colours: 4 × 4, mode RGB.
        area: of the picture, in pixels.
    """

    grey: Image.Image
    colours: Image.Image
    area: int

    def turned(self, how: Image.Transpose | None) -> "Shrunk":
        """The same of the picture turned or mirrored."""
        return (
            self if how is None else self._replace(grey=self.grey.transpose(how), colours=self.colours.transpose(how))
        )


def shrink(
    picture: Image.Image, coloured: Image.Image, extent: tuple[float, float], full_size: tuple[int, int]
) -> Shrunk:
    """Return what is left of a picture to look at.

    PDQ smooths by a box twice, which is a tent: so does Pillow, in whole numbers. From pictures that are reduced to a
    shorter side of 128 pixels or more, nine hashes of ten differ in 8 bits at most from PDQ's of the whole picture, and
    the worst of 95 photographs in 18; from 256 pixels or more, in 6 and in 10.

    Args:
        picture: mode RGB, L or CMYK: the picture, or a smaller one whose pixels are the means of its pixels.
        coloured: the picture in mode RGB, as small as may be.
        extent: width and height of the picture in pixels of `picture`.
        full_size: width and height of the picture.
    """
    (left, right), (top, bottom) = (_tented(*each) for each in zip(extent, full_size, strict=True))
    tents = picture.convert("L").resize((_TENTS, _TENTS), Image.Resampling.BILINEAR, (left, top, right, bottom))
    # Of the tents, which lie half over one another, every second, the first and the last included.
    grey = Image.fromarray(np.ascontiguousarray(np.asarray(tents)[::2, ::2]))
    return Shrunk(grey, coloured.resize((GRID, GRID), Image.Resampling.BOX), full_size[0] * full_size[1])


def _tented(extent: float, length: int) -> tuple[float, float]:
    """Return the piece of a side whose 127 tents have PDQ's width and places.

    PDQ's boxes, where they are an even number of pixels wide, lie half a pixel to one side: both together one.
    """
    margin = extent / (4 * SIDE)
    shift = 0.0 if -(-length // (2 * SIDE)) % 2 else min(extent / length, margin)
    return margin + shift, extent - margin + shift


def look_at(shrunk: Shrunk) -> Look:
    """Return how a picture looks."""
    small = np.asarray(shrunk.grey, np.float64) * PIXEL_UNIT
    # Small products, one by one: BLAS would share larger ones among threads, which cost ten times what they save.
    cosines = _cosines()
    lines = cosines @ small
    planes = lines[_DOWN] @ cosines[_ACROSS].transpose(0, 2, 1)
    found = Pdq(planes[0], quality_of(small))
    words = _words(planes > 0)
    colours = np.asarray(shrunk.colours)
    return Look(found, np.array((shrunk.area, found.quality, words[0], words[1:], colours), LIKENESS).tobytes())


def transposed(words: Words) -> Words:
    """Return the words (N, 4) of pictures mirrored along the falling diagonal."""
    found = np.empty(words.shape, np.uint64)
    for begin in range(0, len(words), _CHUNK):  # a byte stands for each bit meanwhile
        piece = np.ascontiguousarray(words[begin : begin + _CHUNK], "<u8")
        bits = np.unpackbits(piece.view(np.uint8), axis=1, bitorder="little")
        found[begin : begin + _CHUNK] = _packed(bits[:, _transposition()])
    return found


def _words(signs: npt.NDArray[np.bool_]) -> Words:
    """Return signs (N, 16, 16) as words (N, 4)."""
    return _packed(signs.reshape(len(signs), -1)[:, _order()])


def _packed(bits: npt.NDArray[Any]) -> Words:
    return np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little")).view("<u8")


@lru_cache(maxsize=1)
def _order() -> npt.NDArray[np.intp]:
    """Return which of the 256 frequencies each bit of the four words tells of."""
    down, across = np.divmod(np.arange(FREQUENCIES**2), FREQUENCIES)
    # Frequencies begin with 1: the odd ones change their sign where the picture is mirrored.
    word = (1 - down % 2) + 2 * (1 - across % 2)
    return np.lexsort((across, down, (down + 1) ** 2 + (across + 1) ** 2, word))


@lru_cache(maxsize=1)
def _transposition() -> npt.NDArray[np.intp]:
    """Return the place of each bit before down and across changed places."""
    place = np.argsort(_order())
    down, across = np.divmod(_order(), FREQUENCIES)
    found: npt.NDArray[np.intp] = place[across * FREQUENCIES + down]
    return found


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float64]:
    """Return rows 1 to 16 of the cosine transform of each part of a side, (6, 16, 64), in whole `COSINE_UNIT`s."""
    exact = np.stack([_transform(*window) for window in _WINDOWS])
    return np.rint(exact * COSINE_UNIT)


def _transform(begin: float, end: float) -> npt.NDArray[np.float64]:
    """Return the cosine transform of the part of a line of 64 pixels between two fractions of it, (16, 64)."""
    frequency = np.arange(1, FREQUENCIES + 1, dtype=np.float64)[:, None]
    if (begin, end) == (0, 1):  # as PDQ has it
        return cosines_of_line()
    edges = (np.clip(np.arange(SIDE + 1) / SIDE, begin, end) - begin) / (end - begin)
    waves = np.diff(np.sin(np.pi * frequency * edges), axis=1) / (np.pi * frequency)
    found: npt.NDArray[np.float64] = waves * np.sqrt(2 * SIDE)
    return found
