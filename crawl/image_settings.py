"""What a picture must be, and what it becomes."""

from dataclasses import dataclass, field

from crawl.picture_filters.settings import FilterSettings

EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp"}
"""What a clean picture can be stored as, and what its file's name then ends with."""

RESIZES = ("centre_crop", "pad", "fit", "fill")
"""How a picture comes to its size; see `crawl.resizing`."""

CROPS_OR_STRETCHES = ("centre_crop", "fill")
"""Those that fill the square, and would enlarge a picture whose shorter side is below it."""


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What a picture must be, and what it becomes.

    Attributes:
        size: side of the square that comes out, in pixels; of `fit`, of the square that it lies in.
        min_side: shortest side taken, in pixels; at least `size` where the square is filled and `upscale` is off.
        max_aspect: longest side over shortest at most; banners and rulers lie above 3.
        max_pixels: width times height at most, read from the header before decoding.
        channels: 3 for colour, 1 for grey.
        encoding: what comes out: "png" (lossless), "jpeg" or "webp".
        quality: of JPEG and WebP, 1 to 100.
        resize: one of `RESIZES`.
        upscale: whether pictures smaller than `size` are enlarged.
        max_decoded_bytes: memory that decoding may take, told from the header: a PNG in colour takes 4 bytes a pixel,
            a WebP 16, a JPEG that is not progressive, reduced while it is decoded, next to nothing.
        exif: whether the fields of `crawl.exif.FIELDS` are kept; positions never are.
        filters: what the pixels must be.
        look: whether it is noted how the picture looks, by which near duplicates are found. Of all work on a picture
            that is a quarter at 64 pixels from 150, less than a tenth from photographs of 800, less still at 256.
    """

    size: int = 64
    min_side: int = 64
    max_aspect: float = 3.0
    max_pixels: int = 100_000_000
    channels: int = 3
    encoding: str = "png"
    quality: int = 95
    resize: str = "centre_crop"
    upscale: bool = False
    max_decoded_bytes: int = 180_000_000
    exif: bool = False
    filters: FilterSettings = field(default_factory=FilterSettings)
    look: bool = True

    def __post_init__(self) -> None:
        self._check_sizes()
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}; 3 is colour and 1 is grey")
        for name, allowed in (("encoding", tuple(EXTENSIONS)), ("resize", RESIZES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)}; it is one of {', '.join(allowed)}")
        if self.encoding == "webp" and self.channels == 1:
            raise ValueError("encoding is webp and channels 1; WebP has no grey: take png or jpeg")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality is {self.quality}; it lies in 1…100")

    def _check_sizes(self) -> None:
        for name in ("size", "min_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; a picture needs a side of at least 1 pixel")
        if self.min_side < self.size and self.resize in CROPS_OR_STRETCHES and not self.upscale:
            raise ValueError(
                f"min_side is {self.min_side} and size {self.size}; pictures are never enlarged unless upscale is on"
            )
        if not self.max_aspect >= 1:
            raise ValueError(f"max_aspect is {self.max_aspect}; longest over shortest side is at least 1")
        if self.max_pixels < self.min_side**2:
            raise ValueError(f"max_pixels is {self.max_pixels}; no picture of min_side {self.min_side} is that small")
