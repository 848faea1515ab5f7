"""Photographs to crawl: many crops, 500 by 375 pixels, of the real ones that lie beside the project, EXIF and all."""

import random
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image

SOURCES = ("photos/anki-trees.tar.gz", "sites/greeneville-walks.tar.gz")
WIDTH, HEIGHT = 500, 375
QUALITY = 92
"""Files of some 80 kB, as much as the 149 tree photographs of about that size have at the median."""


class MissingError(RuntimeError):
    """The real photographs are not there."""


def make_photographs(data: Path, folder: Path, count: int) -> None:
    """Writes `count` JPEG files into a folder, unless they are there.

    Raises:
        MissingError: there is nothing to make them from.
    """
    if len(list(folder.glob("*.jpg"))) >= count:
        return
    originals = large_photographs(data)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = random.Random(0)
    for number in range(count):
        photo = originals[number % len(originals)]
        share = drawn.uniform(0.8, 1)
        width, height = share * WIDTH / HEIGHT * _height(photo), share * _height(photo)
        left, top = drawn.uniform(0, photo.width - width), drawn.uniform(0, photo.height - height)
        crop = photo.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS, (left, top, left + width, top + height))
        crop.save(folder / f"{number:05d}.jpg", quality=QUALITY, exif=photo.info.get("exif", b""))


def unpack_photographs(data: Path, folder: Path, min_side: int) -> None:
    """Writes the real photographs as they are, those of at least `min_side`, unless they are there.

    Raises:
        MissingError: there are none.
    """
    if folder.exists():
        return
    _check_sources(data)
    staging = folder.with_suffix(".part")
    staging.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(content for name in SOURCES for content in _jpegs(data / name)):
        if min(Image.open(BytesIO(content)).size) >= min_side:
            (staging / f"{number:05d}.jpg").write_bytes(content)
    staging.rename(folder)


def large_photographs(data: Path) -> list[Image.Image]:
    """The real photographs that are large enough to be cut down to `WIDTH` by `HEIGHT`.

    Raises:
        MissingError: there are none.
    """
    _check_sources(data)
    photos = (Image.open(BytesIO(content)) for name in SOURCES for content in _jpegs(data / name))
    return [photo.convert("RGB") for photo in photos if photo.width >= WIDTH and photo.height >= HEIGHT]


def _check_sources(data: Path) -> None:
    missing = [name for name in SOURCES if not (data / name).exists()]
    if missing:
        raise MissingError(f"{data / missing[0]} is not there")


def _height(photo: Image.Image) -> float:
    """The height of the largest crop of the right shape."""
    return min(photo.height, photo.width * HEIGHT / WIDTH)


def _jpegs(archive: Path) -> Iterator[bytes]:
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.lower().endswith((".jpg", ".jpeg")):
                file = tar.extractfile(member)
                assert file is not None
                yield file.read()
