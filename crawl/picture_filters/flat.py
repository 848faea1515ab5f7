"""Blank and flat pictures: spacers, plain backgrounds, failed renderings."""

from crawl.picture_filters.settings import FilterSettings
from crawl.picture_filters.sketch import Sketch
from crawl.verdict import Verdict


def judge_flat(sketch: Sketch, settings: FilterSettings) -> Verdict | None:
    """Return `flat` where the picture has less contrast than asked for."""
    contrast = float(sketch.grey.std())
    if contrast >= settings.min_contrast:
        return None
    return Verdict("rejected", "flat", f"{contrast:.3g} < {settings.min_contrast:g}")
