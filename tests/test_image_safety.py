"""Hostile pictures: a verdict for each, in bounded time and memory, whatever the file says of itself."""

import json
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crawl.containers.av1 import max_frame_pixels
from crawl.containers.stripped import DamagedError
from crawl.image_settings import ImageSettings
from crawl.images import CleanImage, clean_image
from crawl.picture_filters.settings import NO_FILTERS
from crawl.verdict import Verdict
from tests.hostile_pictures import bombs, chunked, encode, overlapping_exif, photo, png_chunk

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MAX_BYTES, MAX_CPU_S = 300e6, 5.0

SETTINGS = ImageSettings(filters=NO_FILTERS)


def judged(folder: Path, *max_decoded_bytes: int) -> list[tuple[str, str, float, int]]:
    """What a child says of each file in a folder: name, reason, CPU seconds, the most bytes it has had so far."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.judge_pictures", str(folder)]
    command += map(str, max_decoded_bytes)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr[-2000:]
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")
def test_bombs_get_a_verdict_in_little_time_and_memory(tmp_path: Path):
    expected = {}
    for name, payload, reason in bombs():
        (tmp_path / name.replace(" ", "_")).write_bytes(payload)
        expected[name.replace(" ", "_")] = reason
    found = judged(tmp_path)
    assert {name: reason for name, reason, _, _ in found} == expected
    for name, _, cpu_s, num_bytes in found:
        assert cpu_s < MAX_CPU_S, f"{name} took {cpu_s:.1f} s"
        assert num_bytes < MAX_BYTES, f"{num_bytes / 1e6:.0f} MB after {name}"


def speckled(num_colours: int = 250) -> Image.Image:
    """2,400 by 1,600 pixels, in colours of a palette."""
    values = np.random.default_rng(0).integers(0, num_colours, (16, 24)).astype(np.uint8)
    image = Image.fromarray(values.repeat(100, axis=0).repeat(100, axis=1))
    image.putpalette(np.random.default_rng(1).integers(0, 256, 768).astype(np.uint8).tobytes())
    return image


def see_through(image: Image.Image) -> Image.Image:
    image.putalpha(image.convert("L"))
    return image


RGB = speckled().convert("RGB")
DECODED_BYTES_PER_PIXEL: dict[str, tuple[bytes, float]] = {
    "bmp": (encode(RGB, "BMP"), 4),
    "gif, transparent": (encode(speckled(), "GIF", transparency=3), 9),
    "jpeg": (encode(RGB, "JPEG"), 4 / 64),
    "jpeg, progressive": (encode(RGB, "JPEG", progressive=True, subsampling=0), 6 + 4 / 64),
    "png": (encode(RGB, "PNG", compress_level=1), 4),
    "png, palette": (encode(speckled(), "PNG", compress_level=1), 5),
    "png, palette and transparency": (encode(speckled(), "PNG", transparency=3, compress_level=1), 9),
    "png, transparent": (encode(see_through(RGB.copy()), "PNG", compress_level=1), 8),
    "png, grey and transparent": (encode(see_through(RGB.convert("L")), "PNG", compress_level=1), 12),
    "tiff": (encode(RGB, "TIFF", compression="tiff_adobe_deflate", strip_size=1 << 30), 10),
    "webp": (encode(RGB, "WEBP", method=0), 16),
    "avif": (encode(RGB, "AVIF", speed=10), 16),
}
"""Each picture, and what is said to decode it; the process itself takes some 45 MB, and the file twice its length."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")
@pytest.mark.parametrize("name", DECODED_BYTES_PER_PIXEL)
def test_memory_is_judged_right_from_the_header(name: str, tmp_path: Path):
    payload, bytes_per_pixel = DECODED_BYTES_PER_PIXEL[name]
    needed = bytes_per_pixel * RGB.width * RGB.height
    (tmp_path / "picture").write_bytes(payload)
    ((_, reason, _, _),) = judged(tmp_path, int(0.97 * needed))
    assert reason == "too_many_pixels"
    ((_, reason, _, num_bytes),) = judged(tmp_path, int(1.03 * needed))
    assert reason != "too_many_pixels"
    assert num_bytes < 48e6 + 2 * len(payload) + 1.15 * needed, f"{num_bytes / 1e6:.0f} MB"


