"""Every benchmark, in one table: `python -m tests.bench [--rounds 5]`; what it needs lies in `build/bench`."""

import argparse
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tests.bench.at_scale import NUM_PICTURES, measure_scale
from tests.bench.crawling import TITLE, measure
from tests.bench.growing_text import measure_text
from tests.bench.harness import ROOT, Comparison, Finding, Side, SideError, compare, print_table, run
from tests.bench.material import make_material
from tests.bench.near_duplicates import PLANTED
from tests.bench.peers import PeersError, peers_python, write_material
from tests.bench.photographs import MissingError, unpack_photographs
from tests.bench.prose_costs import TITLE as PROSE_TITLE
from tests.bench.prose_costs import measure_prose
from tests.bench.prose_material import make_prose
from tests.bench.text_duplicates import PLANTED as PLANTED_TEXTS
from tests.bench.whole_runs import print_ratios

MAX_GROWTH = 0.05
"""Of a reader's memory from epoch 1 to 20."""

MAX_WORKER_BYTES = 400e6
"""Of a worker that writes its share of `WHOLE_BYTES`."""

WHOLE_BYTES = 20e9
"""Of shards that are written; where fewer were, what a worker would take follows from the slope."""

MAX_FRONTIER_GROWTH = 0.10
"""Of the memory of a crawl's workers, and of whoever leads them, from the smallest to the largest frontier."""

MAX_CLUSTER_S, MAX_CLUSTER_BYTES = 180, 1.5e9
"""Of finding the near duplicates among a million pictures, on two cores."""

MAX_TEXTS_S, MAX_TEXTS_BYTES, MIN_TEXTS_FOUND = 90, 2e9, 0.92
"""Of finding the near duplicates among 100,000 documents of 500 words, on two cores, and the share of copies found."""

MAX_CLEANING_COST = 1.5
"""Of the images stage, in CPU time of a bare Pillow that decodes, resizes and encodes the same files."""

FOLDER = ROOT / "build" / "bench"


def main() -> int:
    """Runs the benchmarks; returns 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side")
    parser.add_argument("--crawls", type=int, default=3, help="crawls of each side, of each kind; 0 leaves them out")
    parser.add_argument("--builds", type=int, default=3, help=f"builds of {NUM_PICTURES:,} pictures; 0 leaves them out")
    chosen = parser.parse_args()
    rounds = chosen.rounds
    console = Console(highlight=False, width=132)
    data = FOLDER / "data"
    console.print("making what is to be read …")
    make_material(data)
    has_photographs = _has_photographs(data, console)
    wanted = comparisons(_peers(data, console)) + (cleaning() if has_photographs else [])
    wanted += encoding() if _has_prose(data, console) else []
    findings = list(_findings(data, rounds, wanted, console))
    print_table(findings, console)
    ratios = measure(FOLDER, chosen.crawls, console) if chosen.crawls else []
    print_ratios(TITLE, "img2dataset", ratios, console)
    prose = measure_prose(FOLDER, rounds, console)
    print_ratios(PROSE_TITLE, "datatrove", prose, console)
    is_flat = _print_memory(data, console)
    are_small = [_print_stage_memory(stage, data, console) for stage in ("triplets", "windows")]
    is_frontier_flat = _print_frontier_memory(data, console)
    are_found = [_print_near_duplicates(data, console), _print_text_duplicates(data, console)]
    is_learned = measure_text(("shakespeare", "wikitext"), console)
    is_exact = _print_exactness(console)
    is_scaling = not chosen.builds or measure_scale(FOLDER, NUM_PICTURES, chosen.builds, console)
    times = f"{rounds} rounds, {chosen.crawls} crawls"
    console.print(f"{datetime.now(UTC):%d %B %Y}, {_machine()}, Python {platform.python_version()}, {times}")
    is_kept = all(finding.is_enough for finding in findings) and all(ratio.is_enough for ratio in ratios + prose)
    are_kept = (is_flat, *are_small, is_frontier_flat, *are_found, is_learned, is_exact, is_scaling, is_kept)
    return 0 if all(are_kept) else 1


def comparisons(peers: str | None) -> list[Comparison]:
    """Everything that is measured; without the peers' Python only what stands alone."""
    ours = {name: Side("ours", "tests.bench.reading", name) for name in ("materialised", "virtual", "windows")}
    windows = Side("ours", "tests.bench.tokens", "windows")
    writing, order = Side("ours", "tests.bench.writing", "write"), Side("ours", "tests.bench.writing", "resume")
    alone = [
        Comparison("virtual 64×64 triplets, noise and mix", "samples", 1, ours["virtual"], None, 6_000),
        Comparison("writing materialised triplets", "MB", 1e6, writing, None, 200),
        Comparison("making windows of 1,024 tokens", "M tokens", 1e6, windows, None, 20),
        Comparison("resuming at position 10⁹", "times", 1, order, None, 1),
    ]
    if peers is None:
        return alone
    triplets, tokens = "materialised 64×64 triplets, shuffled", "windows of 1,024 tokens, int64"
    labels = {
        "webdataset_triplets": "webdataset",
        "streaming_indexed": "streaming, dataset[i]",
        "streaming_iterated": "streaming, iterator",
        "litdata_triplets": "litdata",
        "nanogpt_windows": "nanoGPT",
        "webdataset_windows": "webdataset",
    }
    sides = {name: Side(label, "tests.bench.peer_reading", name, peers) for name, label in labels.items()}
    return [
        Comparison(triplets, "samples", 1, ours["materialised"], sides["webdataset_triplets"], 8),
        Comparison(triplets, "samples", 1, ours["materialised"], sides["streaming_indexed"], 6),
        Comparison(triplets, "samples", 1, ours["materialised"], sides["streaming_iterated"], 6),
        Comparison(triplets, "samples", 1, ours["materialised"], sides["litdata_triplets"], 1.8),
        Comparison(tokens, "M tokens", 1e6, ours["windows"], sides["nanogpt_windows"], 4),
        Comparison(tokens, "M tokens", 1e6, ours["windows"], sides["webdataset_windows"], 20),
        *alone,
    ]


