"""What is said of a picture's licence, in several places, and what it comes to."""

from collections.abc import Iterable
from typing import NamedTuple

from crawl.licences import OTHER, spdx_in_text, spdx_of_name, spdx_of_url
from crawl.records import UNKNOWN

METHODS = ("api", "sidecar", "list", "rel", "rdfa", "json_ld", "microdata", "link", "words", "sitemap", "xmp", "iptc")
"""How a statement was found, the most telling first."""

CONFLICT = "conflict"
"""Stands for the method where statements contradict each other."""


class Statement(NamedTuple):
    """What one place says of a picture.

    Attributes:
        method: one of `METHODS`.
        licences: SPDX identifiers, `OTHER` among them for terms of one's own; empty where it names none.
        url: where the licence, or a page to ask for one, stands; "unknown" where none is linked.
        author: "unknown" where none is named.
    """

    method: str
    licences: frozenset[str] = frozenset()
    url: str = UNKNOWN
    author: str = UNKNOWN


class Licence(NamedTuple):
    """What all statements come to.

    Attributes:
        licence: SPDX identifier; "unknown" where there is none, or more than one.
        url: evidence, "unknown" where none is linked.
        author: "unknown" where none is named.
        method: that of the first statement which names the licence; `CONFLICT`; "unknown" where none names any.
    """

    licence: str = UNKNOWN
    url: str = UNKNOWN
    author: str = UNKNOWN
    method: str = UNKNOWN


def combined(statements: Iterable[Statement]) -> Licence:
    """Return what statements come to; those that contradict each other come to nothing.

    >>> combined([Statement("rel", frozenset({"CC-BY-4.0"})), Statement("xmp", frozenset({"CC0-1.0"}))]).method
    'conflict'
    """
    ordered = sorted(statements, key=lambda statement: METHODS.index(statement.method))
    author = next((each.author for each in ordered if each.author != UNKNOWN), UNKNOWN)
    named = frozenset[str]().union(*(each.licences for each in ordered))
    if len(named) > 1:
        return Licence(author=author, method=CONFLICT)
    linked = [each.url for each in ordered if each.url != UNKNOWN and each.licences == named] or [UNKNOWN]
    if not named or OTHER in named:
        return Licence(UNKNOWN, linked[0], author)
    method = next(each.method for each in ordered if each.licences)
    return Licence(next(iter(named)), linked[0], author, method)


def statement_of_link(method: str, url: str, author: str = UNKNOWN) -> Statement:
    """Return what a link to a licence says: one that leads to none we know leads to terms of one's own."""
    licence = spdx_of_url(url)
    return Statement(method, frozenset({OTHER if licence == UNKNOWN else licence}), url, author)


def statement_of_words(method: str, words: str, author: str = UNKNOWN) -> Statement:
    """Return what a text says, or a name such as "CC BY 4.0"."""
    named = spdx_of_name(words)
    return Statement(method, spdx_in_text(words) if named == UNKNOWN else frozenset({named}), UNKNOWN, author)


def statement_of_row(licence: str, url: str, author: str, method: str) -> Statement:
    """Return what a link row says, so that it can be combined with more; a method it does not know is words."""
    known = method if method in METHODS else "words"
    licences = frozenset({"CC-?", OTHER}) if method == CONFLICT else frozenset({licence} - {UNKNOWN})
    return Statement(known, licences, url, author)
