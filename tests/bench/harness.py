"""Runs the sides of comparisons in turns, and prints what came of them as one table.

Machines are shared and noisy: each side runs several times, ours and the peer's one after the other, and the table
tells the median of the ratios within such pairs, by wall clock and by CPU time.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Side:
    """One tool at work: `python -m module name DATA` prints what it took; see `tests.bench.timing`."""

    label: str
    module: str
    name: str
    python: str = sys.executable


@dataclass(frozen=True)
class Comparison:
    """Our side, a peer's (None: a limit stands alone), and what must come of it.

    Attributes:
        what: is measured.
        unit: of the rates, `samples` or `M tokens`.
        scale: units of a side in one of those.
        ours: our side.
        peer: the tool people use today.
        least: the ratio, or without a peer the rate, that must be reached.
        by_cpu: whether it is the ratio of CPU time that must.
    """

    what: str
    unit: str
    scale: float
    ours: Side
    peer: Side | None
    least: float
    by_cpu: bool = False


@dataclass(frozen=True)
class Finding:
    """What a comparison came to: rates in units a second, and the peer's seconds per unit over ours."""

    comparison: Comparison
    our_rate: float
    peer_rate: float | None
    wall_ratio: float | None
    cpu_ratio: float | None

    @property
    def is_enough(self) -> bool:
        """Whether the limit is kept."""
        ratio = self.cpu_ratio if self.comparison.by_cpu else self.wall_ratio
        return (self.our_rate if ratio is None else ratio) >= self.comparison.least


class SideError(RuntimeError):
    """A side did not run; the message says which and why."""


def compare(comparison: Comparison, data: Path, rounds: int) -> Finding:
    """Runs both sides in turns.

    Raises:
        SideError: one of them did not run.
    """
    ours, peers = [], []
    for _ in range(rounds):
        ours.append(run(comparison.ours, data))
        if comparison.peer is not None:
            peers.append(run(comparison.peer, data))
    rate, peer_rate = (_rate(runs, comparison.scale) for runs in (ours, peers))
    assert rate is not None
    return Finding(comparison, rate, peer_rate, *(_ratio(ours, peers, clock) for clock in ("wall_s", "cpu_s")))


def print_table(findings: Iterable[Finding], console: Console) -> None:
    """Prints one line for each comparison."""
    table = Table(title="Ours beside the peer's, rates a second, median of pairs", title_justify="left")
    table.add_column("what")
    for name in ("ours", "peer", "ratio, wall", "ratio, CPU", "needed", "kept"):
        table.add_column(name, justify="right")
    for finding in findings:
        comparison = finding.comparison
        peer = f"{finding.peer_rate:,.0f} {comparison.peer.label}" if comparison.peer and finding.peer_rate else "–"
        ratios = [
            f"{ratio:.{1 if ratio > 1 else 2}f}×" if ratio else "–" for ratio in (finding.wall_ratio, finding.cpu_ratio)
        ]
        needed = f"{comparison.least:.3g}×" if comparison.peer else f"{comparison.least:,.0f} {comparison.unit}"
        table.add_row(
            comparison.what,
            f"{finding.our_rate:,.0f} {comparison.unit}",
            peer,
            *ratios,
            needed,
            "yes" if finding.is_enough else "NO",
        )
    console.print(table)


def run(side: Side, data: Path) -> dict[str, Any]:
    """Runs a side once, in a process of its own; returns what it printed.

    Raises:
        SideError: it did not run.
    """
    command = [side.python, "-W", "ignore", "-m", side.module, side.name, str(data)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise SideError(f"{side.label}: {' '.join(command)} ended with status {done.returncode}: {last}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _rate(runs: Sequence[dict[str, float]], scale: float) -> float | None:
    return median(run["units"] / run["wall_s"] for run in runs) / scale if runs else None


def _ratio(ours: Sequence[dict[str, float]], peers: Sequence[dict[str, float]], clock: str) -> float | None:
    if not peers:
        return None
    pairs = zip(ours, peers, strict=True)
    return median((peer[clock] / peer["units"]) / (own[clock] / own["units"]) for own, peer in pairs)
