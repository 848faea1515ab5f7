"""As the trainer sees it: the next batch of a loader, and what trained models make of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.inspect.batches import Stand, read_batch, stand_of
from pipelines.inspect.query import Query
from pipelines.inspect.runs import runs_of
from pipelines.inspect.sources import Source, Trouble
from pipelines.inspect.trained import denoised, grown, next_words, run_folder
from pipelines.inspect.views.windows import shown_token
from pipelines.strips import level
from shards.loader import Batch

if TYPE_CHECKING:
    from models.looking import NextWord

MODELS = {"triplets": "denoiser", "windows": "language"}


@dataclass(frozen=True)
class Row:
    """One sample of a batch: its key, what there is to say of it, and, of a window, its tokens that count."""

    number: int
    key: str
    told: str
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Trainer:
    """A batch.

    Attributes:
        stand: where the loader stands.
        params: the same as parameters of an address.
        stages: that can be read.
        splits: of this one.
        rows: the samples.
        num_samples: of an epoch.
        num_replaced: samples that stand in for damaged ones.
        state: the loader's position in the endless stream.
        runs: that have learned from such samples.
        run: chosen, "" for none.
        row: chosen for its next words.
        at: place in that window, −1 for the last.
        before: position of the step before, None at the beginning; `after` that of the step behind.
        troubles: what could not be read.
    """

    stand: Stand
    params: dict[str, str]
    stages: list[str]
    splits: list[str]
    rows: list[Row]
    num_samples: int
    num_replaced: int
    state: int
    runs: list[str]
    run: str
    row: int
    at: int
    before: int | None
    after: int
    troubles: list[Trouble]


@dataclass(frozen=True)
class Denoised:
    """How far a denoiser's pictures of a batch lie from the clean ones: mean squared error in x of each, told."""

    params: dict[str, str]
    run: str
    rows: list[tuple[int, str, str]]
    troubles: list[Trouble]


@dataclass(frozen=True)
class NextWords:
    """What a language model expects behind a place in a window, beside what came."""

    run: str
    before: str
    actual: str
    words: "list[NextWord]"
    troubles: list[Trouble]


@dataclass(frozen=True)
class GrownView:
    """Pictures grown, each with the nearest training picture's key and its distance."""

    run: str
    seed: int
    split: str
    rows: list[tuple[int, str, float]]
    num_compared: int
    troubles: list[Trouble]


def trainer(source: Source, query: Query) -> Trainer:
    """The next batch of a loader.

    Raises:
        QueryError: a parameter is impossible.
        DatasetError: the batch cannot be read.
    """
    stand = stand_of(source, query)
    read = read_batch(source, stand)
    runs = runs_of(source, MODELS[stand.stage])
    others = [run for model in MODELS.values() for run in runs_of(source, model)]
    step = stand.batch_size * stand.world_size
    rows = _triplets(source, stand, read.batch) if stand.stage == "triplets" else _windows(source, stand, read.batch)
    return Trainer(
        stand,
        params_of(stand),
        [stage for stage in MODELS if source.splits(stage)],
        source.splits(stand.stage),
        rows,
        read.num_samples,
        read.num_replaced,
        stand.epoch * read.num_samples + stand.position,
        runs,
        query.choice("run", ["", *runs], runs[0] if runs else "", others),
        query.whole("row", 0, 0, stand.batch_size - 1),
        query.whole("at", 10**6, 0, 10**6),
        max(0, stand.position - step) if stand.position else None,
        stand.position + step,
        [],
    )


def denoised_rows(source: Source, query: Query) -> Denoised:
    """What a denoiser makes of a batch.

    Raises:
        QueryError: there is no such run.
        RunError: it cannot be used.
    """
    stand, name = stand_of(source, query), query.text("run")
    found = denoised(source, stand, run_folder(source, "denoiser", name)).astype(float)
    batch = read_batch(source, stand).batch
    errors = np.square((found - batch["clean"]) / 128).mean(axis=(1, 2, 3)).tolist()
    spec = source.triplets(stand.split).spec
    levels = [level(spec, step) for step in batch["step"].tolist()]
    rows = [(number, levels[number], f"{error:.4f}") for number, error in enumerate(errors)]
    return Denoised(params_of(stand), name, rows, [])


def next_word_rows(source: Source, query: Query) -> NextWords:
    """What a language model expects behind a place in a window of a batch.

    Raises:
        QueryError: there is no such run or place.
        RunError: it cannot be used.
    """
    stand, name = stand_of(source, query), query.text("run")
    run, row = run_folder(source, "language", name), query.whole("row", 0, 0, stand.batch_size - 1)
    batch = read_batch(source, stand).batch
    length = int(batch["mask"][row].sum())
    at = min(query.whole("at", 10**6, 0, 10**6), max(0, length - 1))
    tokenizer = source.windows(stand.split).tokenizer
    tokens = batch["tokens"][row].tolist()
    words = next_words(source, stand, run, row, at)
    return NextWords(name, tokenizer.decode(tokens[: at + 1]), tokenizer.token(tokens[at + 1]), words, [])


def grown_rows(source: Source, query: Query) -> GrownView:
    """Pictures that a denoiser grows, beside the nearest training pictures.

    Raises:
        QueryError: there is no such run.
        RunError: it cannot be used.
    """
    name, seed = query.text("run"), query.whole("seed", 0, 0, 2**63 - 1)
    made = grown(source, run_folder(source, "denoiser", name), seed)
    splits = source.splits("triplets")
    rows = [(number, key, made.distances[number]) for number, key in enumerate(made.nearest)]
    return GrownView(name, seed, "train" if "train" in splits else splits[0], rows, made.num_compared, [])


def params_of(stand: Stand) -> dict[str, str]:
    """Where a loader stands, as parameters of an address."""
    names = ("stage", "split", "seed", "epoch", "position", "rank", "noise")
    values = {name: str(getattr(stand, name)) for name in names}
    return values | {"world": str(stand.world_size), "batch": str(stand.batch_size)}


def _triplets(source: Source, stand: Stand, batch: Batch) -> list[Row]:
    spec = source.triplets(stand.split).spec
    rows = []
    for number, (key, step, draw) in enumerate(
        zip(batch["key"].tolist(), batch["step"].tolist(), batch["draw"].tolist(), strict=True)
    ):
        told = f"{level(spec, step)}, draw {draw}, a {batch['a'][number]:.4f}, b {batch['b'][number]:.4f}"
        rows.append(Row(number, key, told, ()))
    return rows


def _windows(source: Source, stand: Stand, batch: Batch) -> list[Row]:
    token = source.windows(stand.split).tokenizer.token
    rows = []
    for number, (key, tokens) in enumerate(zip(batch["key"].tolist(), batch["tokens"].tolist(), strict=True)):
        length = int(batch["mask"][number].sum())
        shown = tuple(shown_token(token(each)) for each in tokens[: length + 1])
        rows.append(Row(number, key, f"{length} next words count", shown))
    return rows
