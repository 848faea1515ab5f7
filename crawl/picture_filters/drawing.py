"""Icons, sprites, screenshots and diagrams: few colours, in areas that are flat to the last bit.

Measured at the defaults: of 120 screenshots, diagrams and icons of a Unix handbook 107 are found; of the 13 left, most
have a photograph as their background. Turned away in error: 0 of 150 tree photographs of Wikimedia Commons
(anki-trees), 2 of 1,396 forests and 5 of 1,250 streets, buildings, seas and mountains (the scenes data set), all
150 pixels wide and nearly without colour. Of 11 leaves cut out on white or on nothing, 0 are lost.
"""

import numpy as np
from numpy.typing import NDArray

from crawl.picture_filters.settings import FilterSettings
from crawl.picture_filters.sketch import Sketch
from crawl.verdict import Verdict

NUM_COLOURS = 4
MIN_FLAT_SHARE = 0.05
"""Where less of what is not background is flat, it is a photograph, cut out perhaps."""


def judge_drawing(sketch: Sketch, settings: FilterSettings) -> Verdict | None:
    """Return `drawing` where four colours cover more than allowed, and what is not background has flat areas."""
    if settings.max_drawn_share >= 1:
        return None
    counts = sketch.num_of_each
    if NUM_COLOURS * counts.max() <= settings.max_drawn_share * sketch.coarse.size:  # nearly all photographs
        return None
    share = float(np.sort(counts[counts > 0])[-NUM_COLOURS:].sum() / sketch.coarse.size)
    if share <= settings.max_drawn_share:
        return None
    flat = measure_flat_areas(sketch.colours, sketch.coarse == counts.argmax())
    if flat < MIN_FLAT_SHARE:
        return None
    return Verdict("rejected", "drawing", f"{share:.3g} > {settings.max_drawn_share:g}, {flat:.2g} of it flat")


def measure_flat_areas(colours: NDArray[np.uint8], background: NDArray[np.bool_]) -> float:
    """Return the share of neighbours in a row that are the same colour to the last bit, background left out.

    Args:
        colours: uint8 (3, H, W).
        background: which pixels (H, W) have its colour; where they are all, there is nothing but flat area.
    """
    inside = ~(background[:, 1:] | background[:, :-1])
    num_inside = np.count_nonzero(inside)
    same = (colours[:, :, 1:] == colours[:, :, :-1]).all(axis=0)
    return np.count_nonzero(same & inside) / num_inside if num_inside else 1.0
