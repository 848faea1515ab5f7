"""What is in a build or a dataset, as tables: fates and files of each stage, splits, levels, lengths."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.folders import committed_folders
from shards.committed import Committed
from shards.manifest import canonical_json
from shards.stats import SplitStats, dataset_stats
from shards.triplet import KIND, TripletSpec

_QUANTILES = (("shortest", 0.0), ("a quarter up to", 0.25), ("half up to", 0.5), ("longest", 1.0))


def print_stats(path: str, console: Console) -> None:
    """Prints the statistics of what `path` means: the stages in force in a build, one of them, or a dataset.

    Raises:
        ManifestError: nothing is committed there.
        DatasetError: a shard cannot be read.
    """
    folders = committed_folders(path)
    _print(stages_table(folders), console)
    for committed in folders:
        if "spec" in committed.manifest.configuration:
            for table in dataset_tables(committed):
                _print(table, console)


def stages_json(path: str) -> str:
    """What stands committed in what `path` means, as a JSON list: an object a stage, as its manifest says.

    Raises:
        ManifestError: nothing is committed there.
    """
    return canonical_json([_as_json(committed) for committed in committed_folders(path)])


def _as_json(committed: Committed) -> dict[str, Any]:
    manifest = committed.manifest
    sizes = {"files": len(manifest.files), "bytes": sum(file.bytes for file in manifest.files)}
    named = {"stage": manifest.stage, "fingerprint": manifest.fingerprint, "manifest_sha256": committed.sha256}
    return {**named, "path": committed.store.where, **asdict(manifest.counts), "splits": manifest.splits, **sizes}


def _print(table: Table, console: Console) -> None:
    """Prints a table under its title and above its caption, which would be broken at the table's width within it."""
    title, caption, table.title, table.caption = table.title, table.caption, None, None
    console.print(Text(f"\n{title}", "bold"), soft_wrap=True)
    console.print(table)
    if caption:
        console.print(Text(str(caption), "dim"), soft_wrap=True)


def stages_table(folders: Iterable[Committed]) -> Table:
    """What each folder kept of what went in, and what it takes."""
    table = _table("What is there", "stage", "version", "in", "kept", "rejected", "failed", "files", "MB")
    for committed in folders:
        manifest = committed.manifest
        counts = manifest.counts
        fates = (counts.records_in, counts.kept, sum(counts.rejected.values()), sum(counts.failed.values()))
        size = sum(file.bytes for file in manifest.files)
        numbers = (*(f"{number:,}" for number in (*fates, len(manifest.files))), f"{size / 1e6:,.1f}")
        table.add_row(manifest.stage, manifest.fingerprint, *numbers)
    return table


def dataset_tables(committed: Committed) -> list[Table]:
    """The tables of one dataset."""
    spec = committed.manifest.configuration["spec"]
    splits = list(dataset_stats(committed))
    if not splits:
        return []
    if spec["kind"] == KIND:
        return [_splits_table(committed, splits, "pictures"), _levels_table(TripletSpec.from_json(spec), splits)]
    return [_splits_table(committed, splits, "documents"), _lengths_table(committed, splits)]


def _splits_table(committed: Committed, splits: Sequence[SplitStats], items: str) -> Table:
    table = _table(f"{committed.manifest.stage}: splits", "split", "samples", items, "shards", "MB", "bytes a sample")
    for split in splits:
        each = f"{split.num_bytes / max(1, split.num_samples):,.0f}"
        numbers = (f"{split.num_samples:,}", f"{len(split.items):,}", f"{split.num_shards:,}")
        table.add_row(split.split, *numbers, f"{split.num_bytes / 1e6:,.1f}", each)
    total: Counter[str] = Counter()
    for split in splits:
        total.update(split.member_bytes)
    members = ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in total.items())
    captions, pictures = sum(split.num_captions for split in splits), sum(len(split.items) for split in splits)
    table.caption = f"in {members}" + (f"; {captions:,} of {pictures:,} pictures have a caption" if captions else "")
    return table


def _levels_table(spec: TripletSpec, splits: Sequence[SplitStats]) -> Table:
    names = [split.split for split in splits]
    what = f"{spec.size}×{spec.size}×{spec.channels}, {spec.mode}, {spec.schedule}, {spec.corruption}, seed {spec.seed}"
    table = _table(f"levels: {what}", "step", "static", "a", "b", *names)
    for step in range(1, spec.steps + 1):
        a, b = (float(factor[step - 1]) for factor in spec.factors)
        share = b * b / (a * a + b * b) if spec.corruption == "gaussian" else step / spec.steps
        counts = (f"{split.steps[step]:,}" for split in splits)
        table.add_row(str(step), f"{share:.0%}", f"{a:.4f}", f"{b:.4f}", *counts)
    return table


def _lengths_table(committed: Committed, splits: Sequence[SplitStats]) -> Table:
    context = committed.manifest.configuration["spec"]["context"]
    unknown = committed.manifest.configuration.get("unknown_rate", {})
    names = (name for name, _ in _QUANTILES)
    table = _table(f"lengths: windows of {context + 1} tokens", "split", "tokens", *names, "full", "unknown words")
    for split in splits:
        ordered = sorted(split.lengths.elements())
        tokens = sum(ordered)
        full = f"{split.lengths[context + 1] / len(ordered):.1%}"
        chosen = (str(ordered[round(share * (len(ordered) - 1))]) for _, share in _QUANTILES)
        table.add_row(split.split, f"{tokens:,}", *chosen, full, f"{unknown.get(split.split, 0):.2%}")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table
