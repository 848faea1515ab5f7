"""10,000 pictures from a folder to triplets: `python -m tests.bench.at_scale [PICTURES [ROUNDS]]`.

On disk and on an S3 server; the images stage with one external worker and with two; what Beam and commits take of a
stage's CPU time; and what a stage takes that has next to nothing to do.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple

import fsspec
import psutil
from rich.console import Console
from rich.table import Table

from pipelines.folders import RUN_NAME, current_manifest
from shards.object_path import AnyPath, ObjectPath
from tests.bench.harness import ROOT, Side, SideError, run
from tests.bench.photographs import MissingError
from tests.bench.varied import vary_photographs
from tests.bench.whole_runs import Cost, cost_of
from tests.builds import manifest_bytes
from tests.job_service import job_service
from tests.object_store import object_store

NUM_PICTURES = 10_000
STAGES = ("crawl", "images", "triplets")
SEEDBED = str(Path(sys.executable).with_name("seedbed"))

MAX_STORE_COST = 1.5
"""Of a build on the S3 server, wall clock and our CPU time, in those of the same on disk."""

MIN_WORKERS_GAIN = 1.7
"""How many times as fast two external workers do the images stage as one."""

MAX_OVERHEAD = 0.15
"""What Beam, receipts and commits may take of a stage's CPU time."""


class Pair(NamedTuple):
    """A build on disk and the same into a store.

    Attributes:
        disk: what the one took.
        store: what the other took, its server apart.
        server_s: CPU seconds of the server.
        stages_s: CPU seconds of each stage on disk.
    """

    disk: Cost
    store: Cost
    server_s: float
    stages_s: dict[str, float]


class Figure(NamedTuple):
    """A line of the table: what was measured, what it came to, what must be reached, and whether it was."""

    what: str
    found: str
    ratio: str
    needed: str
    is_enough: bool


def measure_scale(folder: Path, count: int, rounds: int, console: Console) -> bool:
    """Measures everything with `count` pictures and prints it; returns whether all limits are kept.

    Where there are no photographs it says so, and keeps them.

    Raises:
        SideError: a build did not run, or wrote other bytes into the store than to disk.
    """
    pictures = folder / f"varied-{count}"
    try:
        console.print(f"making {count:,} pictures …")
        vary_photographs(ROOT.parent / "shared" / "data", pictures, count)
    except MissingError as error:
        console.print(f"builds of {count:,} pictures are left out: {error}")
        return True
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = Path(scratch)
        write_recipe(work, pictures)
        single, pairs = ([_pair(work, workers, console) for _ in range(rounds)] for workers in (1, 2))
        figures = [*_stores(single, pairs), *_workers(work, rounds, console), *_overheads(work, pairs, console)]
        _print(figures, f"{count:,} pictures to triplets at 64 px, median of {rounds}", console)
        console.print(f"two workers beside the server on {os.cpu_count()} cores: {_told(pairs, 'wall_s')}")
        _print_starts(work, pictures, console)
    return all(figure.is_enough for figure in figures)


def write_recipe(work: Path, pictures: Path, more: Mapping[str, object] = MappingProxyType({})) -> None:
    """Writes `recipe.yaml`, which takes pictures from a folder to triplets, with `more` sections."""
    recipe = {
        "name": "scale",
        "contact": "bench@example.org",
        "crawl": {"sources": {"photographs": {"source": "folder", "path": str(pictures)}}},
        "images": {},
        "triplets": {},
        **more,
    }
    (work / "recipe.yaml").write_text(json.dumps(recipe))


def _pair(work: Path, workers: int, console: Console) -> Pair:
    """The same build by some workers on disk, which is left there, and into a store.

    Raises:
        SideError: they are not the same.
    """
    console.print(f"building on disk and in a store, workers: {workers} …")
    shutil.rmtree(work / "disk", ignore_errors=True)
    disk = _build(work, work / "disk", workers=workers)
    with _store(work) as (out, server):
        before = _cpu_s(server)
        store = _build(work, out, workers=workers)
        server_s = _cpu_s(server) - before
        if manifest_bytes(out, STAGES) != manifest_bytes(work / "disk", STAGES):
            raise SideError("the manifests in the store are not those on disk")
        _tell_stages({"disk": work / "disk", "store": out}, console)
    return Pair(disk, store, server_s, {stage: _run_of(work / "disk", stage)["cpu_seconds"] for stage in STAGES})


def _stores(single: Sequence[Pair], double: Sequence[Pair]) -> Iterator[Figure]:
    """What a store costs: in time, by one worker beside whom its server has a core; in CPU time, by two."""
    server = f"; the server's own {median(pair.server_s for pair in double):.1f} s"
    within = f"at most {MAX_STORE_COST:g}×"
    for what, pairs, clock, more in (
        ("S3 server, wall clock, one worker", single, "wall_s", ""),
        ("S3 server, our CPU time, two workers", double, "cpu_s", server),
    ):
        ratio = median(getattr(pair.store, clock) / getattr(pair.disk, clock) for pair in pairs)
        yield Figure(what, _told(pairs, clock) + more, f"{ratio:.2f}×", within, ratio <= MAX_STORE_COST)


