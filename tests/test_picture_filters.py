"""Filters: what each turns away, at which value, and what real photographs lose by them."""

import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from crawl.decoding import Decoded, decode
from crawl.image_settings import ImageSettings
from crawl.images import CleanImage, clean_image
from crawl.picture_filters import judge_sketch
from crawl.picture_filters.colour import measure_extremes
from crawl.picture_filters.placeholder import judge_places
from crawl.picture_filters.settings import NO_FILTERS, FilterSettings
from crawl.picture_filters.sketch import Sketch, draw_sketch, sketch_size
from crawl.verdict import Verdict
from tests.hostile_pictures import encode, photo

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "photos"


def sketched(image: Image.Image) -> Sketch:
    return draw_sketch(image, image.size, image.size)


def judged(image: Image.Image, settings: FilterSettings | None = None) -> str:
    verdict = judge_sketch(sketched(image), settings or FilterSettings())
    return verdict.reason if verdict else ""


def words() -> Image.Image:
    """A page of text, black on cream."""
    image = Image.new("RGB", (400, 300), (250, 245, 230))
    draw = ImageDraw.Draw(image)
    for row in range(14):
        draw.text((20, 15 + 20 * row), "The oak stands in the meadow, the beech beside it", (10, 10, 10))
    return image


def icon() -> Image.Image:
    """A disc with a bar in it, on nothing."""
    image = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((10, 10, 190, 190), fill=(50, 100, 160, 255))
    draw.rectangle((80, 60, 120, 140), fill=(255, 255, 255, 255))
    return image


def garish() -> Image.Image:
    """A photograph in false colours."""
    pixels = np.asarray(photo()).copy()
    pixels[..., 0] = 120 + pixels[..., 0] // 2
    pixels[..., 1:] //= 40
    return Image.fromarray(pixels)


def cut_out() -> Image.Image:
    """A photograph of a leaf, cut out: white around it, but nothing flat within."""
    image = photo(300, 300).convert("RGBA")
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((90, 40, 210, 260), fill=255)
    image.putalpha(mask)
    return image


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (photo(), ""),
        (cut_out(), ""),
        (Image.new("RGB", (200, 200), (30, 90, 40)), "flat"),
        (photo().point(lambda value: 100 + value // 50), "flat"),
        (photo(512, 384).filter(ImageFilter.GaussianBlur(16)), "blurred"),
        (photo(20, 15).resize((400, 300), Image.Resampling.BICUBIC), "blurred"),
        (garish(), "extreme_colour"),
        (words(), "text_banner"),
        (icon(), "drawing"),
    ],
)
def test_each_filter_turns_away_what_it_is_for(image: Image.Image, reason: str):
    assert judged(image) == reason
    assert judged(image, NO_FILTERS) == ""


def test_the_reason_says_what_was_measured_and_what_was_asked_for():
    assert judge_sketch(sketched(Image.new("L", (99, 99))), FilterSettings()) == Verdict("rejected", "flat", "0 < 8")
    sharp = FilterSettings(min_sharpness=15)
    verdict = judge_sketch(sketched(photo()), sharp)
    assert verdict is not None
    assert verdict.reason == "blurred"
    assert verdict.detail.endswith(" < 15")


def sharpness(grey: np.ndarray) -> float:
    none = Image.new("RGB", grey.shape[::-1])
    return Sketch(
        none, np.zeros((3, *grey.shape), np.uint8), np.rint(grey).astype(np.int16), grey.shape[::-1]
    ).sharpness


def test_sharpness_is_that_of_the_formula_whatever_the_contrast():
    noise = np.random.default_rng(0).normal(0, 20, (400, 400))
    assert sharpness(noise) == pytest.approx(20, rel=0.02)  # 4² + 4 · 1²
    assert sharpness(3 * noise + 7) == pytest.approx(sharpness(noise), rel=1e-4)
    assert sharpness(np.mgrid[0:50, 0:50][0]) == pytest.approx(0, abs=1e-9)


def test_extremes_are_the_largest_of_three_shares():
    row = np.array([[[0, 0, 0], [255, 255, 255], [250, 250, 250], [255, 10, 0], [90, 0, 0]]], np.uint8)
    assert measure_extremes(row.transpose(2, 0, 1)) == 0.4


@pytest.mark.parametrize("size", [(4000, 3000), (640, 480), (128, 128), (128, 300), (300, 100), (40, 60)])
def test_sketches_have_one_scale_and_are_never_enlarged(size: tuple[int, int]):
    assert min(sketch_size(size)) == min(128, *size)
    sketch = sketched(photo(*size))
    assert sketch.grey.shape == sketch.colours.shape[1:] == sketch_size(size)[::-1]


@pytest.mark.parametrize("target", [32, 64, 256])
def test_what_comes_out_does_not_decide_what_is_rejected(target: int):
    blurred = encode(photo(2048, 1536).filter(ImageFilter.GaussianBlur(40)), "JPEG", quality=95)
    sharp = encode(photo(200, 150).resize((2048, 1536), Image.Resampling.NEAREST), "JPEG", quality=95)
    settings = ImageSettings(size=target, min_side=target)
    assert clean_image(blurred, settings).reason == "blurred"  # type: ignore[union-attr]
    assert isinstance(clean_image(sharp, settings), CleanImage)


@pytest.mark.parametrize(
    ("pages", "hosts", "reason"), [(1, 1, ""), (20, 4, ""), (21, 1, "on_many_pages"), (5, 5, "on_many_pages")]
)
def test_one_file_on_many_pages_is_a_placeholder(pages: int, hosts: int, reason: str):
    verdict = judge_places(pages, hosts, FilterSettings())
    assert (verdict.reason if verdict else "") == reason
    assert judge_places(10**6, 10**6, NO_FILTERS) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("min_contrast", -1), ("min_sharpness", float("nan")), ("max_drawn_share", 0), ("max_pages", -1)],
)
def test_impossible_thresholds_are_errors(name: str, value: float):
    with pytest.raises(ValueError, match=name):
        replace(FilterSettings(), **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("archive", "part", "expected"),
    [
        ("anki-trees.tar.gz", "", {"": 150}),
        pytest.param("scenes.tar.gz", "/tree/", {"": 1394, "drawing": 2}, marks=pytest.mark.slow),
        pytest.param("scenes.tar.gz", "/other/", {"": 1242, "drawing": 5, "blurred": 3}, marks=pytest.mark.slow),
    ],
)
def test_real_photographs_pass(archive: str, part: str, expected: dict[str, int]):
    if not (PHOTOS / archive).exists():
        pytest.skip(f"{PHOTOS / archive} is not there")
    found: Counter[str] = Counter()
    with tarfile.open(PHOTOS / archive) as tar:
        for member in tar:
            if part in member.name and member.name.lower().endswith((".jpg", ".jpeg", ".png")):
                file = tar.extractfile(member)
                assert file is not None
                decoded = decode(file.read(), ImageSettings())
                assert isinstance(decoded, Decoded), (member.name, decoded)
                verdict = judge_sketch(draw_sketch(decoded.image, decoded.extent, decoded.size), FilterSettings())
                found[verdict.reason if verdict else ""] += 1
    assert found == expected


def test_a_long_strip_of_one_colour_is_flat():
    strip = Image.new("RGB", (8291, 127), "white")
    assert sketched(strip).variance == 0
    assert judge_sketch(sketched(strip), FilterSettings()) == Verdict("rejected", "flat", "0 < 8")
