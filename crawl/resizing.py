"""How a picture comes to its size: cropped, padded, fitted or stretched, always antialiased.

With S the side asked for, w × h the picture, and nothing enlarged unless `upscale` says so:

* `centre_crop`: the largest square around the centre, reduced to S × S;
* `pad`: the whole picture reduced by one factor, min(S/w, S/h), onto the centre of a white S × S;
* `fit`: as `pad`, without the white: the longer side is S, and what comes out is rarely square;
* `fill`: the whole picture to S × S, each side by a factor of its own; shapes are distorted.

Where `pad` and `fit` must not enlarge, a picture smaller than S keeps its size.
"""

from PIL import Image

from crawl.image_settings import ImageSettings

Box = tuple[float, float, float, float]
WHITE = 255


def target_size(size: tuple[int, int], settings: ImageSettings) -> tuple[int, int]:
    """Return the width and height that the part of a picture that is kept comes to, without any padding.

    >>> target_size((400, 300), ImageSettings(size=64, resize="fit"))
    (64, 48)
    """
    if settings.resize in ("centre_crop", "fill"):
        return settings.size, settings.size
    factor = settings.size / max(size)
    if not settings.upscale:
        factor = min(factor, 1.0)
    width, height = (max(1, round(side * factor)) for side in size)
    return width, height


def resize(
    image: Image.Image, extent: tuple[float, float], size: tuple[int, int], settings: ImageSettings
) -> Image.Image:
    """Return a picture of any mode but P and 1 at its target size; `pad`'s white comes later, see `pad`.

    Args:
        image: the pixels, of which the upper left `extent` is the picture.
        extent: width and height in pixels of `image`.
        size: width and height of the picture as it came, from which the target follows.
        settings: how.
    """
    target = target_size(size, settings)
    box = _centre(extent) if settings.resize == "centre_crop" else (0.0, 0.0, *extent)
    enlarges = target[0] > box[2] - box[0] or target[1] > box[3] - box[1]
    # Every pixel counts once in HAMMING, in LANCZOS three times over: half the time, and sharper than an area's mean.
    # Source: Pillow documentation, "Concepts", filters.
    return image.resize(target, Image.Resampling.BICUBIC if enlarges else Image.Resampling.HAMMING, box)


def pad(picture: Image.Image, side: int) -> Image.Image:
    """Return a picture of mode RGB or L in the centre of a white square."""
    if picture.size == (side, side):
        return picture
    canvas = Image.new(picture.mode, (side, side), WHITE if picture.mode == "L" else (WHITE,) * 3)
    canvas.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return canvas


def _centre(extent: tuple[float, float]) -> Box:
    width, height = extent
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
