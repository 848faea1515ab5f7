"""What tells whether two pictures are copies of one another: signs of frequencies, of all and of parts, and colours.

The signs are PDQ's bits read at zero instead of at the median, and of a picture that is smoothed twice as much, evenly
to both sides: a mirrored picture has exactly the same ones or exactly the opposite ones, and a smaller copy nearly all
of them. Whoever cuts a tenth off a picture changes a third of them: so the signs of parts of it are kept too, and a
copy that was cut is found beside the part that it is nearly. The colours are a second opinion, of coarse shapes that
the frequencies leave out.

Of copies of 300 photographs of 150 × 150 pixels, all are found that are mirrored, turned by 90°, grey, of half or two
thirds the size, or JPEGs of quality 40; 98 of 100 from which a tenth was cut, or that lie askew by 1°; by 2°, one in
five.
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
_SIDEWAYS = frozenset(
    {
        Image.Transpose.ROTATE_90,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.TRANSVERSE,
    }
)

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

_SMOOTHED_UNIT = 4
"""What `_smoothed` multiplies by, to be whole; twice, 16 · 255 are enough for 16 bits."""

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
        tents: its means by tents that lie half over one another, 127 × 127, mode L.
        colours: 4 × 4, mode RGB.
        size: width and height of the picture.
    """

    tents: Image.Image
    colours: Image.Image
    size: tuple[int, int]

    def turned(self, how: Image.Transpose | None) -> "Shrunk":
        """The same of the picture turned or mirrored."""
        if how is None:
            return self
        size = self.size[::-1] if how in _SIDEWAYS else self.size
        return Shrunk(self.tents.transpose(how), self.colours.transpose(how), size)


def shrink(
    picture: Image.Image, coloured: Image.Image, extent: tuple[float, float], full_size: tuple[int, int]
) -> Shrunk:
    """Return what is left of a picture to look at.

    PDQ smooths by a box twice, which is a tent: so does Pillow, in whole numbers.

    Args:
        picture: mode RGB, L or CMYK: the picture, or a smaller one whose pixels are the means of its pixels.
        coloured: the picture in mode RGB, as small as may be.
        extent: width and height of the picture in pixels of `picture`.
        full_size: width and height of the picture.
    """
    # The first and last tent lie half a cell of 64 from the edge.
    left, top = (each / (2 * (_TENTS + 1)) for each in extent)
    box = (left, top, extent[0] - left, extent[1] - top)
    tents = picture.convert("L").resize((_TENTS, _TENTS), Image.Resampling.BILINEAR, box)
    return Shrunk(tents, coloured.resize((GRID, GRID), Image.Resampling.BOX), full_size)


def look_at(shrunk: Shrunk) -> Look:
    """Return how a picture looks.

    The hash of photographs that are reduced to a shorter side of 128 pixels differs from PDQ's of the whole in 10 bits
    at most for nine of ten, and in 14 for the worst of 95; of those reduced to 256 pixels, in 8 and in 12.
    """
    tents = np.asarray(shrunk.tents).astype(np.int16)
    # Small products, one by one: BLAS would share larger ones among threads, which cost ten times what they save.
    cosines = _cosines()
    lines = cosines @ (_smoothed(_smoothed(tents).T).T * (PIXEL_UNIT / _SMOOTHED_UNIT**2))
    words = _words(lines[_DOWN] @ cosines[_ACROSS].transpose(0, 2, 1) > 0)
    small = _as_pdq_places(_as_pdq_places(tents, shrunk.size[1], PIXEL_UNIT).T, shrunk.size[0]).T
    found = Pdq(cosines[0] @ small @ cosines[0].T, quality_of(small))
    area, colours = shrunk.size[0] * shrunk.size[1], np.asarray(shrunk.colours)
    return Look(found, np.array((area, found.quality, words[0], words[1:], colours), LIKENESS).tobytes())


def _smoothed(tents: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Return four times the means of tents (127, N) by tents twice as wide, half over one another again: (64, N).

    PDQ's are so narrow that what is finer than 64 cells gets into the frequencies; a smaller copy has none of it.
    """
    sides = np.concatenate([tents[1:2], tents[1::2], tents[-2:-1]])
    smooth: npt.NDArray[np.int16] = 2 * tents[::2] + sides[:-1] + sides[1:]
    return smooth


def _as_pdq_places(tents: npt.NDArray[Any], length: int, unit: float = 1.0) -> npt.NDArray[np.float64]:
    """Return of tents (127, N) those that lie where PDQ's do, on a side of `length` pixels, in whole units: (64, N).

    PDQ's boxes, where they are an even number of pixels wide, lie half a pixel to one side, both together one. The
    signs that tell copies know nothing of that: in a picture 150 pixels wide it is nearly half a cell, and a mirrored
    one would have others.
    """
    placed = tents[::2] * unit
    if -(-length // (2 * SIDE)) % 2:
        return placed
    following = np.concatenate([tents[1::2], tents[-1:]]) * unit
    return np.rint(placed + 2 * SIDE / length * (following - placed))


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
