"""A Flink cluster's costs: `python -m tests.bench.on_flink [PICTURES [TIMES]] [--profile FILE]`.

A test cluster of two workers on this machine, which needs root, Java 17 and Maven: what images and triplets take of it
with next to nothing to do, by one worker and by two, and with TIMES as many pictures; how much memory a worker holds;
what the JVMs take of the cores; what crosses shuffles. `--profile` writes what `seedbed plan --cluster` reads.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import fsspec
from rich.console import Console
from rich.table import Table

from pipelines.folders import current_manifest
from shards.object_path import ObjectPath
from tests.bench.at_scale import SEEDBED, write_recipe
from tests.bench.flink_groups import JAVA, PYTHON, taking
from tests.bench.flink_profile import profile_of, search_costs
from tests.bench.flink_run import Run
from tests.bench.harness import ROOT, SideError
from tests.bench.photographs import MissingError
from tests.bench.varied import vary_photographs
from tests.cluster import needs, running
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Cluster
from tests.cluster.standing import options
from tests.object_store import ObjectStore, client_options, keys

NUM_PICTURES, TIMES = 1_000, 10
STAGES = ("images", "triplets")
MAX_SHUFFLED = 500
"""Bytes that may cross a shuffle per picture."""

MAX_GROWTH = 0.10
"""Of a worker's memory, from few pictures to TIMES as many."""

SMALL = {"images.max_part_bytes": 1 << 20, "triplets.max_shard_bytes": 32 << 20}
"""Files, of which a worker fills several also with few pictures: of one that grows in the store it holds some parts."""


