"""What the images stage begins with: the fetched pictures of a crawl, each with the best place where it was found.

What crosses a shuffle is plain: a named tuple would take its class along, 100 to 200 bytes each time.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from crawl.image_settings import ImageSettings
from crawl.licence_statements import claim_of
from crawl.records import UNKNOWN
from pipelines.duplicates import REJECTS
from pipelines.fates import Reject
from pipelines.ledger import Fetched, RowRef, crawl_tables, read_fetched
from pipelines.placeholders import Places
from pipelines.recipe import image_settings
from pipelines.stages import Job
from pipelines.tables import read_table

CAPTION_TRUST = (
    *("api", "sidecar", "list", "alt", "title", "figcaption", "aria_label", "json_ld", "sitemap", "og", "sentence"),
    *("text", "none"),
)
"""Where a caption stood, the most trusted first."""


class Place(NamedTuple):
    """A place where a picture was found.

    Attributes:
        rank: no caption, no licence, trust of the caption, minus its length, page: the smallest is the best place.
            The longer caption says more: a leaf's "Two Lobes" on one page is its "Ginkgo Leaf" on another.
        link: the link row.
        opt_out: what the page says against use of its pictures, "none" where nothing.
        claim: what is claimed there of its licence, see `claim_of`.
    """

    rank: tuple[bool, bool, int, int, str]
    link: RowRef
    opt_out: str
    claim: str

    @classmethod
    def unpack(cls, packed: tuple[Any, ...]) -> Self:
        """The place that `plain` made plain."""
        rank, link, opt_out, claim = packed
        return cls(rank, RowRef(*link), opt_out, claim)


class Found(NamedTuple):
    """A fetched picture with the best of the places where it was found, and a count of all of them."""

    url: str
    sha256: str
    ref: RowRef
    rank: tuple[bool, bool, int, int, str]
    link: RowRef
    places: Places
    claims: tuple[str, ...]
    """What the places claim of its licence, each once."""
    licensed: RowRef
    """The best place that names its licence, or else the best place."""

    @property
    def rows(self) -> tuple[RowRef, ...]:
        """What must be read to clean it."""
        return self.ref, self.link, self.licensed

    def packed(self) -> tuple[Any, ...]:
        """It as it crosses a shuffle."""
        licensed = () if self.licensed == self.link else self.licensed
        return plain(self._replace(sha256=bytes.fromhex(self.sha256), licensed=licensed))  # type: ignore[arg-type]

    @classmethod
    def unpack(cls, packed: tuple[Any, ...]) -> Self:
        """What `packed` packed."""
        url, sha256, ref, rank, link, places, claims, licensed = packed
        rows = RowRef(*ref), RowRef(*link), RowRef(*(licensed or link))
        return cls(url, sha256.hex(), rows[0], rank, rows[1], Places(*places), claims, rows[2])


def plain(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Named tuples, and those in them, as tuples without names."""
    return tuple(plain(each) if isinstance(each, tuple) else each for each in value)


class FindPictures(beam.PTransform):
    """Joins the fetched pictures of a crawl with the best of the places where each was found.

    A picture that one of its pages speaks against is rejected, whatever the others say.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, pipeline: beam.Pipeline) -> beam.pvalue.DoOutputsTuple:
        """The graph from nothing to `Found` (output `kept`) and `Reject`."""
        fetched = (
            pipeline
            | "Ledgers" >> beam.Create(crawl_tables(self._job, "ledger-"))
            | "ReadLedgers" >> beam.FlatMap(read_fetched, self._job, "image")
            | "KeyFetched" >> beam.Map(lambda fetched: (key_of(fetched.url), plain(fetched)))
            # (key of URL, Fetched)
        )
        links = (
            pipeline
            | "Links" >> beam.Create(crawl_tables(self._job, "links-"))
            | "ReadLinks" >> beam.FlatMap(read_places, self._job)
            | "KeyPlaces" >> beam.MapTuple(lambda url, place: (key_of(url), plain(place)))
            # (key of URL, Place)
        )
        return (
            {"fetched": fetched, "links": links}
            | "JoinByUrl" >> beam.CoGroupByKey()
            | "Unpack" >> beam.FlatMapTuple(unpack_joined)
            # (URL, {"fetched": [Fetched], "links": [Place]})
            | "BestPlace" >> beam.FlatMap(best_place, self._job).with_outputs(REJECTS, main="kept")
        )


def picture_settings(job: Job) -> ImageSettings:
    """What the recipe's pictures must be, and what they become."""
    assert job.recipe.images is not None
    return image_settings(job.recipe.images)


def read_places(table: str, job: Job) -> Iterator[tuple[str, Place]]:
    """Every place where a picture was found, by the picture's URL."""
    names = ("from_url", "to_url", "kind", "caption", "caption_source", "licence", "licence_method", "opt_out")
    columns = read_table(f"{job.input_folder('crawl')}/{table}", names)
    rows = zip(*(columns[name].to_pylist() for name in names), strict=True)
    for row, (from_url, to_url, kind, caption, source, licence, method, opt_out) in enumerate(rows):
        if kind == "image":
            rank = (not caption, licence == UNKNOWN, CAPTION_TRUST.index(source), -len(caption), from_url)
            yield to_url, Place(rank, RowRef(table, row), opt_out, claim_of(licence, method))


def key_of(url: str) -> bytes:
    """What stands for a URL where all that counts is whether it is the same: 16 bytes."""
    return hashlib.sha256(url.encode()).digest()[:16]


def unpack_joined(_: bytes, joined: dict[str, Iterable[Any]]) -> Iterator[tuple[str, dict[str, Iterable[Any]]]]:
    """What was fetched from a URL, with its places, of what crossed the shuffle; nothing where nothing was fetched."""
    for url, sha256, ref in joined["fetched"]:
        yield url, {"fetched": [Fetched(url, sha256, RowRef(*ref))], "links": list(map(Place.unpack, joined["links"]))}


def best_place(joined: tuple[str, dict[str, Iterable[Any]]], job: Job) -> Iterator[Any]:
    """The fetched picture at a URL, if there is one, with the best place where it was found; or why it is not used."""
    url, found = joined
    for fetched in found["fetched"]:
        places = sorted(found["links"])
        against = next((place for place in places if place.opt_out != "none"), None)
        if against is None:
            counted = Places.of((place.rank[-1] for place in places), picture_settings(job).filters)
            claims = tuple(sorted({place.claim for place in places}))
            licensed = next((place for place in places if not place.rank[1]), places[0]).link
            yield Found(url, fetched.sha256, fetched.ref, places[0].rank, places[0].link, counted, claims, licensed)
        else:
            detail = f"{against.opt_out} on {against.rank[-1]}"
            yield TaggedOutput(REJECTS, Reject(url, "rejected", "opted_out_by_page", detail))
