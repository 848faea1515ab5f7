"""How many pages one file stands on, over a whole crawl, told by hashes only (law 1).

What passes a shuffle are the hashes of as many pages as a filter allows: where there are more, that there are.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple, Protocol, Self
from urllib.parse import urlsplit

from crawl.picture_filters.placeholder import judge_places
from crawl.picture_filters.settings import FilterSettings
from crawl.verdict import Verdict

Counted = tuple[int, ...] | None
"""Hashes of what is counted, in order; None where there are more than allowed, () where any number is."""


class Places(NamedTuple):
    """The pages that a file stands on, and their hosts; the hosts of too many pages are not counted."""

    pages: Counted
    hosts: Counted

    @classmethod
    def on(cls, page: str, settings: FilterSettings) -> Self:
        """The place on one page, by its URL."""
        host = urlsplit(page).hostname or ""
        return cls(_one(page, settings.max_pages), _one(host, settings.max_hosts))

    @property
    def are_too_many(self) -> bool:
        """Whether a file that stands there is not wanted, whatever else is known of it."""
        return self.pages is None or self.hosts is None


UNCOUNTED = Places((), ())
"""Where the number of places is of no interest, or no longer."""


def unite(places: Iterable[Places], settings: FilterSettings) -> Places:
    """All these places together: the same however they come, and whatever has been united before."""
    some = list(places)
    pages = _unite((place.pages for place in some), settings.max_pages)
    hosts = _unite((place.hosts for place in some), settings.max_hosts)
    return Places(pages, () if pages is None else hosts)


class Placed(Protocol):
    """A file with the places it stands in."""

    @property
    def places(self) -> Places:
        """They."""


def judge_copies(copies: Iterable[Placed], settings: FilterSettings) -> Verdict | None:
    """Why the file that `copies` are all copies of is not wanted, or None."""
    pages, hosts = unite((copy.places for copy in copies), settings)
    return judge_places(_number(pages, settings.max_pages), _number(hosts, settings.max_hosts), settings)


def _one(text: str, most: int) -> Counted:
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:5], "big"),) if most else ()


def _unite(counted: Iterable[Counted], most: int) -> Counted:
    hashes: set[int] = set()
    for some in counted:
        if some is None:
            return None
        hashes.update(some)
    return tuple(sorted(hashes)) if len(hashes) <= most else None


def _number(counted: Counted, most: int) -> int:
    return most + 1 if counted is None else len(counted)
