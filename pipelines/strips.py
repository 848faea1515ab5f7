"""A few training examples as they are looked at: triplets as strips of pictures, windows as text."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipelines.folders import current_manifest
from pipelines.inspect.pixels import noise_to_pixels, values_to_pixels
from shards.corruption import num_corrupted
from shards.dataset import TripletDataset, WindowDataset, open_dataset
from shards.describe import SPLITS
from shards.triplet import TripletSpec

SHOWN_SIDE = 128
"""Small pictures are enlarged by the whole number that brings them to about this many pixels."""

GAP, LABEL_HEIGHT = 6, 20

_KEY = re.compile(r"[0-9a-f]{32}(-k\d+-d\d+)?")


@dataclass(frozen=True)
class Strip:
    """One picture on its way into the static.

    Attributes:
        key: of the picture.
        caption: of the picture, may be empty.
        panels: uint8 pictures (S, S, C), each with its label.
    """

    key: str
    caption: str
    panels: tuple[tuple[str, NDArray[np.uint8]], ...]


@dataclass(frozen=True)
class ShownWindow:
    """One window as text.

    Attributes:
        before: its context.
        next: the word that comes next.
        url: the page that word stands on.
    """

    before: str
    next: str
    url: str


def strips(out: Path, split: str, count: int) -> Iterator[Strip]:
    """The first `count` pictures of the triplets in `out`: noisy at each step, clean, and the noise itself."""
    dataset = open_dataset(out / "triplets", split)
    assert isinstance(dataset, TripletDataset)
    batches = dataset.loader(1024, shuffle=False, finite=True, fields=("key",))
    keys = [str(key) for batch in batches for key in batch["key"][batch["valid"]]]
    places = {key: number for number, key in enumerate(keys)}
    for picture in list(dict.fromkeys(key.partition("-")[0] for key in keys))[:count]:
        ladder = [dataset[places[f"{picture}-k{step}-d0"]] for step in range(1, dataset.spec.steps + 1)]
        yield _strip(picture, ladder, dataset.spec)


def windows(out: Path, split: str, count: int) -> Iterator[ShownWindow]:
    """The first `count` windows of `out` whose last position is text."""
    dataset = open_dataset(out / "windows", split)
    assert isinstance(dataset, WindowDataset)
    for number in range(min(count, len(dataset))):
        sample = dataset[number]
        length = sample["length"]
        tokens = sample["tokens"][:length].tolist()
        before = dataset.tokenizer.decode(tokens[:-1])
        yield ShownWindow(before, dataset.tokenizer.token(tokens[-1]), sample["meta"]["documents"][-1]["url"])


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
    draw.text((GAP, LABEL_HEIGHT + shown + 2), strip.caption or strip.key, "#555555", font)
    return sheet


def save_strips(out: Path, folder: Path, split: str, count: int) -> list[Path]:
    """Writes `count` strips of the triplets in `out` to `folder` as PNG; returns their paths."""
    return [save_strip(strip, folder) for strip in strips(out, split, count)]


def save_strip(strip: Strip, folder: Path) -> Path:
    """Writes a strip to `folder` as PNG; returns its path, in which nothing stands that the key has not from us."""
    folder.mkdir(parents=True, exist_ok=True)
    name = strip.key if _KEY.fullmatch(strip.key) else hashlib.sha256(strip.key.encode()).hexdigest()[:32]
    path = folder / f"triplet-{name}.png"
    draw_strip(strip).save(path, format="PNG")
    return path


def shown_split(out: Path, stage: str, wanted: str | None = None) -> str | None:
    """The split to show of a dataset: the one wanted, else train, or val, or test; None where it has no sample."""
    manifest = current_manifest(out, stage)
    splits = SPLITS if wanted is None else (wanted,)
    return next((split for split in splits if manifest and manifest.splits.get(split)), None)


def level(spec: TripletSpec, step: int) -> str:
    """How far a step takes a picture from the clean one, in words.

    >>> level(TripletSpec(8), 3), level(TripletSpec(8, corruption="sparse"), 3)
    ('60 % static', '59 % of pixels')
    """
    if spec.corruption != "gaussian":
        hit = int(num_corrupted(np.array(step), spec.steps, spec.size**2))
        return f"{_percent(hit / spec.size**2)} {'white' if spec.corruption == 'whiteout' else 'of pixels'}"
    variance = float(spec.factors[1][step - 1]) ** 2
    return f"{_percent(variance)} static" if spec.schedule == "interpolate" else f"variance {variance:.3g}"


def triptych(sample: Mapping[str, Any], spec: TripletSpec) -> Strip:
    """One sample as noisy, clean and noise side by side."""
    noisy = (f"step {sample['step']}: {level(spec, sample['step'])}", values_to_pixels(sample["noisy"]))
    panels = (noisy, ("clean", sample["clean"]), (_noise_label(spec, sample["step"]), noise_to_pixels(sample["noise"])))
    return Strip(sample["key"], sample["caption"], panels)


def _strip(key: str, ladder: Sequence[dict[str, Any]], spec: TripletSpec) -> Strip:
    noisy = [
        (f"step {sample['step']}: {level(spec, sample['step'])}", values_to_pixels(sample["noisy"]))
        for sample in ladder
    ]
    clean = ("clean", ladder[0]["clean"])
    # One static serves all steps, but what sparse and whiteout add grows with them: the last has all of it.
    noise = (_noise_label(spec, spec.steps), noise_to_pixels(ladder[-1]["noise"]))
    return Strip(key, ladder[0]["caption"], (*noisy, clean, noise))


def _noise_label(spec: TripletSpec, step: int) -> str:
    return "the static" if spec.corruption == "gaussian" else f"noise of step {step}"


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).convert("RGB")