@pytest.mark.parametrize("media_format", FORMATS)
def test_cut_off_at_every_64th_byte_every_format_gives_a_verdict(media_format: str):
    payload = encode(photo(96, 80), media_format)
    cuts = {cut: clean_image(payload[:cut], SETTINGS) for cut in range(0, len(payload) - 64, 64)}
    assert all(isinstance(result, Verdict) for result in cuts.values())
    reasons = [result.reason for result in cuts.values() if isinstance(result, Verdict)]
    assert set(reasons[1:]) == {"broken_image"}
    assert reasons[0] == "not_an_image"


CHUNKED = dict(chunked())


@pytest.mark.parametrize("name", CHUNKED)
def test_without_any_one_of_its_chunks_or_with_it_twice_a_file_gets_a_verdict(name: str):
    pieces = CHUNKED[name]
    assert len(pieces) >= 3
    assert isinstance(clean_image(b"".join(pieces), SETTINGS), CleanImage)
    for number, piece in enumerate(pieces):
        without, twice = (b"".join([*pieces[:number], *some, *pieces[number + 1 :]]) for some in ([], [piece] * 2))
        for changed in (without, twice, twice + piece, piece + without):
            result = clean_image(changed, SETTINGS)
            reason = result.reason if isinstance(result, Verdict) else ""
            assert reason in ("", "broken_image", "not_an_image"), (piece[:8], result)


POLYGLOTS = {
    "gif and JavaScript": (encode(photo(), "GIF") + b"/*\n*/=alert(1)//", "GIF"),
    "jpeg and zip": (encode(photo(), "JPEG") + b"PK\3\4" + bytes(100) + b"PK\5\6" + bytes(18), "JPEG"),
    "jpeg and PDF": (encode(photo(), "JPEG", comment=b"%PDF-1.7\n1 0 obj\nstream\n"), "JPEG"),
    "jpeg and jpeg": (encode(photo(), "JPEG") + encode(photo(), "JPEG"), "JPEG"),
    "png and HTML": (encode(photo(), "PNG") + b"<script>alert(1)</script>", "PNG"),
    "png and PHP in a text": (
        encode(photo(), "PNG")[:33] + png_chunk(b"tEXt", b"a\0<?php phpinfo(); ?>") + encode(photo(), "PNG")[33:],
        "PNG",
    ),
    "bmp and EPS": (encode(photo(), "BMP") + b"%!PS-Adobe-3.0 EPSF-3.0\n", "BMP"),
    "tiff and DNG": (encode(photo(), "TIFF", tiffinfo={50706: b"\1\4\0\0"}), "TIFF"),
}


@pytest.mark.parametrize("name", POLYGLOTS)
def test_polyglots_are_the_picture_they_begin_with_and_nothing_else(name: str):
    payload, media_format = POLYGLOTS[name]
    result = clean_image(payload, SETTINGS)
    assert isinstance(result, CleanImage), result
    assert result.media_format == media_format
    assert not any(word in result.encoded for word in (b"alert", b"PK\3\4", b"%PDF", b"<?php", b"%!PS"))
    assert Image.open(BytesIO(result.encoded)).format == "PNG"


@pytest.mark.parametrize("head", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"%PDF-1.7\n", b"\0\0\1\0", b"8BPS\0\1", b"icns"])
def test_a_picture_behind_another_format_is_no_picture(head: bytes):
    verdict = clean_image(head + encode(photo(), "PNG"), SETTINGS)
    assert isinstance(verdict, Verdict)
    assert verdict.reason == "not_an_image"


@pytest.mark.parametrize("header", ["12000a09181da7fbb4404341a1", "0a0d00000003b4ff736be4404341a132"])
def test_av1_headers_say_how_large_a_frame_may_be(header: str):
    assert max_frame_pixels(bytes.fromhex(header), 0, len(header) // 2) == 160 * 120


def test_av1_headers_that_are_cut_off_are_damage():
    with pytest.raises(DamagedError, match="cut off"):
        max_frame_pixels(b"\x0a\x01\x18", 0, 3)


def test_memory_is_what_the_settings_allow():
    settings = replace(SETTINGS, max_decoded_bytes=160 * 120 * 4)
    payload = encode(photo(), "PNG")
    assert isinstance(clean_image(payload, settings), CleanImage)
    assert clean_image(payload, replace(settings, max_decoded_bytes=160 * 120 * 4 - 1)) == Verdict(
        "rejected", "too_many_pixels", "19200 decode into 0 MB, too much memory"
    )


def test_exif_that_overlaps_is_read_in_bounded_work():
    payload = encode(photo(), "JPEG", exif=b"Exif\0\0" + overlapping_exif(60_000))
    result = clean_image(payload, replace(SETTINGS, exif=True))
    assert isinstance(result, CleanImage)
    assert len(result.exif) < 1_000
