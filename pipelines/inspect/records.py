"""What the crawl stored of a URL, found through its ledger: the picture drawn anew, the page as plain text."""

from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pipelines.errors import StageError
from pipelines.inspect.sources import Source, StageState

MAX_PAGE = 60_000
"""Bytes of a page's source that are shown."""

MAX_BINARY = 4_096
"""Bytes of anything else that are shown, in hexadecimal digits."""

SHOWN_SIDE = 192
"""Longer side of a fetched picture as it is shown, in pixels."""


class Place(NamedTuple):
    """Where a payload is stored."""

    warc: Path
    offset: int


class Record(NamedTuple):
    """What stands in a WARC record."""

    url: str
    where: str
    headers: tuple[tuple[str, str], ...]
    source: str
    num_more: int


def crawl_of(source: Source, state: StageState | None) -> StageState | None:
    """The crawl that a stage was made from, or else the one in force."""
    return source.input_of(state, "crawl") or source.stage("crawl")


def place_of(source: Source, crawl: StageState | None, url: str) -> Place | None:
    """Where a crawl stored what it fetched from a URL; None where it did not."""
    if crawl is None:
        return None
    rows, _ = source.rows(crawl, "ledger-", "url", {url}, ("url", "warc_file", "warc_offset"))
    row = next((row for row in rows if row["warc_offset"] >= 0), None)
    return Place(crawl.folder / row["warc_file"], row["warc_offset"]) if row else None


def draw_fetched(place: Place) -> Image.Image | None:
    """The picture as it was fetched, made smaller, within the limits of the crawl; None where it cannot be drawn."""
    from crawl.warc import WarcError  # noqa: PLC0415 - a dataset alone is shown without the crawler
    from pipelines.sheet import look  # noqa: PLC0415

    try:
        return look(place.warc.parent, (place.warc.name, place.offset), SHOWN_SIDE)
    except WarcError:
        return None


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
    is_text = stored.media_type.startswith("text/") or stored.media_type.endswith(("html+xml", "/xml", "/json"))
    data = stored.payload[: MAX_PAGE if is_text else MAX_BINARY]
    shown = _as_text(data, stored.charset) if is_text else data.hex(" ", 2)
    return Record(
        url, f"{place.warc.name}, offset {place.offset:,}", stored.headers, shown, len(stored.payload) - len(data)
    )


def _as_text(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(charset or "utf-8", errors="replace")
    except (LookupError, UnicodeError):  # a server names its charset as it likes, even "idna" or "undefined"
        return data.decode("utf-8", errors="replace")
