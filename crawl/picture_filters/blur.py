"""Blurred pictures, and small ones that somebody enlarged: what is left has no detail at the sketch's scale.

Sharpness is var(∇²g) / var(g) of the luma g: 20 for white noise, 0 for a gradient; contrast cancels out. Source: the
variance of the Laplacian is the measure of focus of Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield
microscopy", section 2.

Measured on sketches. The least sharp of 150 tree photographs of Wikimedia Commons (anki-trees) has 0.29; 80 of them
blurred by a Gaussian of σ = 2 pixels of the sketch have at most 0.027, enlarged from a shorter side of 32 pixels at
most 0.052, and blurred by σ = 1 at most 0.249. The default of 0.06 finds all of the first two and none of the last, and
loses 0 of the 150, 0 of 1,396 forests, and 3 of 1,250 other scenes (mountains in mist). A blur that is finer than the
sketch is not seen, so that a large target wants a larger `min_side` too.
"""

from crawl.picture_filters.settings import FilterSettings
from crawl.picture_filters.sketch import Sketch
from crawl.verdict import Verdict


def judge_blur(sketch: Sketch, settings: FilterSettings) -> Verdict | None:
    """Return `blurred` where the picture is less sharp than asked for."""
    if not settings.min_sharpness:
        return None
    sharpness = sketch.sharpness
    if sharpness >= settings.min_sharpness:
        return None
    return Verdict("rejected", "blurred", f"{sharpness:.3g} < {settings.min_sharpness:g}")
