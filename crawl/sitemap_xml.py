"""The entries of sitemaps, of their indexes and of feeds, from XML that may be hostile.

Entities are refused, nothing is loaded from anywhere, and the work is bounded by elements, depth and characters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple
from xml.parsers import expat

from crawl.urls import MAX_URL_LENGTH

MAX_ELEMENTS = 2_000_000
"""Elements of one file that are read. A sitemap of 50 MB has about 1.6 million at 32 bytes each."""

MAX_ENTRIES = 50_000
"""URLs of a sitemap, and sitemaps of an index, that are read. Source: sitemaps.org."""

MAX_DEPTH = 100
"""Elements that may be open at once."""

_MAX_TEXT = MAX_URL_LENGTH + 1
"""Characters of one field that are kept: a URL that was cut is too long to be taken for one."""

_IMAGE_NAMESPACE = "sitemap-image"
_IMAGE_FIELDS = frozenset({"loc", "caption", "title", "license"})
_ENTRY_TAGS: Mapping[tuple[str, ...], Literal["page", "sitemap"]] = {
    ("urlset", "url"): "page",
    ("sitemapindex", "sitemap"): "sitemap",
    ("rss", "channel", "item"): "page",
    ("RDF", "item"): "page",
    ("feed", "entry"): "page",
}
_URL_FIELDS = frozenset({"loc", "link"})
_TIME_FIELDS = frozenset({"lastmod", "pubDate", "date", "updated"})


class SitemapError(Exception):
    """A file that is no sitemap, or too much of one.

    Attributes:
        reason: snake_case fact: "not_a_sitemap", "entities", "too_many_elements", "too_deep", "bad_gzip" or
            "too_many_bytes".
        detail: what exactly was found.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class Entry:
    """One thing a sitemap lists, as written.

    Attributes:
        kind: "page", or "sitemap" in an index.
        url: its URL, "" where it has none.
        time: when it was changed last, in any spelling, "" where that is not told.
        images: fields of its pictures: `loc`, `caption`, `title` and `license`.
    """

    kind: Literal["page", "sitemap"]
    url: str = ""
    time: str = ""
    images: list[dict[str, str]] = field(default_factory=list)


class Entries(NamedTuple):
    """What was read of a sitemap.

    Attributes:
        entries: the first `MAX_ENTRIES` of them.
        num_others: how many more there are.
        is_whole: whether it was read to its end; else its XML breaks off.
    """

    entries: list[Entry]
    num_others: int
    is_whole: bool


def entries_of_text(data: bytes) -> Entries:
    """Return the lines of a text sitemap that are not blank as entries."""
    lines = (line for match in re.finditer(rb"[^\r\n]+", data) if (line := match.group().strip()))
    entries = [Entry("page", line.decode("utf-8", "replace")) for line in islice(lines, MAX_ENTRIES)]
    return Entries(entries, sum(1 for _ in lines), True)


def entries_of_xml(data: bytes) -> Entries:
    """Return the entries of a sitemap, of an index, or of an RSS or Atom feed.

    Args:
        data: XML without anything before it.

    Raises:
        SitemapError: it is none of these, or hostile.
    """
    reader = _Reader()
    fault = ""
    try:
        reader.parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        fault = str(error)
    if not reader.is_sitemap:
        raise SitemapError("not_a_sitemap", fault or f"its first element is {reader.root!r}")
    return Entries(reader.entries, reader.num_others, not fault)


class _Reader:
    """Collects entries while expat reads."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.num_others = 0
        self.root, self.is_sitemap = "", False
        self._open: list[str] = []
        self._num_elements = 0
        self._entry: Entry | None = None
        self._entry_depth = 0
        self._text: list[str] | None = None
        self._num_chars = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._refuse_entity

    def _refuse_entity(self, name: str, *_: object) -> None:
        raise SitemapError("entities", f"it declares an entity {name[:100]!r}")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        self._num_elements += 1
        if self._num_elements > MAX_ELEMENTS:
            raise SitemapError("too_many_elements", f"more than {MAX_ELEMENTS} elements")
        if len(self._open) >= MAX_DEPTH:
            raise SitemapError("too_deep", f"more than {MAX_DEPTH} elements inside one another")
        if not self._open:
            self.root = name[:100]
            self.is_sitemap = any(name == tags[0] for tags in _ENTRY_TAGS)
        is_image = _IMAGE_NAMESPACE in namespace
        self._open.append(f"image:{name}" if is_image else name)
        self._text, self._num_chars = [], 0
        if self._entry is None:
            kind = _ENTRY_TAGS.get(tuple(self._open)) if len(self._open) <= 3 else None
            if kind is not None:
                self._begin(Entry(kind))
        elif is_image and name == "image":
            self._entry.images.append({})
        elif name == "link" and "href" in attributes and attributes.get("rel", "alternate") == "alternate":
            self._entry.url = self._entry.url or attributes["href"].strip()[:_MAX_TEXT]

    def _begin(self, entry: Entry) -> None:
        if len(self.entries) >= MAX_ENTRIES:
            self.num_others += 1
            return
        self._entry, self._entry_depth = entry, len(self._open)
        self.entries.append(entry)

    def _characters(self, text: str) -> None:
        if self._text is not None and self._num_chars < _MAX_TEXT:
            self._text.append(text)
            self._num_chars += len(text)

    def _end(self, _: str) -> None:
        name = self._open.pop()
        text, self._text = "".join(self._text or ()).strip()[:_MAX_TEXT], None
        if self._entry is None or not text:
            self._leave()
            return
        if len(self._open) == self._entry_depth and name in _URL_FIELDS:
            self._entry.url = self._entry.url or text
        elif len(self._open) == self._entry_depth and name in _TIME_FIELDS:
            self._entry.time = self._entry.time or text
        elif self._open[-1:] == ["image:image"] and name.removeprefix("image:") in _IMAGE_FIELDS:
            self._entry.images[-1].setdefault(name.removeprefix("image:"), text)
        self._leave()

    def _leave(self) -> None:
        if len(self._open) < self._entry_depth:
            self._entry, self._entry_depth = None, 0
