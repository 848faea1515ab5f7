"""One of each: of records that are the same, one goes on and the rest are rejected, naming the one that did."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from apache_beam.pvalue import TaggedOutput

from pipelines.fates import Reject
from pipelines.tombstones import FILE as TOMBSTONES
from pipelines.tombstones import Tombstones

REJECTS = "rejects"
"""The output that `Reject`s leave through."""


def forgotten(url: str) -> Reject:
    """Why a record that was forgotten is not used."""
    return Reject(url, "rejected", "forgotten", TOMBSTONES)


def keep_first(copies: Iterable[Any], order: Callable[[Any], Any], reason: str) -> Iterator[Any]:
    """The first of `copies` in `order`, and for each of the others a tagged `Reject` with `reason`.

    Args:
        copies: records with a `url`, which decides where `order` leaves two alike.
        order: what is smallest goes first.
        reason: why the others are rejected.
    """
    first, *others = sorted(copies, key=lambda copy: (order(copy), copy.url))
    yield first
    for copy in others:
        yield TaggedOutput(REJECTS, Reject(copy.url, "rejected", reason, first.url))


def keep_first_remembered(
    copies: Iterable[Any], order: Callable[[Any], Any], reason: str, tombstones: Tombstones
) -> Iterator[Any]:
    """As `keep_first`, for records with a `sha256` too, after those that were forgotten are rejected."""
    standing = []
    for copy in copies:
        if tombstones.cover(copy.url, copy.sha256):
            yield TaggedOutput(REJECTS, forgotten(copy.url))
        else:
            standing.append(copy)
    if standing:
        yield from keep_first(standing, order, reason)
