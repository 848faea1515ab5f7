"""Many pictures of few real photographs: each a crop of one, turned in hue, some of them mirrored, all from a seed."""

import random
from pathlib import Path

from PIL import Image, ImageOps

from tests.bench.photographs import HEIGHT, QUALITY, WIDTH, large_photographs

SHARE = (0.4, 0.8)
"""Of the largest crop of the right shape: small enough that two crops of a photograph are seldom near duplicates."""


def vary_photographs(data: Path, folder: Path, count: int) -> None:
    """Writes `count` JPEG files into a folder, unless they are there; those of a smaller count are the first of them.

    Raises:
        MissingError: there is nothing to make them from.
    """
    if len(list(folder.glob("*.jpg"))) == count:
        return
    originals = large_photographs(data)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        drawn = random.Random(number)
        picture = _turned(_crop(originals[number % len(originals)], drawn), drawn.randrange(256))
        if drawn.random() < 0.5:
            picture = ImageOps.mirror(picture)
        picture.save(folder / f"{number:05d}.jpg", quality=QUALITY)


def _crop(photo: Image.Image, drawn: random.Random) -> Image.Image:
    height = drawn.uniform(*SHARE) * min(photo.height, photo.width * HEIGHT / WIDTH)
    width = height * WIDTH / HEIGHT
    left, top = drawn.uniform(0, photo.width - width), drawn.uniform(0, photo.height - height)
    return photo.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, (left, top, left + width, top + height))


def _turned(picture: Image.Image, angle: int) -> Image.Image:
    """The picture with all hues turned, of 256 steps."""
    hue, saturation, value = picture.convert("HSV").split()
    return Image.merge("HSV", (hue.point(lambda at: (at + angle) % 256), saturation, value)).convert("RGB")
