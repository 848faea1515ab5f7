"""Documents and pages that were turned away, side by side: by reason, a few of each, drawn by a hash.

A page's text is kept nowhere once it was turned away: it is taken out anew, from the WARC record that its ledger row
names, as far as the stage looked at it, and without the private data that a document would lose.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from crawl.text import AT_A_QUICK_LOOK, clean_page, clean_plain_text
from crawl.text_rules import RuleSettings
from crawl.text_settings import Extractor, TextSettings
from crawl.verdict import Verdict
from crawl.visit import LOCAL_TEXT_TYPES
from crawl.warc import WarcError, read_record
from pipelines.drawn import GONE, draw, draw_by_reason, stage_rows, warc_places
from pipelines.facts import Row
from shards.manifest import Manifest, ManifestError

NUM_PAIRS = 3
"""Of each reason."""

MAX_CHARACTERS = 700
"""Of a text that are shown."""

NUM_OTHERS = 60
"""Documents shown beside what was turned away for what it is, not for what it is like; then they come again."""

NO_RULES = RuleSettings(0, None, None, None, None)
DUPLICATES = ("exact_duplicate", "same_text", "near_duplicate")
"""Reasons whose detail begins with the URL or the key of the one that was kept."""


class Sample(NamedTuple):
    """A page, as much of its text as is shown, and what there is to say of it."""

    url: str
    text: str
    num_more: int
    note: str


class Pair(NamedTuple):
    """A page that was turned away, and one that was kept: where they are alike, the one kept in its place."""

    away: Sample
    kept: Sample | None


@dataclass(frozen=True)
class Reason:
    """Why pages were turned away, how many, and some of them."""

    fate: str
    reason: str
    number: int
    pairs: Sequence[Pair]


def pair_samples(out: Path, manifest: Manifest) -> Iterator[Reason]:
    """Yields the reasons of the text stage in `out`, the commonest first, each with a few pages beside documents."""
    folder = out / "text" / manifest.fingerprint
    rejects = stage_rows(folder, manifest, "rejects-", ("key", "fate", "reason", "detail"))
    drawn = draw_by_reason(rejects, NUM_PAIRS)
    drawn.pop(GONE, None)
    others = [row["key"] for row in draw(stage_rows(folder, manifest, "documents-", ("key",)), NUM_OTHERS)]
    rows = [row for rows in drawn.values() for row in rows]
    kept = _kept(folder, manifest, {*others, *map(_twin, rows)})
    away, twins = turned_away(out, manifest, rows), {kept.get(_twin(row)) for row in rows}
    turn = cycle([kept[key] for key in others if kept[key] not in twins] or [None])
    for fate, counts in (("rejected", manifest.counts.rejected), ("failed", manifest.counts.failed)):
        for reason, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            some = (row for row in drawn.get(reason, ()) if row["fate"] == fate)
            pairs = [Pair(away[row["key"]], kept.get(_twin(row)) or next(turn)) for row in some]
            yield Reason(fate, reason, number, pairs)


def _twin(row: Row) -> str:
    """The URL or the key of what was kept in the place of a duplicate, "" for what is none."""
    return str(row["detail"]).partition(",")[0] if row["reason"] in DUPLICATES else ""


def _kept(folder: Path, manifest: Manifest, names: set[str]) -> dict[str, Sample]:
    """The documents of some keys and URLs, by both."""
    wanted, found = sorted(names), {}
    columns = ["key", "url", "text", "num_words", "language"]
    for file in (file for file in manifest.files if file.path.startswith("documents-")):
        filters = [[("key", "in", wanted)], [("url", "in", wanted)]]
        for row in pq.read_table(folder / file.path, columns=columns, filters=filters).to_pylist():
            sample = _sample(row["url"], row["text"], f"{row['num_words']:,} words, {row['language']}")
            found[row["key"]] = found[row["url"]] = sample
    return found


def turned_away(out: Path, manifest: Manifest, rows: Sequence[Row]) -> dict[str, Sample]:
    """What some pages said that were turned away, by URL."""
    crawl = out / "crawl" / next(entry.fingerprint for entry in manifest.inputs if entry.stage == "crawl")
    try:
        places = warc_places(crawl, [row["key"] for row in rows])
    except ManifestError:
        places = {}
    return {row["key"]: _away_sample(crawl, places.get(row["key"]), row, manifest.configuration) for row in rows}


def _away_sample(crawl: Path, place: tuple[str, int] | None, row: Row, configuration: Mapping[str, Any]) -> Sample:
    if place is None:
        return Sample(row["key"], "", 0, f"{row['detail']} (its record is gone)")
    if row["fate"] == "failed":  # whatever made it fail would do so here
        return Sample(row["key"], "", 0, row["detail"])
    try:
        return _sample(row["key"], _text_again(crawl / place[0], place[1], row, configuration), row["detail"])
    except (WarcError, OSError) as error:
        return Sample(row["key"], "", 0, f"{row['detail']} ({error})")


def _text_again(warc: Path, offset: int, row: Row, configuration: Mapping[str, Any]) -> str:
    """The text that was judged, "" where none could be taken out."""
    stored = read_record(warc, offset)
    extractor: Extractor = "fast" if configuration["extractor"] == "fast" or _was_quick(row) else "best"
    limits = (configuration["max_bytes"], configuration["max_nodes"])
    settings = TextSettings(extractor, NO_RULES, tuple(configuration["private_data"]), *limits)
    if stored.media_type in LOCAL_TEXT_TYPES:
        text = clean_plain_text(stored.payload, stored.charset, settings)
    else:
        text = clean_page(stored.payload, row["key"], stored.charset, settings)
    return "" if isinstance(text, Verdict) else text.text


def _was_quick(row: Row) -> bool:
    return str(row["detail"]).endswith(AT_A_QUICK_LOOK)


def _sample(url: str, text: str, note: str) -> Sample:
    return Sample(url, text[:MAX_CHARACTERS], max(0, len(text) - MAX_CHARACTERS), note)
