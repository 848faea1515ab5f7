"""The places where a crawl found a picture, summed up: a logo on a million pages is worth no more bytes than a tree.

A sum holds as much of its places as the picture's fate and its record depend on. Sums of sums are sums: the same
whatever was added up first, so that each worker adds up what it reads before anything crosses a shuffle.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self, TypeVar

from crawl.licence_statements import claim_of
from crawl.picture_filters.settings import FilterSettings
from crawl.records import UNKNOWN
from pipelines.ledger import RowRef
from pipelines.placeholders import UNCOUNTED, Places, unite
from pipelines.squeezed import squeeze, unsqueeze
from pipelines.tables import read_table
from shards.object_path import AnyPath

CAPTION_TRUST = (
    *("api", "sidecar", "list", "alt", "title", "figcaption", "aria_label", "json_ld", "sitemap", "og", "sentence"),
    *("text", "none"),
)
"""Where a caption stood, the most trusted first."""

_COLUMNS = ("from_url", "to_url", "kind", "caption", "caption_source", "licence", "licence_method", "opt_out")

T = TypeVar("T")


Rank = tuple[bool, bool, int, int, str]
"""See `Place`."""


def packed_rank(rank: Rank) -> tuple[Any, ...]:
    """A rank as it crosses a shuffle."""
    return *rank[:-1], squeeze(rank[-1])


def unpacked_rank(packed: tuple[Any, ...]) -> Rank:
    """What `packed_rank` packed."""
    no_caption, no_licence, trust, length, page = packed
    return no_caption, no_licence, trust, length, unsqueeze(page)


class Place(NamedTuple):
    """A place where a picture was found.

    Attributes:
        rank: no caption, no licence, trust of the caption, minus its length, page: the smallest is the best place.
            The longer caption says more: a leaf's "Two Lobes" on one page is its "Ginkgo Leaf" on another.
        link: the link row.
    """

    rank: Rank
    link: RowRef

    def packed(self) -> tuple[Any, ...]:
        """It as it crosses a shuffle."""
        return packed_rank(self.rank), tuple(self.link)

    @classmethod
    def unpack(cls, packed: tuple[Any, ...]) -> Self:
        """What `packed` packed."""
        rank, link = packed
        return cls(unpacked_rank(rank), RowRef(*link))


NOWHERE = Place((True, True, len(CAPTION_TRUST), 0, ""), RowRef("", 0))
"""Stands for a place where nobody asks for one."""


class Against(NamedTuple):
    """A place whose page speaks against use of its pictures, and how."""

    place: Place
    opt_out: str


class Seen(NamedTuple):
    """Some places where a picture was found, summed up.

    Attributes:
        best: of them; None where nobody asks, for they are too many, or one is against use.
        licensed: the best that names the picture's licence, where that is not the best of all.
        claims: what is claimed there of its licence, each once, in order, see `claim_of`; none where nobody asks.
        places: how many there are.
        against: the best of those that speak against use.
    """

    best: Place | None
    licensed: Place | None
    claims: tuple[str, ...]
    places: Places
    against: Against | None = None

    def packed(self) -> tuple[Any, ...]:
        """It as it crosses a shuffle."""
        first, named = (place.packed() if place else () for place in (self.best, self.licensed))
        against = (self.against.place.packed(), self.against.opt_out) if self.against else ()
        return first, named, self.claims, tuple(self.places), against

    @classmethod
    def unpack(cls, packed: tuple[Any, ...]) -> Self:
        """What `packed` packed."""
        best, licensed, claims, places, against = packed
        first, named = (Place.unpack(each) if each else None for each in (best, licensed))
        opposed = Against(Place.unpack(against[0]), against[1]) if against else None
        return cls(first, named, claims, Places(*places), opposed)


def sum_up(some: Iterable[Seen], filters: FilterSettings) -> Seen:
    """The sum of sums, at least one."""
    seen = list(some)
    against = _least(each.against for each in seen)
    if against is not None:
        return Seen(None, None, (), UNCOUNTED, against)
    places = unite((each.places for each in seen), filters)
    if places.are_too_many:
        return Seen(None, None, (), places)
    best = _least(each.best for each in seen)
    named = _least(place for each in seen for place in (each.best, each.licensed) if place and not place.rank[1])
    claims = tuple(sorted({claim for each in seen for claim in each.claims}))
    return Seen(best, named if named != best else None, claims, places)


def read_places(table: str, crawl: AnyPath, filters: FilterSettings) -> Iterator[tuple[str, Seen]]:
    """Every place of a link table where a picture was found, by the picture's URL."""
    columns = read_table(crawl / table, _COLUMNS)
    rows = zip(*(columns[name].to_pylist() for name in _COLUMNS), strict=True)
    for row, (from_url, to_url, kind, caption, source, licence, method, opt_out) in enumerate(rows):
        if kind == "image":
            rank = (not caption, licence == UNKNOWN, CAPTION_TRUST.index(source), -len(caption), from_url)
            place = Place(rank, RowRef(table, row))
            against = Against(place, opt_out) if opt_out != "none" else None
            alone = Seen(place, None, (claim_of(licence, method),), Places.on(from_url, filters), against)
            yield to_url, sum_up([alone], filters)


def _least(some: Iterable[T | None]) -> T | None:
    known: Iterator[Any] = (each for each in some if each is not None)
    return min(known, default=None)
