"""How many pages one file stands on, over a whole crawl, told by hashes only (law 1).

A file passes the shuffle with the smallest hashes of its pages, one more than a filter allows: where there are more,
their number is of no interest.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple, Protocol, Self
from urllib.parse import urlsplit

from crawl.picture_filters.placeholder import judge_places
from crawl.picture_filters.settings import FilterSettings
from crawl.verdict import Verdict


class Places(NamedTuple):
    """Hashes of the pages that a file stands on, and of their hosts: the smallest, in order."""

    pages: tuple[int, ...]
    hosts: tuple[int, ...]

    @classmethod
    def of(cls, pages: Iterable[str], settings: FilterSettings) -> Self:
        """The places with these pages' URLs, as far as the settings count them."""
        urls = set(pages)
        hosts = {urlsplit(url).hostname or "" for url in urls}
        return cls(_smallest(urls, settings.max_pages + 1), _smallest(hosts, settings.max_hosts + 1))


class Placed(Protocol):
    """A file with the places it stands in."""

    @property
    def places(self) -> Places:
        """They."""


def judge_copies(copies: Iterable[Placed], settings: FilterSettings) -> Verdict | None:
    """Why the file that `copies` are all copies of is not wanted, or None."""
    places = [Places(*copy.places) for copy in copies]
    pages = {page for place in places for page in place.pages}
    hosts = {host for place in places for host in place.hosts}
    return judge_places(len(pages), len(hosts), settings)


def _smallest(texts: Iterable[str], count: int) -> tuple[int, ...]:
    hashes = (int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") for text in texts)
    return tuple(sorted(hashes)[:count])
