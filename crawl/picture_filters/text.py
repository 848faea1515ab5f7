"""Text banners, scanned pages and line drawings: thin strokes on one background.

Strokes are antialiased, so that `drawing` finds nothing flat beside the background; they are sharper than photographs.
On the 4,128 px slides of a college's site, and on the 2,796 photographs named in `blur`, a background of 55 % with a
sharpness above 5 picked three slides of four and no photograph.
"""

from crawl.picture_filters.settings import FilterSettings
from crawl.picture_filters.sketch import Sketch
from crawl.verdict import Verdict

MIN_SHARPNESS = 5.0
"""Half of all forests are as sharp; with one colour over half of the picture, none is."""


def judge_text(sketch: Sketch, settings: FilterSettings) -> Verdict | None:
    """Return `text_banner` where one coarse colour covers more than allowed, and the rest is all edges."""
    if settings.max_background_share >= 1:
        return None
    share = float(sketch.num_of_each.max() / sketch.coarse.size)
    if share <= settings.max_background_share or sketch.sharpness < MIN_SHARPNESS:
        return None
    return Verdict("rejected", "text_banner", f"{share:.3g} > {settings.max_background_share:g} and strokes")
