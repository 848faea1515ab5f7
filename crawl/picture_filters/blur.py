"""Blurred pictures, and small ones that somebody enlarged: what is left has no detail at the sketch's scale."""

import numpy as np
from numpy.typing import NDArray

from crawl.picture_filters.settings import FilterSettings
from crawl.picture_filters.sketch import Sketch
from crawl.verdict import Verdict


def judge_blur(sketch: Sketch, settings: FilterSettings) -> Verdict | None:
    """Return `blurred` where the picture is less sharp than asked for."""
    if not settings.min_sharpness:
        return None
    sharpness = measure_sharpness(sketch.grey)
    if sharpness >= settings.min_sharpness:
        return None
    return Verdict("rejected", "blurred", f"{sharpness:.3g} < {settings.min_sharpness:g}")


def measure_sharpness(grey: NDArray[np.float32]) -> float:
    """Return var(∇²g) / var(g) of a luma (H, W): 20 for white noise, 0 for a gradient; contrast cancels out.

    Source: the variance of the Laplacian is the measure of focus of Pech-Pacheco et al. 2000, "Diatom autofocusing in
    brightfield microscopy", section 2.
    """
    variance = float(grey.var())
    if min(grey.shape) < 3 or not variance:
        return 0.0
    inner = grey[1:-1, 1:-1]
    laplacian = 4 * inner - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(laplacian.var()) / variance
