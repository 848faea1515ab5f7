"""What trained models make of a batch: pictures without their noise, words that may come next, pictures grown.

Loaded when a view asks for it; torch is imported by `models` then, and not before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.inspect.batches import Stand, read_batch, stand_of
from pipelines.inspect.pixels import Pixels, noise_to_pixels, pixels_to_values, side_by_side, to_png, values_to_pixels
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.runs import runs_of
from pipelines.inspect.sources import READING, Source
from shards.dataset import TripletDataset
from shards.triplet import CLEAN, PICTURE_KEY_LETTERS

if TYPE_CHECKING:
    from models.looking import NextWord

NUM_GROWN = 4
NUM_LIKELIEST = 8
MOST_COMPARED = 4_096
"""Training pictures among which the nearest is looked for."""


@dataclass(frozen=True)
class Grown:
    """Pictures grown by a denoiser.

    Attributes:
        pictures: uint8 (N, S, S, C).
        nearest: key of the training picture nearest to each.
        errors: mean squared distance to it, in x.
        num_compared: training pictures that were looked at.
    """

    pictures: Pixels
    nearest: list[str]
    errors: list[float]
    num_compared: int


def run_folder(source: Source, model: str, name: str) -> Path:
    """The folder of a run of a model, by a name that is one of those there are.

    Raises:
        QueryError: there is none.
    """
    known = runs_of(source, model)
    if name not in known:
        raise QueryError(f"run is {name[:40]!r}: it is one of {', '.join(known) or 'none'}")
    return source.out / "runs" / name


def batch_picture(source: Source, query: Query) -> bytes:
    """Noisy, clean and noise of one sample of a batch, side by side."""
    stand = stand_of(source, query)
    batch, row = read_batch(source, stand).batch, query.whole("row", 0, 0, stand.batch_size - 1)
    _check_triplets(stand)
    panels: list[Pixels] = [
        values_to_pixels(batch["noisy"][row]),
        batch["clean"][row],
        noise_to_pixels(batch["noise"][row]),
    ]
    return to_png(side_by_side(panels))


def denoised(source: Source, stand: Stand, run: Path) -> Pixels:
    """What a run's denoiser takes for the clean pictures of a batch, (B, S, S, C).

    Raises:
        RunError: there is no denoiser that can do it.
    """
    from models.looking import denoise, load_denoiser_here  # noqa: PLC0415 - torch takes seconds

    _check_triplets(stand)
    model = source.kept.of(_model_key(run), lambda: load_denoiser_here(run))
    batch = read_batch(source, stand).batch
    return source.kept.of((_model_key(run), stand), lambda: denoise(model, batch["noisy"], batch["step"]))


def denoised_picture(source: Source, query: Query) -> bytes:
    """What a denoiser makes of one sample of a batch."""
    stand = stand_of(source, query)
    run = run_folder(source, "denoiser", query.text("run"))
    return to_png(denoised(source, stand, run)[query.whole("row", 0, 0, stand.batch_size - 1)])


def next_words(source: Source, stand: Stand, run: Path, row: int, at: int) -> "list[NextWord]":
    """The likeliest words behind a place in a window of a batch, the one that came among them or last.

    Raises:
        RunError: there is no language model that can do it.
        QueryError: the window is not that long.
    """
    from models.looking import load_writer_here, next_words  # noqa: PLC0415 - torch takes seconds

    tokens = read_batch(source, stand).batch["tokens"][row].tolist()
    if not 0 <= at < len(tokens) - 1:
        raise QueryError(f"at is {at}: it must lie between 0 and {len(tokens) - 2}")
    writer = source.kept.of(_model_key(run), lambda: load_writer_here(run))
    return next_words(writer, tokens[: at + 1], tokens[at + 1], NUM_LIKELIEST)


def grown(source: Source, run: Path, seed: int) -> Grown:
    """Pictures that a run's denoiser grows, each with the training picture nearest to it.

    Raises:
        RunError: there is no denoiser.
    """

    def make() -> Grown:
        from models.looking import generate  # noqa: PLC0415 - torch takes seconds

        pictures = generate(run, NUM_GROWN, seed)
        splits = source.splits("triplets")
        dataset = source.triplets("train" if "train" in splits else splits[0])
        keys, known = source.kept.of(("compared", dataset.where), lambda: _training_pictures(dataset))
        places, errors = _nearest(pictures, known)
        return Grown(pictures, [keys[place] for place in places], errors, len(keys))

    return source.kept.of((_model_key(run), "grown", seed), make)


def grown_picture(source: Source, query: Query) -> bytes:
    """One of the pictures that a denoiser grows."""
    run = run_folder(source, "denoiser", query.text("run"))
    made = grown(source, run, query.whole("seed", 0, 0, 2**63 - 1))
    return to_png(made.pictures[query.whole("row", 0, 0, NUM_GROWN - 1)])


def _check_triplets(stand: Stand) -> None:
    if stand.stage != "triplets":
        raise QueryError(f"stage is {stand.stage}: pictures are made of triplets")


def _model_key(run: Path) -> tuple[Path, int]:
    """A run and when its last checkpoint was named."""
    latest = run / "checkpoints" / "latest"
    return run, latest.stat().st_mtime_ns if latest.exists() else 0


def _training_pictures(dataset: TripletDataset) -> tuple[list[str], Pixels]:
    """Keys and pixels (N, S, S, C) of training pictures, each once, in the order of the shards."""
    found: dict[str, Pixels] = {}
    for key, pixels in _pictures(dataset):
        found.setdefault(key, pixels)
        if len(found) == MOST_COMPARED:
            break
    return list(found), np.stack(list(found.values()))


def _pictures(dataset: TripletDataset) -> Iterator[tuple[str, Pixels]]:
    """Key and pixels of each record that can be read; of a stored ladder, of its first rung."""
    for number in range(len(dataset.sizes)):
        try:
            shard = dataset.shards[number]
        except READING:
            continue
        for row, key in enumerate(shard.index.keys.astype(np.str_).tolist()):
            if dataset.is_virtual or key.endswith("-k1-d0"):
                try:
                    yield key[:PICTURE_KEY_LETTERS], shard.array(row, CLEAN, "|u1", dataset.spec.shape)
                except READING:
                    continue


def _nearest(pictures: Pixels, known: Pixels) -> tuple[list[int], list[float]]:
    """The nearest of the known pictures to each, and its mean squared distance in x."""
    places, errors = [], []
    for picture in pictures:
        distances = np.concatenate([_distances(picture, known[at : at + 256]) for at in range(0, len(known), 256)])
        places.append(int(distances.argmin()))
        errors.append(float(distances.min()))
    return places, errors


def _distances(picture: Pixels, known: Pixels) -> NDArray[Any]:
    difference = pixels_to_values(known) - pixels_to_values(picture)
    distances: NDArray[Any] = np.square(difference).mean(axis=(1, 2, 3))
    return distances
