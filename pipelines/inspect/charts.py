"""What charts are drawn from: bars with their shares, and a histogram against the normal curve, as numbers of SVG."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_BARS = 12
"""Lines told of, the largest first; the rest is one line more."""


class Bar(NamedTuple):
    """One line of a chart.

    Attributes:
        label: what it is of.
        number: its length.
        away: what is drawn behind it in another colour.
        note: what else there is to say, may be empty.
        value: what a link to it filters by, may be empty.
    """

    label: str
    number: int
    away: int = 0
    note: str = ""
    value: str = ""


class Curve(NamedTuple):
    """A histogram of noise, in a box of 360 × 120 with its origin below left turned to SVG's above left.

    Attributes:
        bars: (x, y, width, height) of each.
        normal: points of the normal curve, as SVG's polyline wants them.
        told: mean, standard deviation and range in words.
    """

    bars: Sequence[tuple[float, float, float, float]]
    normal: str
    told: str


WIDTH, HEIGHT, EDGE, NUM_BINS = 360, 120, 4.5, 36


def noise_curve(noise: NDArray[np.float16]) -> Curve:
    """The histogram of noise values of any shape against the normal curve of as many."""
    values = noise.astype(np.float64).reshape(-1)
    counts, _ = np.histogram(values, bins=NUM_BINS, range=(-EDGE, EDGE))
    bin_width = 2 * EDGE / NUM_BINS
    peak = values.size * bin_width / math.sqrt(2 * math.pi)
    top = max(float(counts.max()), peak) * 1.05
    step = WIDTH / NUM_BINS
    heights = [HEIGHT * count / top for count in counts.tolist()]
    bars = [
        (round(i * step, 2), round(HEIGHT - h, 2), round(step - 0.6, 2), round(h, 2)) for i, h in enumerate(heights)
    ]
    points = []
    for pixel in range(0, WIDTH + 1, 4):
        x = (pixel / WIDTH * 2 - 1) * EDGE
        points.append(f"{pixel},{HEIGHT - HEIGHT * peak * math.exp(-x * x / 2) / top:.2f}")
    told = f"mean {values.mean():+.3f}, standard deviation {values.std():.3f}, {values.min():.2f} to {values.max():.2f}"
    return Curve(bars, " ".join(points), told)


def counted(counts: Mapping[str, int], nameless: str = "none", most: int = MOST_BARS) -> list[Bar]:
    """A line for each of the largest counts, and one for all others.

    >>> counted({"oak": 2, "": 5}, most=1)
    [Bar(label='none', number=5, away=0, note='', value=''), Bar(label='1 more', number=2, away=0, note='', value='')]
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    bars = [Bar(name or nameless, number, value=name) for name, number in ordered[:most]]
    if len(ordered) > most:
        bars.append(Bar(f"{len(ordered) - most:,} more", sum(number for _, number in ordered[most:])))
    return bars


def by_powers(lengths: Mapping[int, int]) -> list[Bar]:
    """A line for each power of two, by the bits of a length: those of 64 to 127 are counted under 7.

    >>> [bar[:2] for bar in by_powers({7: 3, 9: 1})]
    [('64 – 127', 3), ('128 – 255', 0), ('256 – 511', 1)]
    """
    bits = range(min(lengths, default=0), max(lengths, default=-1) + 1)
    return [Bar(f"{1 << each >> 1:,} – {(1 << each) - 1:,}", lengths.get(each, 0)) for each in bits]


def bits_of(numbers: NDArray[Any]) -> dict[int, int]:
    """How many numbers have how many bits.

    >>> bits_of(np.array([64, 127, 128]))
    {7: 2, 8: 1}
    """
    bits, counts = np.unique(np.frexp(numbers.astype(np.float64))[1], return_counts=True)
    return dict(zip(bits.tolist(), counts.tolist(), strict=True))
