"""What a file's header alone decides, before any pixel is decoded: pixels, side and aspect."""

from typing import Protocol

from crawl.verdict import Verdict


class Limits(Protocol):
    """The limits on a picture's size and shape; see `crawl.image_settings.ImageSettings`."""

    @property
    def max_pixels(self) -> int:
        """Width times height at most."""

    @property
    def min_side(self) -> int:
        """Shortest side at least."""

    @property
    def max_aspect(self) -> float:
        """Longest side over shortest at most."""


def judge_header(size: tuple[int, int], limits: Limits) -> Verdict | None:
    """Return why a picture of that width and height is not wanted, or None."""
    short, long = sorted(size)
    if short * long > limits.max_pixels:
        return Verdict("rejected", "too_many_pixels", f"{short * long} > {limits.max_pixels}")
    if short < limits.min_side:
        return Verdict("rejected", "too_small", f"{short} < {limits.min_side}")
    if long > limits.max_aspect * short:
        return Verdict("rejected", "extreme_aspect", f"{long / short:.2f} > {limits.max_aspect:g}")
    return None
