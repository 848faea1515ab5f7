"""A cluster's measured costs as `seedbed plan --cluster` reads them."""

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from crawl.likeness import LIKENESS, NUM_WORDS
from crawl.pdq import MIN_QUALITY
from crawl.similar_pairs import MAX_AMONG, MAX_LOOKED_UP, SearchTask, similar_pairs
from pipelines.near_duplicates import all_fates, stand_ins
from pipelines.plan.cluster import Cluster, FlinkStage, Search
from pipelines.plan.profile import this_machine
from tests.bench.flink_groups import JAVA, PYTHON
from tests.bench.flink_run import Run

SEARCHED = (1 << 19, 1 << 21, MAX_AMONG)
"""Pictures, unlike one another, among which a task of the search looks that is timed: up to the largest."""

ALIKE = 0.1
"""Share of pictures that are one of a pair, where it is timed who stands for whom."""


def profile_of(runs: Sequence[Run], search: Search, picture_bytes: int) -> dict[str, Any]:
    """The costs, of the runs by two workers: with next to nothing to do, and with the most pictures.

    Args:
        runs: of each stage.
        search: what the search for near duplicates takes.
        picture_bytes: of a picture as fetched.
    """
    by_two = [run for run in runs if run.workers == 2]
    few, many = (edge(run.pictures for run in by_two) for edge in (min, max))
    pairs = {
        stage: [next(run for run in by_two if (run.stage, run.pictures) == (stage, size)) for size in (few, many)]
        for stage in dict.fromkeys(run.stage for run in by_two)
    }
    large = [pair[1] for pair in pairs.values()]
    ours = sum(sum(run.taken.cpu_s.values()) - run.taken.cpu_s["others"] for run in large)
    java = sum(run.taken.cpu_s[kind] for run in large for kind in JAVA)
    worked = sum(_core_s(pair[1]) - _core_s(pair[0]) for pair in pairs.values())
    slots_s = sum(2 * (pair[1].job_s - pair[0].job_s) for pair in pairs.values())
    told = Cluster(
        date=datetime.now(UTC).date().isoformat(),
        machine=this_machine(),
        command=f"python -m tests.bench.on_flink ({os.cpu_count()} cores for all of it)",
        pictures=many,
        picture_bytes=picture_bytes,
        load=round(sum(run.taken.load for run in large) / len(large), 1),
        busy=round(min(worked / slots_s, 1.0), 2),
        python_mb=_most_mb(runs, PYTHON),
        pool_mb=_most_mb(runs, "pool"),
        taskmanager_mb=_most_mb(runs, "taskmanager"),
        jvm_share=round(java / ours, 2),
        stages={stage: _stage(*pair) for stage, pair in pairs.items()},
        search=search,
    )
    return told.model_dump(mode="json")


def _most_mb(runs: Sequence[Run], kind: str) -> int:
    return round(max(run.taken.peak_bytes[kind] for run in runs) / 1e6)


def _core_s(run: Run) -> float:
    return sum(run.taken.cpu_s[kind] for kind in (PYTHON, "pool", "taskmanager"))


def _stage(nothing: Run, many: Run) -> FlinkStage:
    """What each picture adds to what a stage takes anyway."""

    def each(more: float, anyway: float, scale: float = 1.0) -> float:
        return round(max(more - anyway, 0.0) * scale / many.records, 2)

    cpu = {kind: each(many.taken.cpu_s[kind], nothing.taken.cpu_s[kind], 1e3) for kind in many.taken.cpu_s}
    return FlinkStage(
        overhead_s=round(nothing.wall_s, 1),
        flink_s=round(nothing.job_s, 1),
        tasks=len(many.job["vertices"]),
        python_ms=round(cpu[PYTHON] + cpu.get("pool", 0.0), 2),
        taskmanager_ms=cpu["taskmanager"],
        store_ms=cpu["store"],
        shuffled_bytes=round(many.shuffled_bytes / many.records),
        largest_shuffle_bytes=round(many.largest_shuffle.bytes / many.records),
        link_bytes=round(each(many.taken.link_bytes, nothing.taken.link_bytes)),
        written_bytes=round(many.bytes / many.records),
        kept=round(many.kept / many.records, 4),
    )


def search_costs() -> Search:
    """What the search for near duplicates takes of the CPU: of each picture a line through three sizes."""
    counts = np.array(SEARCHED, float)
    square, linear = np.polyfit(counts, [_looked_up_s(count) for count in SEARCHED], 1)
    return Search(
        pictures=max(SEARCHED),
        linear_us=round(linear * 1e6, 1),
        square_ps=round(square * 1e12, 1),
        serial_us=round(_told_s(max(SEARCHED)) * 1e6, 2),
    )


def _looked_up_s(count: int) -> float:
    """CPU seconds for a picture that is looked up among so many, by all of its words.

    The first word never changes its signs, so that less is looked up; the others are alike.
    """
    drawn = np.random.default_rng(count)
    rows = min(count, MAX_LOOKED_UP)
    looks = np.zeros(count, LIKENESS)
    looks["quality"] = MIN_QUALITY
    looks["whole"] = drawn.integers(0, 2**64, looks["whole"].shape, np.uint64)
    looks["parts"][:rows] = drawn.integers(0, 2**64, looks["parts"][:rows].shape, np.uint64)
    took = []
    for word in (0, 1):
        since = time.process_time()
        similar_pairs(looks, SearchTask(word, (0, rows), (0, count)))
        took.append(time.process_time() - since)
    return (took[0] + (NUM_WORDS - 1) * took[1]) / rows


def _told_s(count: int) -> float:
    """CPU seconds for each of so many pictures to tell who stands for whom."""
    rows = np.arange(2 * round(ALIKE * count / 2)).reshape(-1, 2)
    keys = np.array([f"{key:032x}".encode() for key in np.random.default_rng(0).permutation(count)])
    since = time.process_time()
    for fates in all_fates(count, *stand_ins(rows, np.zeros(count, np.int64), keys)):
        fates.tobytes()
    return (time.process_time() - since) / count
