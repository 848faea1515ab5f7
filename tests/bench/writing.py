"""Our side of writing, of finding a place, and of memory: `python -m tests.bench.writing SIDE DATA`."""

import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.sorting import SampleRef
from pipelines.triplets import write_triplets
from shards.order import Order
from shards.tar import TRAILER
from shards.triplet import TripletSpec, rungs, triplet_key
from shards.writer import order_hash
from tests.bench.timing import run_side

NUM_SHARDS, SHARD_SAMPLES, POSITION = 20_000, 60_000, 10**9


def write(data: Path) -> Iterator[int]:
    """Bytes of tar as a worker writes them: pictures read, noise, mix, tar, index, hashes, all flushed to disk."""
    spec = TripletSpec(64)
    samples = sorted(_references(data / "pictures-2.tar", spec), key=lambda sample: order_hash(sample.key))
    with tempfile.TemporaryDirectory(dir=data) as folder:
        while True:
            receipt = write_triplets(Path(folder), data, spec, "train-000000", samples)
            yield receipt.files[0].bytes


def _references(part: Path, spec: TripletSpec) -> Iterator[SampleRef]:
    """The triplets of every picture in a part, as the triplets stage plans them."""
    with tarfile.open(part) as tar:
        members = [member for member in tar if member.name.endswith(".png")]
    ends = [member.offset for member in members[1:]] + [part.stat().st_size - len(TRAILER)]
    for member, end in zip(members, ends, strict=True):
        key = member.name.removesuffix(".png")
        for step, draw in rungs(spec):
            source = (part.name, member.offset, end - member.offset, step, draw, 0.0)
            yield SampleRef("train", triplet_key(key, step, draw), 0, source)


def resume(data: Path) -> Iterator[int]:
    """Finding the batch at position 10⁹ of a dataset of 1.2 × 10⁹ samples, from nothing."""
    sizes = np.full(NUM_SHARDS, SHARD_SAMPLES).tolist()
    for seed in range(10**6):
        places = Order(sizes, seed, shuffle=True).locate(np.arange(POSITION, POSITION + 256))
        assert len(places.rows) == 256
        yield 1


if __name__ == "__main__":
    run_side({side.__name__: side for side in (write, resume)})
