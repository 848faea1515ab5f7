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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from rich.console import Console
from rich.table import Table

from pipelines.flink.shuffled import shuffles
from pipelines.folders import current_manifest
from shards.object_path import ObjectPath
from tests.bench.at_scale import SEEDBED, write_recipe
from tests.bench.flink_groups import JAVA, PYTHON, Taken, taking
from tests.bench.flink_profile import profile_of, search_costs
from tests.bench.harness import ROOT, SideError
from tests.bench.photographs import MissingError
from tests.bench.varied import vary_photographs
from tests.cluster import running
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Cluster
from tests.object_store import KEY, SECRET, ObjectStore

NUM_PICTURES, TIMES = 1_000, 10
STAGES = ("images", "triplets")
MAX_SHUFFLED = 500
"""Bytes that may cross a shuffle per picture."""

MAX_GROWTH = 0.10
"""Of a worker's memory, from few pictures to TIMES as many."""

SMALL = {"images.max_part_bytes": 1 << 20, "triplets.max_shard_bytes": 32 << 20}
"""Files, of which a worker fills several also with few pictures: of one that grows in the store it holds some parts."""


@dataclass(frozen=True)
class Run:
    """A stage that ran on the cluster.

    Attributes:
        stage: which.
        pictures: that were fetched for it.
        records: that went in.
        kept: of them.
        workers: tasks side by side.
        is_small: whether the files are.
        wall_s: of the command.
        job: as Flink's REST interface tells it when it is finished.
        taken: while the command ran.
        bytes: of the files that it wrote.
    """

    stage: str
    pictures: int
    records: int
    kept: int
    workers: int
    is_small: bool
    wall_s: float
    job: dict[str, Any]
    taken: Taken
    bytes: int

    @property
    def job_s(self) -> float:
        """Seconds that Flink worked on the job."""
        return float(self.job["duration"]) / 1e3

    @property
    def shuffled_bytes(self) -> int:
        """Over all shuffles together."""
        return sum(shuffle.bytes for shuffle in shuffles(self.job))


def main() -> int:
    """Measures and prints; returns 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=int, nargs="?", default=NUM_PICTURES)
    parser.add_argument("times", type=int, nargs="?", default=TIMES)
    parser.add_argument("--profile", type=Path, help="written with what `seedbed plan --cluster` needs")
    parser.add_argument("--name", default="scale", help="of the test cluster")
    chosen = parser.parse_args()
    console, cluster = Console(highlight=False, width=132), Cluster(chosen.name, disk_mb=2048)
    folder = ROOT / "build" / "bench"
    try:
        with tempfile.TemporaryDirectory() as scratch, _cluster(cluster):
            runs = list(_runs(Path(scratch), folder, cluster, (1, chosen.pictures, chosen.pictures * chosen.times)))
    except (ClusterError, MissingError) as error:
        console.print(f"Flink's costs are left out: {error}")
        return 0
    _print(runs, console)
    is_kept = _print_limits(runs, console)
    if chosen.profile:
        several = [path.stat().st_size for path in (folder / f"varied-{chosen.pictures * chosen.times}").iterdir()]
        profile = profile_of(runs, search_costs(), round(sum(several) / len(several)))
        chosen.profile.write_text(json.dumps(profile, indent=1) + "\n")
    return 0 if is_kept else 1


@contextmanager
def _cluster(cluster: Cluster) -> Iterator[None]:
    running.up(cluster)
    os.environ.update(AWS_ENDPOINT_URL=cluster.store, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
    try:
        yield
    finally:
        running.down(cluster.name)


def _runs(work: Path, folder: Path, cluster: Cluster, sizes: Sequence[int]) -> Iterator[Run]:
    """Each stage with next to nothing to do, with many pictures by one worker and by two; then twice for its memory.

    What is first is left out of the count: Flink loads its classes then.
    """
    for size in sizes:
        _crawl(work, folder, size)
    nothing, few, many = sizes
    _run(work, cluster, "images", nothing, 2)
    costs = ((nothing, 2, False), (many, 1, False), (many, 2, False))
    for size, workers, is_small in (*costs, (few, 1, True), (many, 1, True)):
        for stage in STAGES:
            _forget(size, stage)
            yield _run(work, cluster, stage, size, workers, is_small=is_small)


def _crawl(work: Path, folder: Path, size: int) -> None:
    """Reads pictures into the store, by this machine."""
    several = folder / f"varied-{size}"
    vary_photographs(ROOT.parent / "shared" / "data", several, size)
    (work / str(size)).mkdir()
    write_recipe(work / str(size), several)
    _seedbed(work, size, "crawl", "--workers", "2")


def _forget(size: int, stage: str) -> None:
    files = fsspec.filesystem("s3", key=KEY, secret=SECRET, endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    files.invalidate_cache()
    if files.exists(f"{ObjectStore.bucket}/{size}/{stage}"):
        files.rm(f"{ObjectStore.bucket}/{size}/{stage}", recursive=True)


def _run(work: Path, cluster: Cluster, stage: str, size: int, workers: int, *, is_small: bool = False) -> Run:
    endpoint = ("--runner", "flink", "--flink-job-endpoint", cluster.job_endpoint)
    files = [part for name, limit in SMALL.items() if is_small for part in ("--set", f"{name}={limit}")]
    with taking(cluster) as taken:
        began = time.monotonic()
        _seedbed(work, size, stage, "--workers", str(workers), *files, *endpoint)
        wall_s = time.monotonic() - began
    manifest = current_manifest(ObjectPath(f"s3://{ObjectStore.bucket}/{size}"), stage)
    assert manifest is not None, f"{stage} was just built"
    jobs = running.ask(cluster, "/jobs/overview")["jobs"]
    job = running.ask(cluster, f"/jobs/{max(jobs, key=lambda each: each['start-time'])['jid']}")
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
        most = max((shuffle.bytes / many, shuffle.name) for shuffle in shuffles(two.job))
        is_kept &= most[0] <= MAX_SHUFFLED
        console.print(f"  the largest shuffle, {most[1]}: {most[0]:.0f} bytes a picture (at most {MAX_SHUFFLED})")
        console.print(f"  longest by one worker: {', '.join(_longest(one))}")
    return is_kept


def _longest(run: Run) -> Iterator[str]:
    tasks = sorted(run.job["vertices"], key=lambda vertex: -vertex["duration"])
    for task in tasks[:4]:
        yield f"{task['duration'] / 1e3:.1f} s {task['name'][:90]}"


if __name__ == "__main__":
    sys.exit(main())