def main() -> int:
    """Measures and prints; returns 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=int, nargs="?", default=NUM_PICTURES)
    parser.add_argument("times", type=int, nargs="?", default=TIMES)
    parser.add_argument("--profile", type=Path, help="written with what `seedbed plan --cluster` needs")
    parser.add_argument("--name", default="scale", help="of the test cluster")
    chosen = parser.parse_args()
    console, cluster = Console(highlight=False, width=132), Cluster(chosen.name, disk_mb=2048)
    sizes = (1, chosen.pictures, chosen.pictures * chosen.times)
    try:
        _prepare(sizes)
    except (ClusterError, MissingError) as error:
        console.print(f"Flink's costs are left out: {error}")
        return 0
    with tempfile.TemporaryDirectory() as scratch, _cluster(cluster):
        runs = list(_runs(Path(scratch), cluster, sizes))
    _print(runs, console)
    is_kept = _print_limits(runs, console)
    if chosen.profile:
        several = [path.stat().st_size for path in _pictures(max(sizes)).iterdir()]
        profile = profile_of(runs, search_costs(), round(sum(several) / len(several)))
        chosen.profile.write_text(json.dumps(profile, indent=1) + "\n")
    return 0 if is_kept else 1


def _prepare(sizes: Sequence[int]) -> None:
    """Makes the pictures, and brings what a cluster needs.

    Raises:
        ClusterError: none can stand here.
        MissingError: there is nothing to make pictures from.
    """
    needs.check_machine()
    needs.fetch_jars()
    for size in sizes:
        vary_photographs(ROOT.parent / "shared" / "data", _pictures(size), size)


def _pictures(size: int) -> Path:
    return ROOT / "build" / "bench" / f"varied-{size}"


@contextmanager
def _cluster(cluster: Cluster) -> Iterator[None]:
    running.up(cluster)
    os.environ.update(keys(cluster.store))
    try:
        yield
    finally:
        running.down(cluster.name)


def _runs(work: Path, cluster: Cluster, sizes: Sequence[int]) -> Iterator[Run]:
    """Each stage with next to nothing to do, with many pictures by one worker and by two; then twice for its memory.

    What is first is left out of the count: Flink loads its classes then.
    """
    for size in sizes:
        _crawl(work, size)
    nothing, few, many = sizes
    _run(work, cluster, "images", nothing, 2)
    costs = ((nothing, 2, False), (many, 1, False), (many, 2, False))
    for size, workers, is_small in (*costs, (few, 1, True), (many, 1, True)):
        for stage in STAGES:
            _forget(cluster, size, stage)
            yield _run(work, cluster, stage, size, workers, is_small=is_small)


def _crawl(work: Path, size: int) -> None:
    """Reads pictures into the store, by this machine."""
    (work / str(size)).mkdir()
    write_recipe(work / str(size), _pictures(size))
    _seedbed(work, size, "crawl", "--workers", "2")


def _forget(cluster: Cluster, size: int, stage: str) -> None:
    files = fsspec.filesystem("s3", **client_options(cluster.store))
    files.invalidate_cache()
    if files.exists(f"{ObjectStore.bucket}/{size}/{stage}"):
        files.rm(f"{ObjectStore.bucket}/{size}/{stage}", recursive=True)


def _run(work: Path, cluster: Cluster, stage: str, size: int, workers: int, *, is_small: bool = False) -> Run:
    files = [part for name, limit in SMALL.items() if is_small for part in ("--set", f"{name}={limit}")]
    with taking(cluster) as taken:
        began = time.monotonic()
        _seedbed(work, size, stage, "--workers", str(workers), *files, *options(cluster))
        wall_s = time.monotonic() - began
    manifest = current_manifest(ObjectPath(f"s3://{ObjectStore.bucket}/{size}"), stage)
    assert manifest is not None, f"{stage} was just built"
    job = running.jobs(cluster)[-1]
    written, counts = sum(file.bytes for file in manifest.files), manifest.counts
    return Run(stage, size, counts.records_in, counts.kept, workers, is_small, wall_s, job, taken, written)


def _seedbed(work: Path, size: int, stage: str, *more: str) -> None:
    """Runs a stage into the store.

    Raises:
        SideError: it did not run.
    """
    recipe, out = work / str(size) / "recipe.yaml", f"s3://{ObjectStore.bucket}/{size}"
    command = [SEEDBED, stage, str(recipe), "--out", out, *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SideError(f"{stage}: status {done.returncode}: {(done.stderr.strip() or done.stdout).splitlines()[-1]}")


def _print(runs: Sequence[Run], console: Console) -> None:
    table = Table(title="On a cluster of two workers, all of it on this machine", title_justify="left")
    for name in ("stage", "pictures", "workers", "command\ns", "Flink\ns", "Python", "Task-\nManager", "other\nJVMs"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for name in ("store", "caller", "others\nhere", "load", "B shuffled\na picture"):
        table.add_column(name, justify="right")
    for run in runs:
        cpu = run.taken.cpu_s
        named = (
            cpu[PYTHON] + cpu["pool"],
            cpu["taskmanager"],
            cpu["jobmanager"] + cpu["jobserver"],
            cpu["store"],
            cpu["caller"],
        )
        table.add_row(
            *(
                f"{run.stage}*" if run.is_small else run.stage,
                f"{run.pictures:,}",
                str(run.workers),
                f"{run.wall_s:.1f}",
                f"{run.job_s:.1f}",
            ),
            *(f"{value:.1f}" for value in (*named, cpu["others"], run.taken.load)),
            f"{run.shuffled_bytes / run.pictures:,.0f}",
        )
    console.print(table)
    console.print("Python to others here: CPU seconds; others here is the rest of the machine's work. * small files.")


def _print_limits(runs: Sequence[Run], console: Console) -> bool:
    """Says what the pairs of runs come to; returns whether the limits are kept."""
    by_case = {(run.stage, run.pictures, run.workers, run.is_small): run for run in runs}
    few, many = sorted({run.pictures for run in runs})[1:]
    is_kept = True
    for stage in STAGES:
        one, two = (by_case[stage, many, workers, False] for workers in (1, 2))
        java = sum(two.taken.cpu_s[kind] for kind in JAVA)
        ours = sum(two.taken.cpu_s.values()) - two.taken.cpu_s["others"]
        console.print(
            f"{stage}: two workers {one.job_s / two.job_s:.2f}× as fast as one (Flink's seconds; load "
            f"{one.taken.load:.0f} and {two.taken.load:.0f}); the JVMs take {java / two.wall_s / 2:.0%} of two cores, "
            f"{java / ours:.0%} of what the build takes"
        )
        for kind, told in ((PYTHON, "Python worker"), ("taskmanager", "TaskManager")):
            held = [by_case[stage, size, 1, True].taken.peak_bytes[kind] for size in (few, many)]
            growth = held[1] / held[0] - 1
            is_kept &= growth <= MAX_GROWTH
            console.print(
                f"  {told}: {held[0] / 1e6:,.0f} MB with {few:,} pictures, {held[1] / 1e6:,.0f} with "
                f"{many:,}: {growth:+.0%} (at most {MAX_GROWTH:+.0%})"
            )
        most = two.largest_shuffle
        is_kept &= most.bytes <= MAX_SHUFFLED * two.records
        told = f"{most.bytes / two.records:.0f} bytes a picture (at most {MAX_SHUFFLED})"
        console.print(f"  the largest shuffle, {most.name}: {told}")
        console.print(f"  longest by one worker: {', '.join(_longest(one))}")
    return is_kept


def _longest(run: Run) -> Iterator[str]:
    tasks = sorted(run.job["vertices"], key=lambda vertex: -vertex["duration"])
    for task in tasks[:4]:
        yield f"{task['duration'] / 1e3:.1f} s {task['name'][:90]}"


if __name__ == "__main__":
    sys.exit(main())
