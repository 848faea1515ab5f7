"""What is in a dataset, counted from its indexes and, of windows, from their records; no array is read."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from shards import triplet, window
from shards.committed import Committed
from shards.promise import TripletPromise
from shards.shard import Shard, list_shards
from shards.triplet import TripletSpec, parse_triplet_key


@dataclass
class SplitStats:
    """One split of a dataset.

    Attributes:
        split: Its name.
        num_samples: Samples as a loader counts them.
        num_shards: Tars.
        num_bytes: Of the tars.
        member_bytes: Content of the members, by extension.
        items: The pictures' or documents' keys.
        steps: Of triplets: samples at each step.
        draws: Of triplets: samples of each draw.
        num_captions: Of triplets: pictures that have one.
        lengths: Of windows: how many have so many tokens.
    """

    split: str
    num_samples: int = 0
    num_shards: int = 0
    num_bytes: int = 0
    member_bytes: Counter[str] = field(default_factory=Counter)
    items: set[str] = field(default_factory=set)
    steps: Counter[int] = field(default_factory=Counter)
    draws: Counter[int] = field(default_factory=Counter)
    num_captions: int = 0
    lengths: Counter[int] = field(default_factory=Counter)


def dataset_stats(committed: Committed) -> Iterator[SplitStats]:
    """Yield the statistics of each split that has samples, in the order train, val, test.

    Raises:
        DatasetError: A shard cannot be read.
        ValueError: The folder holds no dataset.
    """
    manifest = committed.manifest
    spec = manifest.configuration.get("spec", {})
    promise = None if spec.get("kind") == window.KIND else TripletPromise(TripletSpec.from_json(spec))
    for split in sorted((split for split, count in manifest.splits.items() if count), key=_ORDER.index):
        stats = SplitStats(split)
        for files in list_shards(committed.store.where, manifest, split):
            shard = Shard(committed.store, files, promise=promise)
            stats.num_shards += 1
            stats.num_bytes += files.tar.bytes
            for column, extension in enumerate(shard.index.extensions):
                stats.member_bytes[extension] += int(shard.index.lengths[:, column].sum())
            if promise is None:
                _count_windows(shard, stats)
            else:
                _count_triplets(shard, promise.spec, stats)
        yield stats


_ORDER = ("train", "val", "test")


def _count_triplets(shard: Shard, spec: TripletSpec, stats: SplitStats) -> None:
    captions = shard.index.lengths[:, shard.column(triplet.CAPTION)] > 0
    for key, has_caption in zip(shard.index.keys.tolist(), captions.tolist(), strict=True):
        picture, step, draw = parse_triplet_key(key.decode())
        if picture not in stats.items:
            stats.items.add(picture)
            stats.num_captions += has_caption
        rungs = triplet.rungs(spec) if spec.mode == "virtual" else ((step, draw),)
        for each_step, each_draw in rungs:
            stats.steps[each_step] += 1
            stats.draws[each_draw] += 1
            stats.num_samples += 1


def _count_windows(shard: Shard, stats: SplitStats) -> None:
    for row in range(len(shard.index)):
        record = json.loads(shard.read(row, window.RECORD))
        stats.lengths[record["length"]] += 1
        stats.items.update(piece["key"] for piece in record["documents"])
        stats.num_samples += 1
