"""The picture files of the arboretum: which tree each shows, where it stands, and its bytes."""

import io
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from PIL import Image, ImageDraw

from crawl.demo.scenes import Scene, foot_line, paint_foreground, paint_scene
from crawl.demo.trees import View, draw_picture, survey

Encoding = Literal["jpeg", "png", "rotated"]
CaptionPlace = Literal["alt", "figcaption", "title"]

NUM_PICTURES: Final = 432  # 36 of each of twelve species
BENCH_SIZE: Final = (128, 128)
AVENUE_SIZE: Final = (480, 80)
LOGO_SIDE: Final = 24

_SKY_WORDS: Final = {
    "clear": "under a clear sky",
    "clouds": "under passing clouds",
    "overcast": "under a grey sky",
    "sunrise": "at sunrise",
    "sunset": "at sunset",
    "mist": "in the mist",
}
_ORIENTATION_TAG: Final = 0x0112  # Source: Exif 2.32, section 4.6.4
_TURN: Final[dict[int, Image.Transpose]] = {  # how the stored picture is turned so that the tag sets it upright
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One tree picture of the site.

    Attributes:
        number: place in the gallery, from 0.
        view: what it shows.
        path: where it stands on the pictures' host.
        caption: one sentence that says what can be seen.
        caption_place: where the page puts the caption.
        free: True for CC0, False for CC BY.
        encoding: "rotated" is a JPEG stored on its side, with the Exif tag that says so.
    """

    number: int
    view: View
    path: str
    caption: str
    caption_place: CaptionPlace
    free: bool
    encoding: Encoding


def plan_gallery(seed: int, count: int = NUM_PICTURES) -> tuple[Picture, ...]:
    """The pictures of the site, none of them drawn yet."""
    return tuple(_plan_picture(number, view) for number, view in enumerate(survey(seed, count)))


def encode_picture(picture: Picture) -> bytes:
    """The file of a picture: drawn, turned where it is stored on its side, and compressed."""
    image = draw_picture(picture.view)
    if picture.encoding == "png":
        return as_png(image)
    if picture.encoding == "rotated":
        orientation = (6, 8, 3)[picture.number % 3]
        exif = Image.Exif()
        exif[_ORIENTATION_TAG] = orientation
        return as_jpeg(image.transpose(_TURN[orientation]), exif)
    return as_jpeg(image)


def encode_thumbnail(picture: Picture) -> bytes:
    """A JPEG of the picture, 64 pixels wide."""
    image = draw_picture(picture.view)
    return as_jpeg(image.resize((64, 64 * image.height // image.width), Image.Resampling.LANCZOS))


def as_png(image: Image.Image, level: int = 9) -> bytes:
    """The image as PNG; the compression level changes the bytes and not the pixels."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=level)
    return file.getvalue()


def as_jpeg(image: Image.Image, exif: Image.Exif | None = None) -> bytes:
    """The image as JPEG of quality 90."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, exif=exif or Image.Exif())
    return file.getvalue()


def draw_bench(seed: int) -> Image.Image:
    """A garden bench on a lawn: the picture of the site that shows no tree."""
    return draw_without_tree(Scene("summer", "clouds", -0.7, snow=False), seed, bench=True)


def draw_without_tree(scene: Scene, seed: int, bench: bool) -> Image.Image:
    """A scene in which no tree stands, but perhaps a bench."""
    rng = np.random.default_rng([seed, 3])
    width, height = BENCH_SIZE
    image = paint_scene(scene, width, height, rng).resize((width * 3, height * 3), Image.Resampling.BICUBIC)
    paint_foreground(image, scene, (), rng)
    if bench:
        _paint_bench(image)
    return image.reduce(3)


def _paint_bench(image: Image.Image) -> None:
    width, height = BENCH_SIZE
    draw = ImageDraw.Draw(image)
    left, right, ground = width * 0.7, width * 2.3, foot_line(width, height) * 3
    draw.ellipse((left - 10, ground - 8, right + 10, ground + 14), fill=(70, 96, 44))
    for x in (left + 14, right - 26):
        draw.rectangle((x, ground - 96, x + 12, ground + 4), fill=(70, 46, 32))
    for row, shade in enumerate((150, 138, 126)):
        top = ground - 100 + row * 17
        draw.rounded_rectangle((left, top, right, top + 11), 3, fill=(shade, shade * 2 // 3, shade * 2 // 5))
    draw.rounded_rectangle((left - 6, ground - 44, right + 6, ground - 32), 3, fill=(164, 112, 68))


def draw_avenue(view: View) -> Image.Image:
    """A view drawn as a strip six times as wide as it is high."""
    width, height = AVENUE_SIZE
    return draw_picture(View(view.species, view.scene, width, height, view.seed))


def draw_logo() -> Image.Image:
    """The small sign at the head of every page."""
    image = Image.new("RGB", (LOGO_SIDE * 4, LOGO_SIDE * 4), (246, 244, 236))
    draw = ImageDraw.Draw(image)
    draw.rectangle((42, 56, 54, 92), fill=(112, 84, 60))
    draw.ellipse((16, 6, 80, 68), fill=(70, 118, 62))
    return image.reduce(4)


def _plan_picture(number: int, view: View) -> Picture:
    encoding: Encoding = "png" if number % 11 == 4 else "rotated" if number % 37 == 8 else "jpeg"
    suffix = "png" if encoding == "png" else "jpg"
    place: CaptionPlace = "alt" if number % 5 < 3 else "figcaption" if number % 5 == 3 else "title"
    return Picture(
        number=number,
        view=view,
        path=f"/trees/{view.species.slug}/{number:03d}.{suffix}",
        caption=_caption(view),
        caption_place=place,
        free=number % 3 == 0,
        encoding=encoding,
    )


def _caption(view: View) -> str:
    """What can be seen, as one sentence without its full stop."""
    species, scene = view.species, view.scene
    words = f"a bare {species.name}" if species.is_bare(scene.season) else f"{_article(species.name)} {species.name}"
    if species.slug == "wild-cherry" and scene.season == "spring":
        words += " in blossom"
    season = "in the snow" if scene.snow else f"in {scene.season}"
    sentence = f"{words} {season} {_SKY_WORDS[scene.sky]}"
    return sentence[0].upper() + sentence[1:]


def _article(name: str) -> str:
    return "an" if name.startswith("English") else "a"
