"""What trained models make of a batch: pictures without their noise, words that may come next, pictures grown.

Loaded when a view asks for it; torch is imported by `models` then, and not before.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.inspect.batches import Stand, read_batch, stand_of
from pipelines.inspect.pixels import Pixels, noise_to_pixels, side_by_side, to_png, values_to_pixels
from pipelines.inspect.places import key_of
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.runs import runs_of
from pipelines.inspect.sources import Source

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
        nearest: key of a sample of the training picture nearest to each.
        distances: to it: the root mean squared difference, in levels of 0 to 255; it may be nearer mirrored.
        num_compared: training pictures that were looked at.
    """

    pictures: Pixels
    nearest: list[str]
    distances: list[float]
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
        from models.looking import generate, nearest_pictures  # noqa: PLC0415 - torch takes seconds

        pictures = generate(run, NUM_GROWN, seed)
        splits = source.splits("triplets")
        dataset = source.triplets("train" if "train" in splits else splits[0])
        near = nearest_pictures(pictures, dataset, MOST_COMPARED)
        keys = [key_of(dataset, number) for number in near.numbers.tolist()]
        return Grown(pictures, keys, near.distances.tolist(), near.num_compared)

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
