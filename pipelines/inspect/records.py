"""What the crawl stored of a URL, found through its ledger: the picture drawn anew, the page as plain text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from pipelines.errors import StageError
from pipelines.facts import Row
from pipelines.inspect.sources import Source, StageState

MAX_CHARACTERS = 700
"""Of a text that was turned away, that are shown."""

MAX_PAGE = 60_000
"""Bytes of a page's source that are shown."""

SHOWN_SIDE = 192
"""Longer side of a fetched picture as it is shown, in pixels."""


class Place(NamedTuple):
    """Where a payload is stored."""

    warc: Path
    offset: int


class Shown(NamedTuple):
    """A text, as much of it as is shown, and what there is to say of it."""

    url: str
    text: str
    num_more: int
    note: str


class Record(NamedTuple):
    """What stands in a WARC record."""

    url: str
    where: str
    headers: tuple[tuple[str, str], ...]
    source: str
    num_more: int


def crawl_of(source: Source, state: StageState | None) -> StageState | None:
    """The crawl that a stage was made from, or else the one in force."""
    inputs = state.manifest.inputs if state and state.manifest else ()
    wanted = next((entry.fingerprint for entry in inputs if entry.stage == "crawl"), "")
    return (source.version("crawl", wanted) if wanted else None) or source.stage("crawl")


def place_of(source: Source, crawl: StageState | None, url: str) -> Place | None:
    """Where a crawl stored what it fetched from a URL; None where it did not."""
    if crawl is None:
        return None
    rows, _ = source.rows(crawl, "ledger-", "url", {url}, ("url", "warc_file", "warc_offset"))
    row = next((row for row in rows if row["warc_offset"] >= 0), None)
    return Place(crawl.folder / row["warc_file"], row["warc_offset"]) if row else None


def draw_fetched(place: Place) -> Image.Image | None:
    """The picture as it was fetched, made smaller, within the limits of the crawl; None where it cannot be drawn.

    Raises:
        WarcError: the record is damaged.
    """
    from crawl.image_settings import ImageSettings  # noqa: PLC0415 - a dataset alone is shown without the crawler
    from crawl.images import draw_clean  # noqa: PLC0415
    from crawl.picture_filters.settings import NO_FILTERS  # noqa: PLC0415
    from crawl.warc import read_payload  # noqa: PLC0415

    anything = ImageSettings(
        size=SHOWN_SIDE, min_side=1, max_aspect=1e6, resize="fit", filters=NO_FILTERS, look=False, upscale=False
    )
    found = draw_clean(read_payload(place.warc, place.offset), anything)
    return found if isinstance(found, Image.Image) else None


def read_page(source: Source, url: str) -> Record:
    """What was stored of a URL, as text that nobody executes.

    Raises:
        StageError: nothing is stored of it.
        WarcError: the record is damaged.
    """
    from crawl.warc import read_record  # noqa: PLC0415

    crawl = source.stage("crawl")
    place = place_of(source, crawl, url)
    if place is None:
        raise StageError(f"{url}: this crawl stored nothing of it")
    stored = read_record(place.warc, place.offset)
    text = stored.payload[:MAX_PAGE]
    is_text = stored.media_type.startswith("text/") or stored.media_type.endswith(("html+xml", "/xml", "/json"))
    shown = _as_text(text, stored.charset) if is_text else text[:4096].hex(" ", 2)
    return Record(
        url, f"{place.warc.name}, offset {place.offset:,}", stored.headers, shown, len(stored.payload) - len(text)
    )


def text_again(source: Source, state: StageState, row: Row) -> Shown:
    """What a page said that the text stage turned away: taken out anew, without the private data it would lose.

    Raises:
        WarcError: the record is damaged.
    """
    from crawl.warc import WarcError  # noqa: PLC0415

    url, detail = row["key"], row["detail"]
    place = place_of(source, crawl_of(source, state), url)
    if place is None:
        return Shown(url, "", 0, f"{detail} (its record is gone)")
    if row["fate"] == "failed":  # whatever made it fail would do so here
        return Shown(url, "", 0, detail)
    assert state.manifest is not None
    try:
        text = _judged_text(place, row, state.manifest.configuration)
    except (WarcError, OSError) as error:
        return Shown(url, "", 0, f"{detail} ({error})")
    return cut(url, text, detail)


def cut(url: str, text: str, note: str, most: int = MAX_CHARACTERS) -> Shown:
    """As much of a text as is shown."""
    return Shown(url, text[:most], max(0, len(text) - most), note)


def _judged_text(place: Place, row: Row, configuration: Mapping[str, Any]) -> str:
    """The text that was judged, "" where none could be taken out."""
    from crawl.text import AT_A_QUICK_LOOK, clean_page, clean_plain_text  # noqa: PLC0415
    from crawl.text_rules import RuleSettings  # noqa: PLC0415
    from crawl.text_settings import Extractor, TextSettings  # noqa: PLC0415
    from crawl.verdict import Verdict  # noqa: PLC0415
    from crawl.visit import LOCAL_TEXT_TYPES  # noqa: PLC0415
    from crawl.warc import read_record  # noqa: PLC0415

    stored = read_record(place.warc, place.offset)
    is_quick = configuration["extractor"] == "fast" or str(row["detail"]).endswith(AT_A_QUICK_LOOK)
    extractor: Extractor = "fast" if is_quick else "best"
    limits = (configuration["max_bytes"], configuration["max_nodes"])
    no_rules = RuleSettings(0, None, None, None, None)
    settings = TextSettings(extractor, no_rules, tuple(configuration["private_data"]), *limits)
    if stored.media_type in LOCAL_TEXT_TYPES:
        text = clean_plain_text(stored.payload, stored.charset, settings)
    else:
        text = clean_page(stored.payload, row["key"], stored.charset, settings)
    return "" if isinstance(text, Verdict) else text.text


def _as_text(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(charset or "utf-8", errors="replace")
    except LookupError:  # a server names its charset as it likes
        return data.decode("utf-8", errors="replace")
