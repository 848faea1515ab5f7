"""Filters: one small file each, which says what is measured and returns a reason, or nothing.

`header` is asked before a picture is decoded, the filters of `judge_sketch` on a small sketch of it, and `placeholder`
on all the places that one file stands in.
"""

from collections.abc import Callable

from crawl.picture_filters.blur import judge_blur
from crawl.picture_filters.colour import judge_colour
from crawl.picture_filters.drawing import judge_drawing
from crawl.picture_filters.flat import judge_flat
from crawl.picture_filters.settings import FilterSettings
from crawl.picture_filters.sketch import Sketch
from crawl.picture_filters.text import judge_text
from crawl.verdict import Verdict

Filter = Callable[[Sketch, FilterSettings], Verdict | None]

FILTERS: tuple[Filter, ...] = (judge_flat, judge_blur, judge_colour, judge_drawing, judge_text)


def judge_sketch(sketch: Sketch, settings: FilterSettings) -> Verdict | None:
    """Return the verdict of the first filter that rejects the picture, or None where it passes all."""
    return next((verdict for judge in FILTERS if (verdict := judge(sketch, settings))), None)
