"""What a picture's sketch, and the places it stands in, must be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """Thresholds of the filters; each filter's module says what is measured, and what the default was chosen by.

    Attributes:
        min_contrast: least standard deviation of the luma, 0 to 128; 0 asks for none. See `flat`.
        min_sharpness: least variance of the Laplacian over that of the luma; 0 asks for none. See `blur`.
        max_drawn_share: most of the picture that four colours may cover where its areas are flat too; 1 allows all.
            See `drawing`.
        max_background_share: most of the picture that one colour may cover where the rest is strokes; 1 allows all.
            See `text`.
        max_extreme_share: most of the picture that may be black, white or garish; 1 allows all. See `colour`.
        max_pages: most pages that one file may stand on; 0 for any number. See `placeholder`.
        max_hosts: most hosts that those pages may lie on; 0 for any number. See `placeholder`.
    """

    min_contrast: float = 8.0
    min_sharpness: float = 0.06
    max_drawn_share: float = 0.7
    max_background_share: float = 0.55
    max_extreme_share: float = 0.95
    max_pages: int = 20
    max_hosts: int = 4

    @property
    def looks_at_pixels(self) -> bool:
        """Whether any filter looks at the picture itself."""
        return bool({*self.names()} - {"places"})

    def names(self) -> tuple[str, ...]:
        """Return the filters that are on, in their order."""
        is_on = {
            "flat": self.min_contrast > 0,
            "blur": self.min_sharpness > 0,
            "colour": self.max_extreme_share < 1,
            "drawing": self.max_drawn_share < 1,
            "text": self.max_background_share < 1,
            "places": self.max_pages > 0 or self.max_hosts > 0,
        }
        return tuple(name for name, on in is_on.items() if on)

    def __post_init__(self) -> None:
        for name in ("min_contrast", "min_sharpness", "max_pages", "max_hosts"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 0 or more")
        for name in ("max_drawn_share", "max_background_share", "max_extreme_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; a share lies in 0 to 1")


NO_FILTERS = FilterSettings(
    min_contrast=0,
    min_sharpness=0,
    max_drawn_share=1,
    max_background_share=1,
    max_extreme_share=1,
    max_pages=0,
    max_hosts=0,
)
"""Lets every picture pass."""