def cleaning() -> list[Comparison]:
    """The images stage beside a bare Pillow; both on one core, so that CPU time is what counts."""
    return [
        Comparison(
            f"cleaning photographs to {size} px",
            "pictures",
            1,
            Side("ours", "tests.bench.cleaning", f"stage_{size}"),
            Side("pillow", "tests.bench.cleaning", f"bare_{size}"),
            1 / MAX_CLEANING_COST,
            by_cpu=True,
        )
        for size in (64, 256)
    ]


def encoding() -> list[Comparison]:
    """Byte pair encoding beside the library that does it."""
    ours, library = (Side(label, "tests.bench.tokens", label) for label in ("encode", "library"))
    return [Comparison("encoding news pages as byte pairs", "kB", 1e3, ours, library, 0.9, by_cpu=True)]


def _has_prose(data: Path, console: Console) -> bool:
    """Puts real prose where it is read from; says so where there is none."""
    try:
        make_prose(ROOT.parent / "shared" / "data", data.with_name("prose"))
    except MissingError as error:
        console.print(f"encoding is left out: {error}")
        return False
    return True


def _has_photographs(data: Path, console: Console) -> bool:
    """Puts the real photographs where they are read from; says so where there are none."""
    try:
        unpack_photographs(ROOT.parent / "shared" / "data", data / "photo-files", min_side=256)
    except MissingError as error:
        console.print(f"cleaning photographs is left out: {error}")
        return False
    return True


def _findings(data: Path, rounds: int, wanted: list[Comparison], console: Console) -> Iterator[Finding]:
    for comparison in wanted:
        beside = f" beside {comparison.peer.label}" if comparison.peer else ""
        console.print(f"measuring {comparison.what}{beside} …")
        try:
            yield compare(comparison, data, rounds)
        except SideError as error:
            console.print(f"left out: {error}")


def _print_memory(data: Path, console: Console) -> bool:
    """Says how much memory a reader takes after its first and after its twentieth epoch; whether that is the same."""
    epochs: list[int] = run(Side("ours", "tests.bench.memory", "flat"), data)["yielded"]
    growth = epochs[-1] / epochs[0] - 1
    told = f"{epochs[0] / 1e6:.0f} MB in epoch 1, {epochs[-1] / 1e6:.0f} MB in epoch {len(epochs)}"
    console.print(f"memory of a reader, mapped files apart: {told} ({growth:+.1%}; at most {MAX_GROWTH:.0%})")
    return abs(growth) <= MAX_GROWTH


