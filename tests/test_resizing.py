"""How pictures come to their size, and what EXIF data come along."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from crawl.exif import read_exif
from crawl.image_settings import ImageSettings
from crawl.images import CleanImage, clean_image
from crawl.picture_filters.settings import NO_FILTERS
from crawl.verdict import Verdict
from tests.hostile_pictures import encode, photo

SETTINGS = ImageSettings(size=64, min_side=1, filters=NO_FILTERS, resize="pad")
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def cleaned(payload: bytes, **changes: Any) -> CleanImage:
    result = clean_image(payload, replace(SETTINGS, **changes))
    assert isinstance(result, CleanImage), result
    return result


def halves(width: int, height: int) -> bytes:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return encode(image, "PNG")


@pytest.mark.parametrize(
    ("size", "changes", "expected"),
    [
        ((400, 300), {"resize": "centre_crop", "min_side": 64}, (64, 64)),
        ((400, 300), {"resize": "fill", "min_side": 64}, (64, 64)),
        ((400, 300), {"resize": "pad"}, (64, 64)),
        ((400, 300), {"resize": "fit"}, (64, 48)),
        ((300, 400), {"resize": "fit"}, (48, 64)),
        ((30, 20), {"resize": "fit"}, (30, 20)),
        ((30, 20), {"resize": "pad"}, (64, 64)),
        ((30, 20), {"resize": "fit", "upscale": True}, (64, 43)),
        ((30, 20), {"resize": "centre_crop", "upscale": True}, (64, 64)),
        ((30, 20), {"resize": "fill", "upscale": True}, (64, 64)),
    ],
)
@pytest.mark.parametrize("encoding", ["png", "jpeg", "webp"])
def test_sizes_are_as_told(size: tuple[int, int], changes: dict[str, Any], expected: tuple[int, int], encoding: str):
    result = cleaned(halves(*size), encoding=encoding, **changes)
    assert (result.width, result.height) == expected
    assert result.pixels.shape == (*expected[::-1], 3)
    assert (result.original_width, result.original_height) == size


def test_pad_puts_the_whole_picture_on_white():
    pixels = cleaned(halves(128, 64)).pixels
    assert (pixels[:16] == WHITE).all()
    assert (pixels[48:] == WHITE).all()
    assert (pixels[17:47, :30] == RED).all()
    assert (pixels[17:47, 34:] == BLUE).all()


def test_pad_leaves_a_small_picture_as_it_is_unless_told_to_enlarge_it():
    pixels = cleaned(halves(20, 10)).pixels
    assert (pixels[27:37, 22:32] == RED).all()
    assert (pixels != WHITE).any(axis=2).sum() == 200
    assert (cleaned(halves(20, 10), upscale=True).pixels != WHITE).any(axis=2).sum() == 64 * 32


def test_fill_stretches_and_the_crop_does_not():
    image = Image.new("RGB", (128, 64), RED)
    image.paste(BLUE, (96, 0, 128, 64))
    filled = cleaned(encode(image, "PNG"), resize="fill", min_side=64).pixels
    assert (filled[:, :46] == RED).all()
    assert (filled[:, 50:] == BLUE).all()
    assert (cleaned(encode(image, "PNG"), resize="centre_crop", min_side=64).pixels[:, :60] == RED).all()


@pytest.mark.parametrize("resize", ["centre_crop", "pad", "fit", "fill"])
def test_reducing_is_antialiased(resize: str):
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = cleaned(encode(Image.fromarray(stripes), "PNG"), resize=resize, min_side=64).pixels
    assert np.abs(pixels.astype(int) - 127).max() <= 8


@pytest.mark.parametrize("resize", ["centre_crop", "fill"])
def test_nothing_is_enlarged_unless_told(resize: str):
    settings: dict[str, Any] = {"size": 64, "min_side": 64, "resize": resize, "filters": NO_FILTERS}
    assert clean_image(halves(63, 80), ImageSettings(**settings)) == Verdict("rejected", "too_small", "63 < 64")
    with pytest.raises(ValueError, match="never enlarged unless upscale"):
        ImageSettings(**{**settings, "min_side": 32})


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", ["pad", "fit", "fill"])
def test_sideways_pictures_are_turned_before_they_are_fitted(orientation: int, resize: str):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    result = cleaned(encode(photo(160, 80), "JPEG", exif=exif), resize=resize, min_side=64)
    upright = (160, 80) if orientation < 5 else (80, 160)
    assert (result.original_width, result.original_height) == upright
    if resize == "fit":
        assert (result.width, result.height) == (upright[0] * 64 // 160, upright[1] * 64 // 160)


def exif_of_a_walk() -> Image.Exif:
    """A photograph with all that a telephone says of itself, its owner and the place."""
    exif = Image.Exif()
    exif.update({0x010F: "Tree Phones", 0x0112: 6, 0x013B: "A. Walker", 0x8298: "CC BY 4.0"})
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            0x829D: IFDRational(18, 10),
            0x8827: 100,
            0x9003: "2024:05:01 10:00:00",
            0xA431: "SERIAL-4711",
            0x927C: b"secret",
        }
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
    return exif


@pytest.mark.parametrize("media_format", ["JPEG", "PNG", "WEBP"])
def test_exif_is_kept_when_asked_and_never_where_or_whose(media_format: str):
    payload = encode(photo(), media_format, exif=exif_of_a_walk())
    assert cleaned(payload).exif == "{}"
    kept = cleaned(payload, exif=True)
    assert json.loads(kept.exif) == {
        "Make": "Tree Phones",
        "Orientation": 6,
        "Artist": "A. Walker",
        "Copyright": "CC BY 4.0",
        "FNumber": 1.8,
        "ISOSpeedRatings": 100,
        "DateTimeOriginal": "2024:05:01 10:00:00",
    }
    assert b"Tree Phones" not in kept.encoded
    assert kept.encoded == cleaned(payload).encoded


def test_the_fields_of_a_tiff_are_its_exif():
    kept = cleaned(encode(photo(), "TIFF", exif=exif_of_a_walk()), exif=True)
    assert (json.loads(kept.exif)["Make"], json.loads(kept.exif)["Orientation"]) == ("Tree Phones", 6)


@pytest.mark.parametrize(
    "block",
    [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"XX*\0\x08\0\0\0", b"MM\0*\0\0\0\x08\0\x05\x01\x0f\0\x02\0\0\0\x09"],
)
def test_damaged_exif_says_nothing(block: bytes):
    assert read_exif(block) == {}
