"""Extreme colours: nearly all black, nearly all white, or garish all over; false colours and failed exposures.

The largest share in 150 tree photographs of Wikimedia Commons is 0.49 (maples and ginkgos in autumn), in 1,396 forests
0.66, in 1,250 other scenes 0.64, and in 11 leaves cut out on white 0.83: the default of 0.95 loses none of them.
"""

import numpy as np
from numpy.typing import NDArray

from crawl.picture_filters.settings import FilterSettings
from crawl.picture_filters.sketch import Sketch
from crawl.verdict import Verdict

DARK, LIGHT, BRIGHT = 12, 243, 100
"""A pixel is black below the first, white above the second, and garish where it is brighter than the third and its
saturation (of HSV) is above 0.9."""


def judge_colour(sketch: Sketch, settings: FilterSettings) -> Verdict | None:
    """Return `extreme_colour` where more of the picture is black, white or garish than allowed."""
    if settings.max_extreme_share >= 1:
        return None
    share = measure_extremes(sketch.colours)
    if share <= settings.max_extreme_share:
        return None
    return Verdict("rejected", "extreme_colour", f"{share:.3g} > {settings.max_extreme_share:g}")


def measure_extremes(colours: NDArray[np.uint8]) -> float:
    """Return the share of pixels (3, H, W) that are black, white or garish, the largest of the three."""
    most, least = colours.max(axis=0), colours.min(axis=0)
    garish = (most > BRIGHT) & (least < most // 10)
    counts = [np.count_nonzero(pixels) for pixels in (most < DARK, least > LIGHT, garish)]
    return float(max(counts) / most.size)
