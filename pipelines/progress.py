"""What a build shows while it runs: one live line a stage, and a closing table.

The numbers are read from the receipts that finished parts leave, so that what is shown is what is safe on disk.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.compact_table import compact_table
from pipelines.fates import Fates
from pipelines.metrics import Standing, write_metrics
from pipelines.receipts import WORK, Receipt, all_receipts, open_fates, read_receipt, receipt_names
from shards.asking import StoreError
from shards.manifest import Manifest
from shards.object_path import AnyPath, ObjectPath

LINE_EVERY_S = 10.0
"""Between two lines of a stage where the output is not a terminal."""

LOOK_EVERY_S = 1.0
"""Between two looks at the receipts on a disk."""

LOOK_IN_STORE_EVERY_S = 5.0
"""In a store, where each takes some requests…"""

LOOKING_SHARE = 0.05
"""…and of all time at most this part."""

METRICS_EVERY_S = 5.0
"""Between two writings of a running stage's metrics."""


@dataclass(frozen=True)
class StageResult:
    """One line of the closing table."""

    manifest: Manifest
    seconds: float
    up_to_date: bool


@dataclass
class StageProgress:
    """The live line of one stage."""

    console: Console
    stage: str
    folder: AnyPath
    expected: int
    """Records that will go in, 0 where that shows only on the way."""
    started: float = field(default_factory=time.monotonic)
    live: Live | None = None
    last_line: float = 0.0
    next_look: float = 0.0
    counted: set[str] = field(default_factory=set)
    fates: Fates = field(default_factory=Fates)
    handled: int = 0
    bytes: int = 0
    last_metrics: float = 0.0
    open: dict[str, Fates] = field(default_factory=dict)

    def tick(self) -> tuple[int, int, int]:
        """Shows where the stage stands, now and then; what is returned changes when more is done."""
        if time.monotonic() >= self.next_look:
            self._show()
        return len(self.counted), self.handled, self._settled().total

    def _show(self) -> None:
        began = time.monotonic()
        with suppress(StoreError):  # whoever works there says so, or comes through
            self.look()
        now = time.monotonic()
        pause_s = LOOK_IN_STORE_EVERY_S if isinstance(self.folder, ObjectPath) else LOOK_EVERY_S
        self.next_look = now + max(pause_s, (now - began) / LOOKING_SHARE)
        if now - self.last_metrics >= METRICS_EVERY_S and not isinstance(self.folder, ObjectPath):
            self.last_metrics = now
            write_metrics(self.folder.parent, self.standing(now - self.started))
        line = self.line(now - self.started)
        if self.live is not None:
            self.live.update(Text(line, no_wrap=True, overflow="ellipsis"))
        elif now - self.last_line >= LINE_EVERY_S:
            self.last_line = now
            self.console.print(line, highlight=False, soft_wrap=True)

    def line(self, seconds: float) -> str:
        """The line after `seconds`."""
        fates = self._settled()
        done = max(fates.total, self.handled)
        rate = done / seconds if seconds else 0.0
        of = f" of {self.expected}" if self.expected else ""
        left = f", about {max(0, self.expected - done) / rate:.0f} s left" if self.expected and rate else ""
        rejected, failed = fates.rejected.total(), fates.failed.total()
        counts = f"{done}{of} done: {fates.kept} kept, {rejected} rejected, {failed} failed"
        return f"{self.stage:<9} {counts}; {rate:.1f}/s, {seconds:.0f} s{left}"

    def standing(self, seconds: float) -> Standing:
        """Where the stage stands after `seconds`, for its metrics."""
        return Standing(self.stage, self.folder.name, self._settled(), seconds, self.bytes, self.expected, False)

    def _settled(self) -> Fates:
        """The fates of finished parts and of those under way."""
        return Fates().add_all([self.fates, *(fates for name, fates in self.open.items() if name not in self.counted)])

    def look(self) -> None:
        """Counts what finished since the last look, and what is under way."""
        self.open = dict(open_fates(self.folder))
        for name, receipt in self._new_receipts():
            self.counted.add(name)
            self.fates.add_all([receipt.fates])
            self.handled += receipt.handled
            self.bytes += sum(file.bytes for file in receipt.files if not file.path.startswith(WORK))

    def _new_receipts(self) -> Iterator[tuple[str, Receipt]]:
        """The receipts that are not counted yet; those in a store are read many at once."""
        if isinstance(self.folder, ObjectPath):
            yield from ((name, receipt) for name, receipt in all_receipts(self.folder) if name not in self.counted)
            return
        for name in set(receipt_names(self.folder)) - self.counted:
            receipt = read_receipt(self.folder, name)
            if receipt is not None:
                yield name, receipt


@contextmanager
def stage_progress(console: Console, stage: str, folder: AnyPath, expected: int) -> Iterator[StageProgress]:
    """The live line of one stage: redrawn in place on a terminal, now and then a line of its own elsewhere."""
    progress = StageProgress(console, stage, folder, expected)
    if not console.is_terminal:
        progress.last_line = time.monotonic()
        yield progress
        return
    with Live(Text(f"{stage:<9} starting"), console=console, refresh_per_second=4, transient=True) as live:
        progress.live = live
        yield progress


def stage_line(result: StageResult) -> str:
    """The line that stays when a stage is done."""
    counts = result.manifest.counts
    if result.up_to_date:
        return f"{result.manifest.stage:<9} up to date ({counts.kept} kept)"
    turned_away = sum(counts.rejected.values())
    note = result.manifest.configuration.get("note")
    return (
        f"{result.manifest.stage:<9} {counts.records_in} in, {counts.kept} kept, {turned_away} rejected, "
        f"{sum(counts.failed.values())} failed in {result.seconds:.1f} s{f'; {note}' if note else ''}"
    )


def closing_table(results: list[StageResult]) -> Table:
    """The funnel: stage, records in, kept, rejected and failed by reason, seconds; 80 columns hold it unbroken."""
    table = compact_table("What became of everything")
    table.add_column("stage", no_wrap=True)
    table.add_column("in", justify="right", no_wrap=True)
    table.add_column("kept", justify="right", no_wrap=True)
    table.add_column("rejected, by reason", no_wrap=True)
    table.add_column("failed, by reason", no_wrap=True)
    table.add_column("seconds", justify="right")
    for result in results:
        counts = result.manifest.counts
        seconds = "up to date" if result.up_to_date else f"{result.seconds:.1f}"
        kept = f"{counts.kept}" + _samples(result.manifest)
        row = (str(counts.records_in), kept, _reasons(counts.rejected), _reasons(counts.failed), seconds)
        table.add_row(result.manifest.stage, *row)
    return table


def _samples(manifest: Manifest) -> str:
    """How many samples a dataset stage made of what it kept."""
    return "".join(f"\n{number} {split}" for split, number in sorted(manifest.splits.items()))


def _reasons(counts: Mapping[str, int]) -> str:
    """The reasons, the commonest first, a line each."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return "\n".join(f"{number} {reason}" for reason, number in ordered) or "–"
