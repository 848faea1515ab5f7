"""Pictures by name, each encoded anew as PNG: of samples, of what was fetched, and of what models make."""

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image, ImageDraw

from pipelines.inspect import trained
from pipelines.inspect.ladders import PERCENT, pixels_at
from pipelines.inspect.pixels import Pixels, image_png, noise_to_pixels, side_by_side, to_png, values_to_pixels
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.records import crawl_of, draw_fetched, place_of
from pipelines.inspect.selection import sample_number
from pipelines.inspect.sources import Source, StageState
from pipelines.open_files import OpenFiles
from shards.triplet import parse_triplet_key

MAX_SIDE = 4_096
"""Pixels of a side of a run's picture that is shown."""


def triplet_strip(source: Source, query: Query) -> bytes:
    """Noisy, clean and noise of a triplet, side by side."""
    sample = _sample(source, query)
    panels: list[Pixels] = [values_to_pixels(sample["noisy"]), sample["clean"], noise_to_pixels(sample["noise"])]
    return to_png(side_by_side(panels))


def triplet_panel(source: Source, query: Query) -> bytes:
    """One of noisy, clean and noise of a triplet."""
    sample = _sample(source, query)
    panel = query.choice("panel", ("noisy", "clean", "noise"))
    if panel == "clean":
        return to_png(sample["clean"])
    return to_png((values_to_pixels if panel == "noisy" else noise_to_pixels)(sample[panel]))


def ladder(source: Source, query: Query) -> bytes:
    """The picture of a triplet at a level from 0 to 100 %, with its own static."""
    dataset = source.triplets(query.choice("split", source.splits("triplets")))
    sample = dataset[sample_number(dataset, query.text("key"))]
    picture, _, draw = parse_triplet_key(sample["key"])
    return to_png(pixels_at(dataset.spec, picture, sample["clean"], draw, query.whole("percent", 0, 0, PERCENT)))


def clean(source: Source, query: Query) -> bytes:
    """A clean picture of the images stage, by its key."""
    from pipelines.pictures import read_picture  # noqa: PLC0415 - of a build alone, not of a dataset

    version = query.text("version")
    state = _version(source, version) if version else _state(source, "images")
    rows, _ = source.rows(state, "images-", "key", {query.text("key")}, ("key", "part", "offset", "length"))
    if not rows:
        raise QueryError(f"no picture has the key {query.text('key')[:40]!r}")
    row = rows[0]
    with OpenFiles() as files:
        return to_png(read_picture(files, state.folder / row["part"], row["offset"], row["length"]).pixels)


def fetched(source: Source, query: Query) -> bytes:
    """A picture as it was fetched from a URL, made smaller."""
    state = source.stage("images")
    place = place_of(source, crawl_of(source, state), query.text("url"))
    image = draw_fetched(place) if place else None
    return image_png(image) if image is not None else cannot_be_drawn()


def run_picture(source: Source, query: Query) -> bytes:
    """A picture that a training run left."""
    folder = next((path for path in source.runs() if path.name == query.text("run")), None)
    name = query.text("name")
    path = (
        next((path for path in folder.iterdir() if path.name == name and path.suffix == ".png"), None)
        if folder
        else None
    )
    if path is None:
        raise QueryError(f"run {query.text('run')[:40]!r} has no picture {name[:40]!r}")
    with Image.open(path, formats=("PNG",)) as image:
        if max(image.size) > MAX_SIDE:
            raise QueryError(f"{name}: {image.width} × {image.height} pixels are more than a page shows")
        return image_png(image.convert("RGB"))


def _sample(source: Source, query: Query) -> dict[str, Any]:
    dataset = source.triplets(query.choice("split", source.splits("triplets")))
    return dataset[sample_number(dataset, query.text("key"))]


def _state(source: Source, stage: str) -> StageState:
    state = source.stage(stage)
    if state is None:
        raise QueryError(f"{stage} was not built here")
    return state


def _version(source: Source, fingerprint: str) -> StageState:
    """A version of the pictures, of this build or the one beside it, by its fingerprint or that of its scores."""
    for each in filter(None, (source, source.beside)):
        if (state := each.version("images", fingerprint)) is not None:
            return state
        scored = each.version("score", fingerprint)
        inputs = scored.manifest.inputs if scored and scored.manifest else ()
        for entry in inputs:
            if entry.stage == "images" and (state := each.version("images", entry.fingerprint)) is not None:
                return state
    raise QueryError(f"no pictures have the version {fingerprint[:12]!r}")


def cannot_be_drawn() -> bytes:
    """Stands where a picture cannot be drawn: a crossed field."""
    image = Image.new("RGB", (64, 64), (208, 208, 208))
    draw = ImageDraw.Draw(image)
    for line in ((0, 0, 63, 63), (0, 63, 63, 0)):
        draw.line(line, (160, 160, 160))
    return image_png(image)


DRAWINGS: Mapping[str, Callable[[Source, Query], bytes]] = {
    "strip": triplet_strip,
    "panel": triplet_panel,
    "ladder": ladder,
    "clean": clean,
    "fetched": fetched,
    "run": run_picture,
    "batch": trained.batch_picture,
    "denoised": trained.denoised_picture,
    "grown": trained.grown_picture,
}
