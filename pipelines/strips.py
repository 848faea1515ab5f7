"""A triplet as it is looked at: noisy, clean and noise side by side, in words and in a picture."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipelines.harmless import harmless
from pipelines.inspect.pixels import noise_to_pixels, values_to_pixels
from shards.corruption import num_corrupted
from shards.triplet import TripletSpec

SHOWN_SIDE = 128
"""Small pictures are enlarged by the whole number that brings them to about this many pixels."""

GAP, LABEL_HEIGHT = 6, 20

_KEY = re.compile(r"[0-9a-f]{32}(-k\d+-d\d+)?")


@dataclass(frozen=True)
class Strip:
    """Pictures of one sample, side by side.

    Attributes:
        key: of the sample.
        caption: of the picture, may be empty.
        panels: uint8 pictures (S, S, C), each with its label.
    """

    key: str
    caption: str
    panels: tuple[tuple[str, NDArray[np.uint8]], ...]


def draw_strip(strip: Strip) -> Image.Image:
    """The strip as one picture, each panel enlarged without smoothing and labelled."""
    side = strip.panels[0][1].shape[0]
    shown = side * max(1, round(SHOWN_SIDE / side))
    width = GAP + len(strip.panels) * (shown + GAP)
    sheet = Image.new("RGB", (width, shown + 2 * LABEL_HEIGHT + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for number, (label, pixels) in enumerate(strip.panels):
        left = GAP + number * (shown + GAP)
        sheet.paste(_picture(pixels).resize((shown, shown), Image.Resampling.NEAREST), (left, LABEL_HEIGHT))
        draw.text((left, 2), label, "black", font)
    draw.text((GAP, LABEL_HEIGHT + shown + 2), harmless(strip.caption or strip.key), "#555555", font)
    return sheet


def save_strip(strip: Strip, folder: Path) -> Path:
    """Writes a strip to `folder` as PNG; returns its path, in which no key stands but one of hex digits."""
    folder.mkdir(parents=True, exist_ok=True)
    name = strip.key if _KEY.fullmatch(strip.key) else hashlib.sha256(strip.key.encode()).hexdigest()[:32]
    path = folder / f"triplet-{name}.png"
    draw_strip(strip).save(path, format="PNG")
    return path


def level(spec: TripletSpec, step: int) -> str:
    """How far a step takes a picture from the clean one, in words.

    >>> level(TripletSpec(8), 3), level(TripletSpec(8, corruption="sparse"), 3)
    ('60 % static', '59 % of pixels')
    >>> level(TripletSpec(8, steps=8), 5), level(TripletSpec(8, steps=300), 1)
    ('62.5 % static', '0.3 % static')
    """
    if spec.corruption != "gaussian":
        hit = int(num_corrupted(np.array(step), spec.steps, spec.size**2))
        return f"{_percent(hit / spec.size**2)} {'white' if spec.corruption == 'whiteout' else 'of pixels'}"
    variance = float(spec.factors[1][step - 1]) ** 2
    return f"{round(100 * variance, 1):.3g} % static" if spec.schedule == "interpolate" else f"variance {variance:.3g}"


def triptych(sample: Mapping[str, Any], spec: TripletSpec) -> Strip:
    """One sample as noisy, clean and noise side by side."""
    noisy = (f"step {sample['step']}: {level(spec, sample['step'])}", values_to_pixels(sample["noisy"]))
    panels = (noisy, ("clean", sample["clean"]), (_noise_label(spec, sample["step"]), noise_to_pixels(sample["noise"])))
    return Strip(sample["key"], sample["caption"], panels)


def _noise_label(spec: TripletSpec, step: int) -> str:
    return "the static" if spec.corruption == "gaussian" else f"noise of step {step}"


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).convert("RGB")
