"""What is said of a picture's licence, in several places, and what it comes to."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from crawl.licences import OTHER, spdx_in_text, spdx_of_name, spdx_of_url
from crawl.records import UNKNOWN
from crawl.verdict import Verdict

METHODS = ("api", "sidecar", "list", "rel", "rdfa", "json_ld", "microdata", "link", "words", "sitemap", "xmp", "iptc")
"""How a statement was found, the most telling first."""

CONFLICT = "conflict"
"""Stands for the method where statements contradict each other."""


_PORT = re.compile(r"-[A-Z]{2,3}")
"""Of a licence to the law of a country: whoever names it does not contradict one who leaves it out."""


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
        method: that of the first statement which names the licence, or terms of one's own; `CONFLICT`; "unknown" where
            none names any.
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
    telling = [each for each in statements if each.licences or each.url != UNKNOWN or each.author != UNKNOWN]
    ordered = sorted(telling, key=lambda statement: METHODS.index(statement.method))
    author = next((each.author for each in ordered if each.author != UNKNOWN), UNKNOWN)
    said = frozenset[str]().union(*(each.licences for each in ordered))
    named = {licence for licence in said if not any(_PORT.fullmatch(other.removeprefix(licence)) for other in said)}
    if len(named) > 1:
        return Licence(author=author, method=CONFLICT)
    linked = [each.url for each in ordered if each.url != UNKNOWN and (each.licences or not named)] or [UNKNOWN]
    if not named:
        return Licence(url=linked[0], author=author)
    method = next(each.method for each in ordered if each.licences)
    return Licence(UNKNOWN if OTHER in named else next(iter(named)), linked[0], author, method)


def statement_of_link(method: str, url: str, author: str = UNKNOWN) -> Statement:
    """Return what a link to a licence says: one that leads to none we know leads to terms of one's own."""
    licence = spdx_of_url(url)
    return Statement(method, frozenset({OTHER if licence == UNKNOWN else licence}), url, author)


def statement_of_words(method: str, words: str, author: str = UNKNOWN) -> Statement:
    """Return what a text says, or a name such as "CC BY 4.0"."""
    named = spdx_of_name(words)
    return Statement(method, spdx_in_text(words) if named == UNKNOWN else frozenset({named}), UNKNOWN, author)


def claim_of(licence: str, method: str) -> str:
    """Return what a link row claims: a licence, `OTHER`, `CONFLICT`, or "unknown" where nothing."""
    if method == CONFLICT:
        return CONFLICT
    return OTHER if licence == UNKNOWN and method != UNKNOWN else licence


def claim_is_known(claims: Iterable[str]) -> bool:
    """Return whether a licence that has an identifier is among claims."""
    return bool(set(claims) - {UNKNOWN, OTHER, CONFLICT})


def statement_of_row(licence: str, url: str, author: str, method: str) -> Statement:
    """Return what a link row says, so that it can be combined with more."""
    return statement_of_claim(claim_of(licence, method), url, author, method)


def statement_of_claim(claim: str, url: str = UNKNOWN, author: str = UNKNOWN, method: str = UNKNOWN) -> Statement:
    """Return a claim as a statement; a method that is not known is words."""
    known = method if method in METHODS else "words"
    # Two that differ, whatever else is said.
    licences = frozenset({CONFLICT, OTHER}) if claim == CONFLICT else frozenset({claim} - {UNKNOWN})
    return Statement(known, licences, url, author)


def judge_licence(found: Licence, allowed: str | Sequence[str]) -> Verdict | None:
    """Return why a picture under a licence is not wanted, or None. An unknown licence is in no list and not known.

    Args:
        found: its licence.
        allowed: "any", "known", or a list of SPDX identifiers.
    """
    if allowed == "any":
        return None
    if found.licence == UNKNOWN:
        return Verdict("rejected", "unknown_licence", found.method if found.method != UNKNOWN else "")
    if allowed == "known" or found.licence in allowed:
        return None
    return Verdict("rejected", "licence_not_allowed", found.licence)
