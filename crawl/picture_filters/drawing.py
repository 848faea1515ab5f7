"""Icons, sprites, text banners, screenshots and diagrams: few colours, in areas that are flat to the last bit."""

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
    codes = _coarse_colours(sketch.colours)
    counts = np.bincount(codes.ravel(), minlength=1 << 12)
    share = float(np.partition(counts, -NUM_COLOURS)[-NUM_COLOURS:].sum() / codes.size)
    if share <= settings.max_drawn_share:
        return None
    flat = measure_flat_areas(sketch.colours, codes == counts.argmax())
    if flat < MIN_FLAT_SHARE:
        return None
    return Verdict("rejected", "drawing", f"{share:.3g} > {settings.max_drawn_share:g}, {flat:.2g} of it flat")


def measure_flat_areas(colours: NDArray[np.uint8], background: NDArray[np.bool_]) -> float:
    """Return the share of neighbours in a row that are the same colour to the last bit, background left out.

    Args:
        colours: uint8 (H, W, 3).
        background: which pixels (H, W) have its colour; where they are all, there is nothing but flat area.
    """
    inside = ~(background[:, 1:] | background[:, :-1])
    num_inside = np.count_nonzero(inside)
    same = (colours[:, 1:] == colours[:, :-1]).all(axis=2)
    return np.count_nonzero(same & inside) / num_inside if num_inside else 1.0


def _coarse_colours(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Each pixel's colour in 12 bits, four of each channel: (H, W)."""
    red, green, blue = (colours[..., channel].astype(np.int64) >> 4 for channel in range(3))
    return red << 8 | green << 4 | blue
