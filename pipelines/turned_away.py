"""Pages that were turned away, read again: a page's text is kept nowhere once it was turned away.

It is taken out anew from the WARC record that its ledger row names, as far as the stage looked at it, and without the
private data that a document would lose.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from crawl.text import AT_A_QUICK_LOOK, clean_page, clean_plain_text
from crawl.text_rules import RuleSettings
from crawl.text_settings import Extractor, TextSettings
from crawl.verdict import Verdict
from crawl.visit import LOCAL_TEXT_TYPES
from crawl.warc import WarcError, read_record
from pipelines.drawn import warc_places
from pipelines.facts import Row
from shards.manifest import Manifest, ManifestError

MAX_CHARACTERS = 700
"""Of a text that are shown."""

NO_RULES = RuleSettings(0, None, None, None, None)


class Sample(NamedTuple):
    """A page, as much of its text as is shown, and what there is to say of it."""

    url: str
    text: str
    num_more: int
    note: str


def turned_away(out: Path, manifest: Manifest, rows: Sequence[Row]) -> dict[str, Sample]:
    """What some pages said that the text stage turned away, by URL."""
    crawl = out / "crawl" / next(entry.fingerprint for entry in manifest.inputs if entry.stage == "crawl")
    try:
        places = warc_places(crawl, [row["key"] for row in rows])
    except ManifestError:
        places = {}
    found = {}
    for row in rows:
        place = places.get(row["key"])
        found[row["key"]] = away_sample((crawl / place[0], place[1]) if place else None, row, manifest.configuration)
    return found


def away_sample(place: tuple[Path, int] | None, row: Row, configuration: Mapping[str, Any]) -> Sample:
    """What a page said that was turned away.

    Args:
        place: WARC file and offset of what was fetched, None where it is gone.
        row: of the table of rejects.
        configuration: of the text stage.
    """
    if place is None:
        return Sample(row["key"], "", 0, f"{row['detail']} (its record is gone)")
    if row["fate"] == "failed":  # whatever made it fail would do so here
        return Sample(row["key"], "", 0, row["detail"])
    try:
        return cut(row["key"], _text_again(*place, row, configuration), row["detail"])
    except (WarcError, OSError) as error:
        return Sample(row["key"], "", 0, f"{row['detail']} ({error})")


def cut(url: str, text: str, note: str) -> Sample:
    """As much of a text as is shown."""
    return Sample(url, text[:MAX_CHARACTERS], max(0, len(text) - MAX_CHARACTERS), note)


def _text_again(warc: Path, offset: int, row: Row, configuration: Mapping[str, Any]) -> str:
    """The text that was judged, "" where none could be taken out."""
    stored = read_record(warc, offset)
    is_quick = configuration["extractor"] == "fast" or str(row["detail"]).endswith(AT_A_QUICK_LOOK)
    extractor: Extractor = "fast" if is_quick else "best"
    limits = (configuration["max_bytes"], configuration["max_nodes"])
    settings = TextSettings(extractor, NO_RULES, tuple(configuration["private_data"]), *limits)
    if stored.media_type in LOCAL_TEXT_TYPES:
        text = clean_plain_text(stored.payload, stored.charset, settings)
    else:
        text = clean_page(stored.payload, row["key"], stored.charset, settings)
    return "" if isinstance(text, Verdict) else text.text
