"""Memory of a reader over twenty epochs, of the dataset stages by size: `python -m tests.bench.memory SIDE DATA`."""

import functools
import hashlib
import itertools
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from shards import open_dataset
from shards.tar import TRAILER
from shards.triplet import TripletSpec
from tests.bench.timing import run_side_once
from tests.bench.watching import looking
from tests.tiny_datasets import FINGERPRINT

NUM_EPOCHS, BATCH = 20, 256
SIDE, STAGE_PICTURES, PICTURES_PER_TABLE = 64, (6_000, 60_000), 2_000
"""Pictures of the two builds that are compared: 2 and 20 GB of shards."""

TABLE_DOCUMENTS, DOCUMENT_WORDS, STAGE_TABLES, CONTEXT = 4_000, 500, (4, 10), 16
"""Of the two builds of windows that are compared: 1 and 2.5 GB of shards, 2 kB a window, the buckets full in both."""

WORKERS, POLL_S = 2, 0.05


def flat(data: Path) -> Iterator[int]:
    """The most bytes in use in each epoch over the materialised triplets, mapped files not counted."""
    dataset = open_dataset(data / "triplets")
    batches = iter(dataset.loader(BATCH))
    for _ in range(NUM_EPOCHS):
        yield max(_anonymous_bytes() for _ in itertools.islice(batches, len(dataset) // BATCH))


def triplets(data: Path) -> Iterator[int]:
    """For each size: bytes of tar written, the most memory of a worker process, and of the process that leads them.

    The stage's own graph, from tables of as many pictures as it takes; the shards are written without their content, as
    holes of the right size: of what a worker holds only the index of the shard at hand is left out, about 4 MB.
    """
    from pipelines.engine import run_pipeline  # noqa: PLC0415 - Beam takes its time

    for count in STAGE_PICTURES:
        out = Path(tempfile.mkdtemp(dir=data))
        tables = list(_write_tables(out, count))
        memory = _Memory()
        with looking(memory.look, POLL_S):
            run_pipeline(functools.partial(_write_holes, out=out, tables=tables), WORKERS)
        yield from _found(out, memory)


def windows(data: Path) -> Iterator[int]:
    """As `triplets`, of the whole windows stage: documents of random words in, whole shards out."""
    from pipelines.windows import run  # noqa: PLC0415

    for count in STAGE_TABLES:
        out = Path(tempfile.mkdtemp(dir=data))
        job = _windows_job(out, count)
        job.folder.mkdir(parents=True)
        memory = _Memory()
        with looking(memory.look, POLL_S):
            run(job)
        yield from _found(out, memory)


def _found(out: Path, memory: "_Memory") -> Iterator[int]:
    yield sum(path.stat().st_size for path in out.rglob("*.tar"))
    yield max(memory.workers.values())
    yield memory.own
    shutil.rmtree(out)


def _windows_job(out: Path, count: int) -> Any:
    """The windows of `count` tables of documents, as the text stage leaves them."""
    from pipelines.build import make_job  # noqa: PLC0415
    from pipelines.load_recipe import load_recipe  # noqa: PLC0415
    from pipelines.tombstones import Tombstones  # noqa: PLC0415
    from shards.manifest import Counts, Manifest, write_manifest  # noqa: PLC0415

    folder = out / "text" / FINGERPRINT
    folder.mkdir(parents=True)
    text = Manifest(
        stage="text",
        fingerprint=FINGERPRINT,
        configuration={},
        inputs=(),
        counts=Counts(count * TABLE_DOCUMENTS, kept=count * TABLE_DOCUMENTS),
        splits={},
        files=tuple(_write_documents(folder, number) for number in range(count)),
    )
    write_manifest(folder, text)
    return make_job(
        "windows", load_recipe("demo", [f"windows.context={CONTEXT}"]), out, {"text": text}, Tombstones(), WORKERS
    )


def _write_documents(folder: Path, number: int) -> Any:
    """A table as the text stage writes it, of words drawn from 20,000 by Zipf's law."""
    from pipelines.tables import write_table  # noqa: PLC0415
    from pipelines.text import DOCUMENT_SCHEMA  # noqa: PLC0415

    generator = np.random.default_rng(number)
    facts = {field.name: "" if field.type == "string" else 0 for field in DOCUMENT_SCHEMA}
    rows = []
    for document in range(TABLE_DOCUMENTS):
        words = generator.zipf(1.3, DOCUMENT_WORDS) % 20_000
        text = " ".join(f"w{word}" for word in words.tolist())
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        url = f"https://arboretum.example/{number}/{document}"
        rows.append(facts | {"key": key, "url": url, "text": text, "split": "val" if document % 10 == 0 else "train"})
    return write_table(folder, f"documents-{number:06d}.parquet", rows, DOCUMENT_SCHEMA)


def _write_tables(out: Path, count: int) -> Iterator[str]:
    """Tables as the images stage writes them, of pictures that there are not."""
    from pipelines.images import IMAGE_SCHEMA, RECORD_FIELDS  # noqa: PLC0415
    from pipelines.tables import write_table  # noqa: PLC0415

    record = {name: kind() for name, kind in RECORD_FIELDS.items()} | {"split": "train", "caption": "a tree"}
    for number, first in enumerate(range(0, count, PICTURES_PER_TABLE)):
        rows = [
            record
            | {"key": f"{hashlib.sha256(str(seed).encode()).hexdigest()[:32]}"}
            | {"part": f"part-{number:06d}.tar", "offset": 13_824 * (seed - first), "length": 13_824}
            for seed in range(first, min(first + PICTURES_PER_TABLE, count))
        ]
        yield write_table(out, f"images-{number:06d}.parquet", rows, IMAGE_SCHEMA).path


def _write_holes(pipeline: Any, out: Path, tables: list[str]) -> None:
    """The graph of the triplets stage, but for its last step."""
    import apache_beam as beam  # noqa: PLC0415

    from pipelines.recipe import TripletsConfig  # noqa: PLC0415
    from pipelines.sink import WriteShards  # noqa: PLC0415
    from pipelines.triplets import plan_samples  # noqa: PLC0415

    config = TripletsConfig()
    (
        pipeline
        | beam.Create(tables)
        | beam.FlatMap(plan_samples, out, TripletSpec(SIDE))
        | WriteShards(out, config.buckets, config.max_shard_bytes, functools.partial(_write_hole, out))
    )


def _write_hole(out: Path, name: str, samples: Iterable[Any]) -> Any:
    from pipelines.receipts import Receipt  # noqa: PLC0415

    with (out / f"{name}.tar").open("wb") as file:
        file.truncate(sum(sample.num_bytes for sample in samples) + len(TRAILER))
    return Receipt()


@dataclass
class _Memory:
    """The most memory seen of this process and of each of those below it, in bytes."""

    own: int = 0
    workers: dict[int, int] = field(default_factory=dict)

    def look(self, this: psutil.Process) -> None:
        self.own = max(self.own, this.memory_info().rss)
        for child in this.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                self.workers[child.pid] = max(self.workers.get(child.pid, 0), child.memory_info().rss)


def _anonymous_bytes() -> int:
    """Memory of this process that is no file's, as Linux tells it."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    run_side_once({side.__name__: side for side in (flat, triplets, windows)})
