"""Colours as a screen shows them: painted on white, in sRGB."""

import functools
from io import BytesIO

from PIL import Image, ImageCms


def paint_on_white(image: Image.Image) -> Image.Image:
    """Return the picture without transparency: what shows through it is white."""
    if image.mode != "RGBA":
        return image
    canvas = Image.new("RGB", image.size, (255, 255, 255))
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return a picture of mode L, RGB or CMYK in sRGB, as its ICC profile says; without one it is taken as it is.

    A profile that is broken or made for other channels is passed over, as browsers do.
    """
    if not profile:
        return image
    transform = _transform(profile, image.mode)
    return image if transform is None else transform.apply(image)


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; making it takes longer than walking it, and cameras share few profiles."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
