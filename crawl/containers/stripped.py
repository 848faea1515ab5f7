"""What all containers give: a file that is safe to open, or an error that says why there is none."""

from typing import NamedTuple


class Stripped(NamedTuple):
    """A picture file reduced to what draws its first frame.

    Attributes:
        payload: the file, without metadata.
        exif: the first EXIF block, from its TIFF header on; empty where there is none.
        decoder_bytes_per_pixel: memory the decoder takes for each pixel, beyond the picture that it returns.
        size: width and height where the decoder must not be asked for them; (0, 0) where it may.
        decoder_pixels: pixels that the decoder may be made to draw where they are more than the picture has.
    """

    payload: bytes
    exif: bytes = b""
    decoder_bytes_per_pixel: float = 0.0
    size: tuple[int, int] = (0, 0)
    decoder_pixels: int = 0


class DamagedError(Exception):
    """The container cannot be read; the message says where it breaks."""


class BombError(Exception):
    """Reading the file would cost far more than a picture is worth; the message says what."""