def _print_stage_memory(stage: str, data: Path, console: Console) -> bool:
    """Says how much memory a stage takes, by the size of what it writes; whether a worker's is little enough."""
    found: list[int] = run(Side("ours", "tests.bench.memory", stage), data)["yielded"]
    sizes, workers, leaders = found[::3], found[1::3], found[2::3]
    for written, worker, leader in zip(sizes, workers, leaders, strict=True):
        told = f"{worker / 1e6:.0f} MB a worker, {leader / 1e6:.0f} MB the process that leads them"
        console.print(f"memory of the {stage} stage for {written / 1e9:.1f} GB of shards: {told}")
    slope = (workers[-1] - workers[0]) / (sizes[-1] - sizes[0])
    console.print(f"which is {slope * 1e3:.1f} MB a worker more for each GB more")
    return workers[-1] + slope * (WHOLE_BYTES - sizes[-1]) <= MAX_WORKER_BYTES


def _print_frontier_memory(data: Path, console: Console) -> bool:
    """Says how much memory the crawl stage takes, by the URLs that are due; whether that is always the same."""
    found: list[int] = run(Side("ours", "tests.bench.frontier", "frontier"), data)["yielded"]
    sizes = list(zip(found[::4], found[1::4], found[2::4], found[3::4], strict=True))
    for num_urls, worker, leader, took_ms in sizes:
        told = f"{worker / 1e6:.0f} MB a worker, {leader / 1e6:.0f} MB the process that leads them"
        console.print(f"memory of the crawl stage for {num_urls:,} URLs: {told}; {took_ms / 1000:.0f} s")
    growths = [last / first - 1 for first, last in zip(sizes[0][1:3], sizes[-1][1:3], strict=True)]
    told = " and ".join(f"{growth:+.1%}" for growth in growths)
    console.print(f"from the fewest URLs to the most {told} (at most {MAX_FRONTIER_GROWTH:.0%})")
    return max(growths) <= MAX_FRONTIER_GROWTH


def _print_near_duplicates(data: Path, console: Console) -> bool:
    """Says what the near duplicates among a million pictures cost; whether it is little enough and all are found."""
    took_ms, most, found, others = run(Side("ours", "tests.bench.near_duplicates", "cluster"), data)["yielded"]
    told = (
        f"{took_ms / 1e3:.0f} s, {most / 1e6:,.0f} MB in all, {found:,} of {PLANTED:,} planted copies, {others} others"
    )
    console.print(f"near duplicates among a million pictures, two cores: {told}")
    return took_ms <= 1e3 * MAX_CLUSTER_S and most <= MAX_CLUSTER_BYTES and (found, others) == (PLANTED, 0)


def _print_text_duplicates(data: Path, console: Console) -> bool:
    """Says what the near duplicates among 100,000 documents cost; whether it is little enough and most are found."""
    yielded: list[int] = run(Side("ours", "tests.bench.text_duplicates", "reject"), data)["yielded"]
    took_ms, most, found, others = yielded
    told = (
        f"{took_ms / 1e3:.0f} s, {most / 1e6:,.0f} MB in all, {found:,} of {PLANTED_TEXTS:,} planted copies, "
        f"{others} others"
    )
    console.print(f"near duplicates among 100,000 documents, two cores: {told}")
    is_cheap = took_ms <= 1e3 * MAX_TEXTS_S and most <= MAX_TEXTS_BYTES
    return is_cheap and found >= MIN_TEXTS_FOUND * PLANTED_TEXTS and others == 0


def _print_exactness(console: Console) -> bool:
    """Says whether the best denoiser of two Gaussians, which is known, is learned, and found again by five steps."""
    command = [sys.executable, "-m", "pytest", "--quiet", "tests/test_two_gaussians.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    console.print(f"two Gaussians, within 5 % of the best denoiser and in the moments: {ran.stdout.splitlines()[-1]}")
    return ran.returncode == 0


def _peers(data: Path, console: Console) -> str | None:
    """The peers' Python, or None, saying why, where they cannot be installed."""
    try:
        console.print("installing the peers in an environment of their own …")
        python = peers_python(FOLDER / "peers")
        write_material(python, data, ROOT)
    except PeersError as error:
        console.print(f"the peers are left out: {error}")
        return None
    return python


def _machine() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names) or '?'} cores, {names[0] if names else platform.machine()}"


if __name__ == "__main__":
    sys.exit(main())
