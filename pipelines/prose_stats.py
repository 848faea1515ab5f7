"""What a build's prose comes to: documents, words and tokens, by language, host, length and split."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from crawl.urls import host_of
from pipelines.drawn import stage_rows
from pipelines.facts import Row
from pipelines.folders import committed_folders, current_manifest
from shards.describe import SPLITS
from shards.manifest import Counts, Manifest
from shards.stats import dataset_stats

NUM_HOSTS, NUM_LANGUAGES = 12, 12
"""Lines told of, the largest first; the rest is one line more."""


class Bar(NamedTuple):
    """One line of a chart.

    Attributes:
        label: What it is of.
        kept: Its length.
        away: What is drawn behind it in another colour.
        note: What else there is to say, may be empty.
    """

    label: str
    kept: int
    away: int = 0
    note: str = ""


@dataclass
class Amount:
    """Pages, and what they came to."""

    documents: int = 0
    words: int = 0
    away: int = 0


@dataclass
class ProseStats:
    """The text stage, counted.

    Attributes:
        total: Of everything.
        languages: By language.
        hosts: By host, "" for what came from none.
        splits: By split.
        lengths: Documents by the bits of their number of words: those of 64 to 127 words under 7.
        scores: Documents by the tenth that their quality score lies in: those of 0.7 to 0.8 under 7.
        private_data: Placeholders by kind.
    """

    total: Amount = field(default_factory=Amount)
    languages: defaultdict[str, Amount] = field(default_factory=lambda: defaultdict(Amount))
    hosts: defaultdict[str, Amount] = field(default_factory=lambda: defaultdict(Amount))
    splits: defaultdict[str, Amount] = field(default_factory=lambda: defaultdict(Amount))
    lengths: Counter[int] = field(default_factory=Counter)
    scores: Counter[int] = field(default_factory=Counter)
    private_data: Counter[str] = field(default_factory=Counter)

    def add_document(self, row: Row) -> None:
        """Counts a document."""
        groups = (self.languages[row["language"]], self.hosts[host_of(row["url"])], self.splits[row["split"]])
        for amount in (self.total, *groups):
            amount.documents += 1
            amount.words += row["num_words"]
        self.lengths[row["num_words"].bit_length()] += 1
        self.scores[min(9, int(10 * row["quality_score"]))] += 1
        self.private_data.update(json.loads(row["private_data"]))

    def add_reject(self, row: Row) -> None:
        """Counts a page that was turned away, or could not be had."""
        self.total.away += 1
        self.hosts[host_of(row["key"])].away += 1


class SplitLine(NamedTuple):
    """What a split holds; what its windows hold is 0 where none were made.

    Attributes:
        split: Its name.
        documents: In it.
        words: In it, parted by white space.
        windows: Made of it.
        tokens: In the windows; where two overlap, twice.
        positions: In the windows, filled or not.
        unknown: Share of its tokens that the dictionary does not hold.
    """

    split: str
    documents: int
    words: int
    windows: int
    tokens: int
    positions: int
    unknown: float


def fate_bars(counts: Counts) -> list[Bar]:
    """What was kept of a stage's input, and what became of the rest, the commonest first."""
    away = [(reason.replace("_", " "), number) for reason, number in counts.rejected.items()]
    away += [(f"{reason.replace('_', ' ')}, failed", number) for reason, number in counts.failed.items()]
    away.sort(key=lambda item: (-item[1], item[0]))
    return [Bar("kept", counts.kept), *(Bar(reason, 0, number) for reason, number in away)]


def length_bars(lengths: Mapping[int, int]) -> list[Bar]:
    """A line for each power of two from the shortest document to the longest.

    >>> [bar[:2] for bar in length_bars({7: 3, 9: 1})]
    [('64 – 127', 3), ('128 – 255', 0), ('256 – 511', 1)]
    """
    bits = range(min(lengths, default=0), max(lengths, default=-1) + 1)
    return [Bar(f"{1 << each >> 1:,} – {(1 << each) - 1:,}", lengths.get(each, 0)) for each in bits]


def score_bars(scores: Mapping[int, int]) -> list[Bar]:
    """A line for each tenth; none where no document has a score above 0.1, as where none were scored.

    >>> [bar[:2] for bar in score_bars({8: 3, 9: 1})][-2:], score_bars({0: 4})
    ([('0.8 – 0.9', 3), ('0.9 – 1.0', 1)], [])
    """
    tenths = range(10) if any(scores) else ()
    return [Bar(f"{each / 10} – {(each + 1) / 10}", scores.get(each, 0)) for each in tenths]


def amount_bars(amounts: Mapping[str, Amount], most: int, nameless: str) -> list[Bar]:
    """A line for each of the largest, and one for all others."""
    ordered = sorted(amounts.items(), key=lambda item: (-item[1].documents, -item[1].away, item[0]))
    bars = [_bar(name or nameless, [amount]) for name, amount in ordered[:most]]
    if len(ordered) > most:
        bars.append(_bar(f"{len(ordered) - most:,} more", [amount for _, amount in ordered[most:]]))
    return bars


def split_lines(out: Path, stats: ProseStats) -> list[SplitLine]:
    """A line for each split that has documents; its windows are those in force."""
    manifest = current_manifest(out, "windows")
    windows = _windows(out, manifest) if manifest else {}
    unknown = manifest.configuration.get("unknown_rate", {}) if manifest else {}
    lines = []
    for split in (split for split in SPLITS if split in stats.splits):
        amount = stats.splits[split]
        counts = windows.get(split, (0, 0, 0))
        lines.append(SplitLine(split, amount.documents, amount.words, *counts, unknown.get(split, 0.0)))
    return lines


def count_prose(folder: Path, manifest: Manifest) -> ProseStats:
    """The text stage in a folder, counted."""
    stats = ProseStats()
    columns = ("url", "num_words", "language", "private_data", "quality_score", "split")
    for row in stage_rows(folder, manifest, "documents-", columns):
        stats.add_document(row)
    for row in stage_rows(folder, manifest, "rejects-", ("key",)):
        stats.add_reject(row)
    return stats


def _bar(label: str, amounts: Sequence[Amount]) -> Bar:
    words = sum(amount.words for amount in amounts)
    documents, away = (sum(getattr(amount, name) for amount in amounts) for name in ("documents", "away"))
    return Bar(label, documents, away, f"{words:,} words" if words else "")


def _windows(out: Path, manifest: Manifest) -> dict[str, tuple[int, int, int]]:
    """Windows, their tokens and their positions, by split."""
    (committed,) = committed_folders(str(out / "windows"))
    width = manifest.configuration["spec"]["context"] + 1
    counted = {}
    for split in dataset_stats(committed):
        tokens = sum(length * number for length, number in split.lengths.items())
        counted[split.split] = (split.num_samples, tokens, split.num_samples * width)
    return counted
