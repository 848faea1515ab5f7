"""Extreme colours: nearly all black, nearly all white, or garish all over; false colours and failed exposures."""

import numpy as np
from numpy.typing import NDArray

from crawl.picture_filters.settings import FilterSettings
from crawl.picture_filters.sketch import Sketch
from crawl.verdict import Verdict

DARK, LIGHT, GARISH, BRIGHT = 12, 243, 0.9, 100
"""A pixel is black below the first, white above the second, and garish with more saturation than the third (of HSV)
where it is brighter than the fourth."""


def judge_colour(sketch: Sketch, settings: FilterSettings) -> Verdict | None:
    """Return `extreme_colour` where more of the picture is black, white or garish than allowed."""
    if settings.max_extreme_share >= 1:
        return None
    share = measure_extremes(sketch.colours)
    if share <= settings.max_extreme_share:
        return None
    return Verdict("rejected", "extreme_colour", f"{share:.3g} > {settings.max_extreme_share:g}")


def measure_extremes(colours: NDArray[np.uint8]) -> float:
    """Return the share of pixels (H, W, 3) that are black, white or garish, the largest of the three."""
    red, green, blue = colours[..., 0], colours[..., 1], colours[..., 2]
    most = np.maximum(np.maximum(red, green), blue)
    least = np.minimum(np.minimum(red, green), blue)
    garish = (most > BRIGHT) & (least < (1 - GARISH) * most)
    counts = [np.count_nonzero(pixels) for pixels in (most < DARK, least > LIGHT, garish)]
    return max(counts) / most.size
