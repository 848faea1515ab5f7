"""The next batch of a loader that stands where it is told: what a trainer would be given."""

from dataclasses import dataclass
from typing import Any, Literal

from pipelines.inspect.query import Query
from pipelines.inspect.sources import Source
from shards.base_dataset import Dataset

MAX_BATCH = 64
MAX_RANKS = 65_536


@dataclass(frozen=True)
class Stand:
    """Where a loader stands.

    Attributes:
        stage: `triplets` or `windows`.
        split: read.
        seed: of the order.
        epoch: counted from 0.
        position: of the batch's step within the epoch, in samples of all ranks.
        rank: whose batch it is.
        world_size: ranks that share the stream.
        batch_size: samples a rank and step.
        noise: `fresh` static each epoch, or what is stored.
    """

    stage: str
    split: str
    seed: int
    epoch: int
    position: int
    rank: int
    world_size: int
    batch_size: int
    noise: Literal["stored", "fresh"]


@dataclass(frozen=True)
class Read:
    """A batch, where it was read, and how many of its samples stand in for damaged ones."""

    batch: dict[str, Any]
    num_samples: int
    num_replaced: int


def stand_of(source: Source, query: Query) -> Stand:
    """Where the loader is to stand.

    Raises:
        QueryError: a parameter is impossible.
    """
    built = [stage for stage in ("triplets", "windows") if source.splits(stage)]
    stage = query.choice("stage", built)
    splits = [split for each in built for split in source.splits(each)]
    world_size = query.whole("world", 1, 1, MAX_RANKS)
    is_fresh = query.choice("noise", ("fresh", "stored")) == "fresh" and stage == "triplets"
    return Stand(
        stage,
        query.choice("split", source.splits(stage), elsewhere=splits),
        query.whole("seed", 0, 0, 2**64 - 1),
        query.whole("epoch", 0, 0, 2**20),
        query.whole("position", 0, 0, 2**40),
        query.whole("rank", 0, 0, world_size - 1),
        world_size,
        query.whole("batch", 8, 1, MAX_BATCH),
        "fresh" if is_fresh else "stored",
    )


def read_batch(source: Source, stand: Stand) -> Read:
    """The batch that a loader delivers next.

    Raises:
        DatasetError: it cannot be read.
    """
    dataset = _opened(source, stand)
    return source.kept.of(("batch", dataset.where, stand), lambda: _read(dataset, stand))


def _opened(source: Source, stand: Stand) -> Dataset:
    return source.triplets(stand.split) if stand.stage == "triplets" else source.windows(stand.split)


def _read(dataset: Dataset, stand: Stand) -> Read:
    loader = dataset.loader(
        stand.batch_size,
        seed=stand.seed,
        rank=stand.rank,
        world_size=stand.world_size,
        noise=stand.noise,
        on_error="quarantine",
    )
    position = stand.epoch * len(dataset) + stand.position
    loader.load_state_dict({**loader.state_dict(), "epoch": position // len(dataset), "position": position})
    batch = next(loader.batches())
    return Read(batch, len(dataset), loader.num_quarantined)
