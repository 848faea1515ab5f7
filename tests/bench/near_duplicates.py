"""Clusters a million likenesses with planted copies: `python -m tests.bench.near_duplicates cluster DATA`.

Yields milliseconds, the most memory of all its processes together, how many of the planted copies were found, and how
many that nobody planted.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from crawl.likeness import LIKENESS, transposed
from crawl.pdq import MAX_DISTANCE
from crawl.similar_pairs import search_tasks
from pipelines.near_duplicates import cluster_all, find_pairs, join_looks
from pipelines.receipts import STAGING
from pipelines.staging import staged_name
from tests.bench.timing import run_side_once
from tests.bench.watching import looking

COUNT, PART, PLANTED, WORKERS, POLL_S = 1_000_000, 2_000, 10_000, 2, 0.1


def cluster(data: Path) -> Iterator[int]:
    """Milliseconds, bytes, planted copies found, others found."""
    folder = Path(tempfile.mkdtemp(dir=data))
    (folder / STAGING).mkdir(parents=True)
    parts = list(_write_parts(folder))
    memory = Memory()
    with looking(memory.look, POLL_S):
        begun = time.perf_counter()
        tasks = list(join_looks(parts, folder))
        with ProcessPoolExecutor(WORKERS) as pool:
            list(pool.map(partial(find_pairs, folder=folder), tasks))
            pool.submit(_cluster, folder).result()
        yield round(1e3 * (time.perf_counter() - begun))
    yield memory.most
    kept = np.load(folder / staged_name("looks-fates"))[:, 0]
    copies = np.arange(0, 2 * PLANTED, 2)
    together = kept[copies] == kept[copies + 1]
    yield int(together.sum())
    yield int(COUNT - len(np.unique(kept)) - together.sum())
    shutil.rmtree(folder)


def _cluster(folder: Path) -> int:
    return len(list(cluster_all(search_tasks(COUNT), folder)))


def _write_parts(folder: Path) -> Iterator[tuple[str, int]]:
    """Sets likenesses aside as the stage does; the first pairs are copies, with errors, turned or mirrored."""
    drawn = np.random.default_rng(0)
    for number, first in enumerate(range(0, COUNT, PART)):
        looks = np.zeros(PART, LIKENESS)
        looks["quality"], looks["area"] = 100, drawn.integers(10_000, 10_000_000, PART)
        looks["whole"] = drawn.integers(0, 2**64, (PART, 4), np.uint64)
        looks["parts"] = drawn.integers(0, 2**64, (PART, 13, 4), np.uint64)
        looks["colours"] = drawn.integers(0, 256, (PART, 4, 4, 3))
        if first < 2 * PLANTED:
            _plant(looks, drawn)
        name = f"clean-{number:04d}"
        (folder / staged_name(f"looks-{name}")).write_bytes(looks.tobytes())
        pictures = [[0, f"{row:032x}", f"https://trees.example/{row}", [512]] for row in range(first, first + PART)]
        (folder / staged_name(f"looks-parts-{name}")).write_text(json.dumps(pictures))
        yield name, PART


def _plant(looks: NDArray[np.void], drawn: np.random.Generator) -> None:
    """Makes every second one a copy of the one before it."""
    for row in range(1, len(looks), 2):
        errors = np.zeros(256, np.uint8)
        errors[drawn.choice(256, row % (MAX_DISTANCE + 1), replace=False)] = 1
        looks["whole"][row] = looks["whole"][row - 1] ^ np.packbits(errors).view("<u8")
        looks["colours"][row] = looks["colours"][row - 1]
        if row % 3 == 1:
            looks["whole"][row] ^= np.array([0, 0, 2**64 - 1, 2**64 - 1], np.uint64)
            looks["colours"][row] = looks["colours"][row][:, ::-1]
        if row % 3 == 2:
            looks["whole"][row] = transposed(looks["whole"][row : row + 1])[0]
            looks["colours"][row] = looks["colours"][row].transpose(1, 0, 2)


@dataclass
class Memory:
    """The most memory seen of this process and of those below it together, files that they share counted once."""

    most: int = 0

    def look(self, this: psutil.Process) -> None:
        """Looks at it once."""
        total = 0
        for process in (this, *this.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        self.most = max(self.most, total)


if __name__ == "__main__":
    run_side_once({"cluster": cluster})
