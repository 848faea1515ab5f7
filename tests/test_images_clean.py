import hashlib
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from crawl.image_settings import ImageSettings
from crawl.images import CleanImage, clean_image
from crawl.picture_files import sha256_key
from crawl.picture_filters.settings import NO_FILTERS
from crawl.verdict import Verdict
from tests.hostile_pictures import encode

SETTINGS = ImageSettings(size=32, min_side=32, filters=NO_FILTERS)
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def gradient(width: int = 96, height: int = 96) -> Image.Image:
    """Red grows to the right, green downwards."""
    down, right = np.mgrid[0:height, 0:width]
    pixels = np.stack([right * 255 // width, down * 255 // height, np.full_like(right, 64)], axis=2)
    return Image.fromarray(pixels.astype(np.uint8))


def cleaned(payload: bytes, image_settings: ImageSettings = SETTINGS) -> CleanImage:
    result = clean_image(payload, image_settings)
    assert isinstance(result, CleanImage), result
    return result


@pytest.mark.parametrize("media_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_allowed_format_gives_the_same_picture(media_format: str) -> None:
    expected = cleaned(encode(gradient(), "BMP")).pixels.astype(int)
    result = cleaned(encode(gradient(), media_format))
    assert result.media_format == media_format
    assert (result.original_width, result.original_height) == (96, 96)
    assert result.pixels.shape == (32, 32, 3)
    assert result.pixels.dtype == np.uint8
    # a GIF has 256 colours, and half the colour of a lossy format is drawn at half the size
    assert np.abs(result.pixels - expected).mean() < (12 if media_format == "GIF" else 4)


@pytest.mark.parametrize("media_format", ["PPM", "ICO", "PCX", "TGA", "EPS", "PDF"])
def test_formats_off_the_list_are_no_images(media_format: str) -> None:
    verdict = clean_image(encode(gradient(), media_format), SETTINGS)
    assert isinstance(verdict, Verdict)
    assert (verdict.fate, verdict.reason) == ("rejected", "not_an_image")


@pytest.mark.parametrize("payload", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>404</html>", b"BA"])
def test_what_is_no_image_is_said_to_be_none(payload: bytes) -> None:
    assert clean_image(payload, SETTINGS) == Verdict(
        "rejected", "not_an_image", "none of JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF"
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((32, 32), None),
        ((31, 32), Verdict("rejected", "too_small", "31 < 32")),
        ((96, 32), None),
        ((97, 32), Verdict("rejected", "extreme_aspect", "3.03 > 3")),
        ((32, 97), Verdict("rejected", "extreme_aspect", "3.03 > 3")),
        ((200, 50), Verdict("rejected", "extreme_aspect", "4.00 > 3")),
        ((100, 100), None),
        ((100, 101), Verdict("rejected", "too_many_pixels", "10100 > 10000")),
    ],
)
def test_size_and_shape_are_judged_at_their_limits(size: tuple[int, int], expected: Verdict | None) -> None:
    image_settings = replace(SETTINGS, max_pixels=10_000)
    result = clean_image(encode(Image.new("RGB", size), "PNG"), image_settings)
    assert (result if isinstance(result, Verdict) else None) == expected


@pytest.mark.parametrize("side", [10_000, 30_000, 200_000])
def test_bombs_are_refused_from_the_header_alone(side: int) -> None:
    header = bytearray(encode(Image.new("L", (1, 1)), "BMP"))
    header[18:26] = side.to_bytes(4, "little") * 2
    verdict = clean_image(bytes(header), ImageSettings(max_pixels=99_999_999))
    assert isinstance(verdict, Verdict)
    assert (verdict.fate, verdict.reason) == ("rejected", "too_many_pixels")


def test_pictures_above_pillows_own_limit_are_taken_where_the_settings_allow_it() -> None:
    payload = encode(Image.new("L", (10_000, 10_000)), "PNG")
    assert cleaned(payload).pixels.max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("media_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(orientation: int, media_format: str) -> None:
    upright = gradient(96, 64)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    result = cleaned(encode(stored, media_format, exif=exif))
    assert (result.original_width, result.original_height) == (96, 64)
    expected = cleaned(encode(upright, "BMP")).pixels.astype(int)
    assert np.abs(result.pixels - expected).max() < 16


def test_the_square_comes_from_the_centre() -> None:
    wide = Image.new("RGB", (90, 40), RED)
    wide.paste(BLUE, (21, 0, 69, 40))  # 4 pixels more on either side, which the filter sees
    tall = wide.transpose(Image.Transpose.ROTATE_90)
    for image in (wide, tall):
        assert (cleaned(encode(image, "PNG")).pixels == BLUE).all()


def test_large_jpegs_are_reduced_while_decoding_and_look_the_same() -> None:
    image = gradient(1003, 701)
    expected = cleaned(encode(image, "BMP")).pixels.astype(int)
    assert np.abs(cleaned(encode(image, "JPEG", quality=95)).pixels - expected).max() <= 3


def transparent(mode: str) -> Image.Image:
    """The left half is red, the right half black and transparent."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((*RED, 255), (0, 0, 32, 64))
    return image.convert(mode)


@pytest.mark.parametrize("payload", [encode(transparent("RGBA"), f) for f in ("PNG", "WEBP", "GIF", "TIFF")])
def test_transparency_becomes_white(payload: bytes) -> None:
    pixels = cleaned(payload).pixels
    assert np.abs(pixels[:, :12].astype(int) - RED).max() < 6
    assert (pixels[:, 20:] == WHITE).all()


@pytest.mark.parametrize(
    ("image", "media_format", "expected"),
    [
        (Image.new("L", (64, 64), 77), "PNG", (77, 77, 77)),
        (Image.new("1", (64, 64), 1), "PNG", WHITE),
        (Image.new("LA", (64, 64), (77, 255)), "PNG", (77, 77, 77)),
        (Image.new("P", (64, 64), 0), "PNG", (0, 0, 0)),
        (Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "TIFF", RED),
        (Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG", RED),
        (Image.new("I;16", (64, 64), 77 * 256 + 200), "PNG", (77, 77, 77)),
        (Image.new("I;16B", (64, 64), 77 * 256 + 200), "TIFF", (77, 77, 77)),
    ],
)
def test_every_mode_becomes_rgb(image: Image.Image, media_format: str, expected: tuple[int, int, int]) -> None:
    pixels = cleaned(encode(image, media_format)).pixels.astype(int)
    assert np.abs(pixels - expected).max() <= 2


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_values_without_a_known_white_are_rejected(mode: str) -> None:
    assert clean_image(encode(Image.new(mode, (64, 64)), "TIFF"), SETTINGS) == Verdict(
        "rejected", "unknown_colours", f"mode {mode}"
    )


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE)]
    for media_format in ("GIF", "PNG"):
        payload = encode(frames[0], media_format, save_all=True, append_images=frames[1:])
        assert (cleaned(payload).pixels == RED).all()


def test_embedded_profiles_are_converted_and_broken_ones_ignored() -> None:
    image = Image.new("RGB", (64, 64), (200, 100, 50))
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (same, b"no profile", same[:200]):
        pixels = cleaned(encode(image, "PNG", icc_profile=profile)).pixels.astype(int)
        assert np.abs(pixels - (200, 100, 50)).max() <= 1
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert (cleaned(encode(image, "PNG", icc_profile=lab)).pixels == (200, 100, 50)).all()


def test_grey_pictures_have_one_channel() -> None:
    result = cleaned(encode(gradient(), "PNG"), replace(SETTINGS, channels=1))
    assert result.pixels.shape == (32, 32, 1)
    assert Image.open(BytesIO(result.encoded)).mode == "L"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("encoding", ["png", "jpeg", "webp"])
def test_the_file_holds_the_same_pixels_and_nothing_else(encoding: str, channels: int) -> None:
    if (encoding, channels) == ("webp", 1):
        pytest.skip("WebP has no grey")
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "somebody's camera"
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    payload = encode(gradient(), "JPEG", exif=exif, comment=b"somebody", icc_profile=srgb)
    settings = replace(SETTINGS, channels=channels, encoding=encoding)
    result = cleaned(payload, settings)
    assert b"somebody" not in result.encoded
    assert result.encoded == cleaned(payload, settings).encoded
    stored = Image.open(BytesIO(result.encoded))
    assert stored.format == encoding.upper()
    assert (np.asarray(stored).reshape(32, 32, channels) == result.pixels).all()
    assert not stored.info.keys() & {"exif", "icc_profile", "comment", "xmp"}
    lossless = cleaned(payload, replace(SETTINGS, channels=channels)).pixels
    assert np.abs(lossless.astype(int) - result.pixels).mean() < 3


def test_less_quality_takes_less_room() -> None:
    sizes = [
        len(
            cleaned(
                encode(gradient(), "JPEG"), replace(SETTINGS, size=64, min_side=64, encoding="jpeg", quality=q)
            ).encoded
        )
        for q in (20, 80, 95)
    ]
    assert sizes == sorted(sizes)


def test_the_key_is_that_of_the_pixels_or_of_a_lossy_file() -> None:
    payload = encode(gradient(), "JPEG")
    lossless, lossy = cleaned(payload), cleaned(payload, replace(SETTINGS, encoding="jpeg"))
    assert lossless.key == hashlib.sha256(lossless.pixels.tobytes()).hexdigest()[:32]
    assert lossy.key == hashlib.sha256(lossy.encoded).hexdigest()[:32]
    assert sha256_key(bytes(48)) == "17b0761f87b081d5cf10757ccc89f12b"


@pytest.mark.parametrize("media_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_cut_off_pictures_fail_and_never_raise(media_format: str) -> None:
    payload = encode(gradient(), media_format)
    for end in [*range(16, 64), *range(64, len(payload) - 64, 97), len(payload) // 2]:
        result = clean_image(payload[:end], SETTINGS)
        assert isinstance(result, Verdict), f"{media_format} cut at {end}"
    verdict = clean_image(payload[: len(payload) // 2], SETTINGS)
    assert (verdict.fate, verdict.reason) == ("failed", "broken_image")  # type: ignore[union-attr]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_pictures_give_an_image_or_a_verdict(media_format: str, damage: list[tuple[float, int]]) -> None:
    payload = bytearray(encode(gradient(48, 40), media_format))
    for place, value in damage:
        payload[int(place * len(payload))] = value
    assert isinstance(clean_image(bytes(payload), SETTINGS), CleanImage | Verdict)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0"]), st.binary(max_size=300)
)
def test_random_bytes_give_a_verdict(start: bytes, rest: bytes) -> None:
    assert isinstance(clean_image(start + rest, SETTINGS), Verdict)


def test_a_lack_of_memory_is_not_put_down_to_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.BmpImagePlugin.BmpImageFile.load", load)
    with pytest.raises(MemoryError):
        clean_image(encode(gradient(), "BMP"), SETTINGS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size is 0"),
        ({"size": 64, "min_side": 63}, "never enlarged"),
        ({"max_aspect": 0.5}, "max_aspect is 0.5"),
        ({"max_aspect": float("nan")}, "max_aspect is nan"),
        ({"max_pixels": 4095}, "max_pixels is 4095"),
        ({"channels": 2}, "channels is 2"),
    ],
)
def test_impossible_settings_are_errors(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageSettings(**values)
