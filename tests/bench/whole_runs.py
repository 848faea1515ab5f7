"""Whole runs of two tools, start to end, with all the processes they start."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.bench.harness import ROOT, SideError

MAX_SECONDS = 900
"""For one run; what takes longer hangs."""


@dataclass(frozen=True)
class Cost:
    """What a run took, with all processes it started."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Ratio:
    """How many times cheaper ours is than the peer's, and what must be reached."""

    what: str
    ours_ms: float
    peer_ms: float
    cpu: float
    wall: float
    least: float

    @property
    def is_enough(self) -> bool:
        """Whether the limit is kept."""
        return self.cpu >= self.least


def print_ratios(title: str, peer: str, ratios: Sequence[Ratio], console: Console) -> None:
    """Prints one line for each; nothing where there is none."""
    if not ratios:
        return
    table = Table(title=title, title_justify="left")
    for name in ("what", "ours", peer, "ratio, CPU", "ratio, wall", "needed", "kept"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for ratio in ratios:
        told = (f"{ratio.ours_ms:.1f} ms", f"{ratio.peer_ms:.1f} ms", f"{ratio.cpu:.1f}×", f"{ratio.wall:.1f}×")
        table.add_row(ratio.what, *told, f"{ratio.least:g}×", "yes" if ratio.is_enough else "NO")
    console.print(table)


def ratio(what: str, ours: Sequence[Cost], peers: Sequence[Cost], count: int, least: float) -> Ratio:
    """What pairs of runs come to, for each of `count` units."""
    pairs = list(zip(ours, peers, strict=True))
    return Ratio(
        what,
        median(cost.cpu_s for cost in ours) / count * 1e3,
        median(cost.cpu_s for cost in peers) / count * 1e3,
        median(peer.cpu_s / own.cpu_s for own, peer in pairs),
        median(peer.wall_s / own.wall_s for own, peer in pairs),
        least,
    )


def cost_of(command: Sequence[str]) -> Cost:
    """Runs a command to its end, with all that it leaves behind.

    Raises:
        SideError: it failed.
    """
    measured = [sys.executable, "-m", "tests.bench.costs", *command]
    done = subprocess.run(measured, cwd=ROOT, capture_output=True, text=True, check=True, timeout=MAX_SECONDS)
    found = json.loads(done.stdout)
    if found["status"]:
        raise SideError(f"{' '.join(command)} ended with status {found['status']}: {found['said']}")
    return Cost(found["wall_s"], found["cpu_s"])


def margins(short: Sequence[Cost], long: Sequence[Cost]) -> list[Cost]:
    """What each long run took more than the short one before it."""
    return [Cost(b.wall_s - a.wall_s, b.cpu_s - a.cpu_s) for a, b in zip(short, long, strict=True)]
