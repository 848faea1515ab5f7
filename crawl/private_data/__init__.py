"""Private data in text: what could reach, charge or impersonate somebody is replaced by a placeholder.

Each kind has a file of its own with one function `find`, which yields where it stands. Checksums and number plans are
checked wherever there are any, so that a version number is no address and an order number no card.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from crawl.private_data import card, email, iban, ip_address, key, phone

Span = tuple[int, int, str]
"""Where a piece of private data begins and ends, and its kind."""

Find = Callable[[str], Iterator[tuple[int, int]]]

FINDERS: Mapping[str, Find] = {
    "email": email.find,
    "iban": iban.find,
    "card": card.find,
    "ip_address": ip_address.find,
    "key": key.find,
    "phone": phone.find,
}
"""Every kind; where two find the same characters, the first stands."""


class Redacted(NamedTuple):
    """A text without private data.

    Attributes:
        text: the text, `<email>` and the like in the place of what was found.
        counts: how often each kind was found; kinds that were not are left out.
    """

    text: str
    counts: Mapping[str, int]


def redact(text: str, kinds: Collection[str] = tuple(FINDERS)) -> Redacted:
    """Return the text with a placeholder for each piece of private data of one of `kinds`.

    >>> redact("Write to oak@trees.example.org or call +1 212 555 2368.").text
    'Write to <email> or call <phone>.'
    """
    found: list[Span] = []
    for kind, find in FINDERS.items():
        own: list[Span] = []
        for start, stop in find(text) if kind in kinds else ():
            if not _overlaps(start, stop, found) and not _overlaps(start, stop, own):
                insort(own, (start, stop, kind))
        found = sorted(found + own)
    pieces: list[str] = []
    end = 0
    for start, stop, kind in found:
        pieces += [text[end:start], f"<{kind}>"]
        end = stop
    return Redacted("".join([*pieces, text[end:]]), Counter(kind for _, _, kind in found))


def _overlaps(start: int, stop: int, found: list[Span]) -> bool:
    """Whether a span meets one of those found, which are in order and do not meet each other."""
    place = bisect_left(found, (stop, 0, ""))
    return place > 0 and found[place - 1][1] > start