def _told(pairs: Sequence[Pair], clock: str) -> str:
    disk = median(getattr(pair.disk, clock) for pair in pairs)
    store = median(getattr(pair.store, clock) for pair in pairs)
    return f"{disk:.1f} s on disk, {store:.1f} s"


def _workers(work: Path, rounds: int, console: Console) -> Iterator[Figure]:
    """The images stage by one external worker and by two."""
    taken: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for count, seconds in taken.items():
            console.print(f"external workers: {count}, round {number + 1} …")
            with tempfile.TemporaryDirectory(dir=work) as scratch:
                out = Path(scratch)
                (out / "crawl").symlink_to(work / "disk" / "crawl")
                with job_service(out, count) as runner:
                    where = ("--runner", runner.job_service, "--worker-pool", runner.worker_pool)
                    _build(work, out, "images", *where, workers=count)
                seconds.append(_run_of(out, "images")["seconds"])
    gain = median(one / two for one, two in zip(taken[1], taken[2], strict=True))
    told = f"{median(taken[1]):.1f} s by one, {median(taken[2]):.1f} s"
    least = f"at least {MIN_WORKERS_GAIN:g}×"
    yield Figure("images, two external workers", told, f"{gain:.2f}×", least, gain >= MIN_WORKERS_GAIN)


def _overheads(work: Path, pairs: Sequence[Pair], console: Console) -> Iterator[Figure]:
    """What a stage on disk takes of the CPU more than its functions alone, in a process of their own."""
    for stage in STAGES[1:]:
        console.print(f"what {stage} does, by itself …")
        side = Side("plain", "tests.bench.plain_stages", stage)
        plain = [run(side, work)["yielded"][0] / 1e3 for _ in pairs]
        whole = [pair.stages_s[stage] for pair in pairs]
        share = median(1 - alone / all_of_it for alone, all_of_it in zip(plain, whole, strict=True))
        told = f"{median(whole):.1f} s, its functions alone {median(plain):.1f} s"
        within = f"at most {MAX_OVERHEAD:.0%}"
        yield Figure(f"{stage}, CPU for Beam and commits", told, f"{share:.1%}", within, share <= MAX_OVERHEAD)


def _print_starts(work: Path, pictures: Path, console: Console) -> None:
    """Says what stages take that have one picture, or one page, to work on: what small builds pay for starting."""
    few = work / "few"
    few.mkdir()
    shutil.copy(pictures / "00000.jpg", few)
    (few / "page.txt").write_text("A tree grows in the garden, and its leaves fall in autumn.\n" * 20)
    text = {"gopher_quality": None, "gopher_repetition": None}
    write_recipe(work, few, {"text": text, "windows": {"context": 8}})
    cost = _build(work, work / "started", workers=0)
    runs = {stage: _run_of(work / "started", stage) for stage in (*STAGES, "text", "windows")}
    told, rest = _seconds(runs), cost.wall_s - sum(run["seconds"] for run in runs.values())
    console.print(f"starting, seconds (of CPU) for one picture and one page: {told}; the command itself {rest:.1f}")


def _build(work: Path, out: AnyPath, stage: str = "build", *more: str, workers: int = 2) -> Cost:
    return cost_of([SEEDBED, stage, str(work / "recipe.yaml"), "--out", str(out), "--workers", str(workers), *more])


@contextmanager
def _store(work: Path) -> Iterator[tuple[ObjectPath, psutil.Process]]:
    """An empty store whose keys and endpoint stand in the environment, and its server's process."""
    with tempfile.TemporaryDirectory(dir=work) as scratch, object_store(Path(scratch)) as store:
        os.environ.update(store.environment)
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # which would go on asking the store before
        try:
            yield ObjectPath(f"s3://{store.bucket}/out"), psutil.Process(store.process.pid)
        finally:
            for name in store.environment:
                os.environ.pop(name)


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def _run_of(out: AnyPath, stage: str) -> dict[str, Any]:
    manifest = current_manifest(out, stage)
    assert manifest is not None, f"{stage} was just built"
    found: dict[str, Any] = json.loads((out / stage / manifest.fingerprint / RUN_NAME).read_bytes())
    return found


def _tell_stages(outs: Mapping[str, AnyPath], console: Console) -> None:
    for where, out in outs.items():
        runs = {stage: _run_of(out, stage) for stage in STAGES}
        console.print(f"  {where}: seconds (of CPU): {_seconds(runs)}")


def _seconds(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """What stages took, and of CPU."""
    return ", ".join(f"{stage} {run['seconds']:.1f} ({run['cpu_seconds']:.1f})" for stage, run in runs.items())


def _print(figures: Sequence[Figure], title: str, console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("what", "found", "comes to", "needed", "kept"):
        table.add_column(name, justify="left" if name in ("what", "found") else "right")
    for what, found, ratio, needed, is_enough in figures:
        table.add_row(what, found, ratio, needed, "yes" if is_enough else "NO")
    console.print(table)


if __name__ == "__main__":
    shown = Console(highlight=False, width=132)
    numbers = [int(each) for each in sys.argv[1:]]
    wanted, times = (*numbers, *(NUM_PICTURES, 3)[len(numbers) :])
    (ROOT / "build" / "bench").mkdir(parents=True, exist_ok=True)
    sys.exit(0 if measure_scale(ROOT / "build" / "bench", wanted, times, shown) else 1)
