"""Finds near duplicates among 100,000 documents of 500 words: `python -m tests.bench.text_duplicates reject DATA`.

Signed from their words, joined and verified by the stage's own steps, in Beam, on two worker processes. Yields
milliseconds, the most memory of all its processes together, how many of the planted copies went, and how many others.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from crawl.minhash import hash_shingles
from pipelines.duplicates import REJECTS
from pipelines.engine import run_pipeline
from pipelines.receipts import Receipt, finish_part
from pipelines.staging import stage_payload, staged_name
from pipelines.text_duplicates import Alike, RejectNearDuplicates
from shards.manifest import atomic_open
from tests.bench.near_duplicates import POLL_S, Memory
from tests.bench.timing import run_side_once
from tests.bench.watching import looking

COUNT, PART, NUM_WORDS, VOCABULARY, WORKERS = 100_000, 500, 500, 50_000, 2
REPLACED = 40
"""Words at the end of a copy that are others: it shares 456 of its 496 5-grams, a similarity of 0.85."""

PLANTED = COUNT // 10


def reject(data: Path) -> Iterator[int]:
    """Milliseconds, bytes, planted copies turned away, others turned away."""
    folder = Path(tempfile.mkdtemp(dir=data))
    for number in range(COUNT // PART):
        _write_texts(folder, number)
    memory = Memory()
    with looking(memory.look, POLL_S):
        begun = time.perf_counter()
        run_pipeline(partial(build, folder=folder), WORKERS)
        yield round(1e3 * (time.perf_counter() - begun))
    yield memory.most
    names = [int(line) for path in folder.glob("rejects*") for line in path.read_text().split()]
    yield sum(row % 10 in (0, 1) for row in names)
    yield sum(row % 10 not in (0, 1) for row in names)
    shutil.rmtree(folder)


def build(pipeline: beam.Pipeline, folder: Path) -> None:
    """Adds the graph from texts to rejects."""
    distinct = (
        pipeline
        | beam.Create(range(COUNT // PART))
        | beam.Reshuffle()
        | beam.FlatMap(set_aside, folder)
        | RejectNearDuplicates(Alike(folder, 0.7, keep=False, buckets=4))
    )
    rejects = distinct[REJECTS] | beam.Map(lambda reject: (0, reject.key)) | beam.GroupByKey()
    rejects | "Write" >> beam.Map(write_rejects, folder)


def write_rejects(rejects: tuple[int, Iterable[str]], folder: Path) -> None:
    """Writes which documents were turned away."""
    (folder / "rejects").write_text("\n".join(rejects[1]))


def set_aside(number: int, folder: Path) -> Iterator[tuple[str, int]]:
    """Sets the documents of a part aside with their shingles, as the stage does."""
    name = f"clean-{number:04d}"
    receipt = finish_part(folder, name, lambda: _set_aside(number, name, folder))
    for _, _, (offset, *_) in receipt.notes["cleaned"]:
        yield name, offset


def _set_aside(number: int, name: str, folder: Path) -> Receipt:
    cleaned = []
    with atomic_open(folder / staged_name(name)) as staging:
        for row, text in enumerate((folder / f"texts-{number}").read_text().split("\n"), number * PART):
            pieces = (json.dumps({"text": text}).encode(), hash_shingles(text).astype("<u8").tobytes())
            cleaned.append((f"{row:032x}", str(row), stage_payload(staging, pieces)))
    return Receipt(notes={"cleaned": cleaned})


def _write_texts(folder: Path, number: int) -> None:
    """Documents of words that are as frequent as words are; of ten the second is a copy of the first."""
    drawn = np.random.default_rng(number)
    words = _draw(drawn, (PART, NUM_WORDS))
    words[1::10] = words[::10]
    words[1::10, -REPLACED:] = _draw(drawn, (PART // 10, REPLACED))
    lines = (" ".join(f"word{word}" for word in row) for row in words.tolist())
    (folder / f"texts-{number}").write_text("\n".join(lines))


def _draw(drawn: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int64]:
    return (VOCABULARY ** drawn.random(shape)).astype(np.int64)  # Zipf's law


if __name__ == "__main__":
    run_side_once({"reject": reject})
