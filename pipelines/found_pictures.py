"""What the images stage begins with: the fetched pictures of a crawl, each with the best place where it was found.

What crosses a shuffle is plain: a named tuple would take its class along, 100 to 200 bytes each time.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from crawl.image_settings import ImageSettings
from crawl.picture_filters.settings import FilterSettings
from pipelines.duplicates import REJECTS
from pipelines.fates import Reject
from pipelines.ledger import Fetched, RowRef, crawl_tables, read_fetched
from pipelines.placeholders import Places
from pipelines.recipe import image_settings
from pipelines.seen_places import NOWHERE, Rank, Seen, packed_rank, read_places, sum_up, unpacked_rank
from pipelines.squeezed import squeeze, unsqueeze
from pipelines.stages import Job

Joined = tuple[tuple[Any, ...], tuple[Any, ...]]
"""What is known of one URL, plain: what was fetched from it (`Fetched`, each), and the places that show it (`Seen`)."""


class Found(NamedTuple):
    """A fetched picture with the best of the places where it was found, and a count of all of them.

    Of one that stands in too many nothing more is known: it is not wanted.
    """

    url: str
    sha256: str
    ref: RowRef
    rank: Rank
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
        licensed = () if self.licensed == self.link else tuple(self.licensed)
        place, seen = (packed_rank(self.rank), tuple(self.link)), (tuple(self.places), self.claims, licensed)
        return squeeze(self.url), bytes.fromhex(self.sha256), tuple(self.ref), *place, *seen

    @classmethod
    def unpack(cls, packed: tuple[Any, ...]) -> Self:
        """What `packed` packed."""
        url, sha256, ref, rank, link, places, claims, licensed = packed
        rows = RowRef(*ref), RowRef(*link), RowRef(*(licensed or link))
        known = Places(*places), claims, rows[2]
        return cls(unsqueeze(url), sha256.hex(), rows[0], unpacked_rank(rank), rows[1], *known)


class FindPictures(beam.PTransform):
    """Joins the fetched pictures of a crawl with the best of the places where each was found.

    A picture that one of its pages speaks against is rejected, whatever the others say.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, pipeline: beam.Pipeline) -> beam.pvalue.DoOutputsTuple:
        """The graph from nothing to `Found` (output `kept`) and `Reject`."""
        filters = picture_settings(self._job).filters
        fetched = (
            pipeline
            | "Ledgers" >> beam.Create(crawl_tables(self._job, "ledger-"))
            | "ReadLedgers" >> beam.FlatMap(read_fetched, self._job, "image")
            | "KeyFetched" >> beam.Map(lambda fetched: (key_of(fetched.url), pack_fetched(fetched)))
        )
        seen = (
            pipeline
            | "Links" >> beam.Create(crawl_tables(self._job, "links-"))
            | "ReadLinks" >> beam.FlatMap(read_places, self._job.input_folder("crawl"), filters)
            # Beam would infer from `pack_seen` that what is not known is never known.
            | "KeyPlaces"
            >> beam.MapTuple(lambda url, seen: (key_of(url), pack_seen(seen))).with_output_types(tuple[bytes, Any])
        )
        return (
            (fetched, seen)
            | "FetchedAndSeen" >> beam.Flatten()
            # (key of URL, Joined)
            | "JoinByUrl" >> beam.CombinePerKey(join, filters)
            # (key of URL, Joined), each key once
            | "BestPlace" >> beam.FlatMapTuple(best_place).with_outputs(REJECTS, main="kept")
        )


def picture_settings(job: Job) -> ImageSettings:
    """What the recipe's pictures must be, and what they become."""
    assert job.recipe.images is not None
    return image_settings(job.recipe.images)


def key_of(url: str) -> bytes:
    """What stands for a URL where all that counts is whether it is the same: 16 bytes."""
    return hashlib.sha256(url.encode()).digest()[:16]


def pack_fetched(fetched: Fetched) -> Joined:
    """A fetched picture as it crosses the shuffle, without the places that show it."""
    return ((squeeze(fetched.url), bytes.fromhex(fetched.sha256), tuple(fetched.ref)),), ()


def pack_seen(seen: Seen) -> Joined:
    """Places that show a picture as they cross the shuffle, without what was fetched."""
    return (), seen.packed()


def join(some: Iterable[Joined], filters: FilterSettings) -> Joined:
    """All that is known of one URL, of parts of it."""
    parts = list(some)
    fetched = tuple(sorted((each for part, _ in parts for each in part), key=lambda each: each[1:]))
    seen = [Seen.unpack(each) for _, each in parts if each]
    return fetched, sum_up(seen, filters).packed() if seen else ()


def best_place(_: bytes, joined: Joined) -> Iterator[Any]:
    """The fetched picture at a URL, if there is one, with the best place where it was found; or why it is not used."""
    for crossed, sha256, ref in joined[0]:
        url, seen = unsqueeze(crossed), Seen.unpack(joined[1])
        best = seen.best or NOWHERE
        licensed = (seen.licensed or best).link
        if seen.against is None:
            yield Found(url, sha256.hex(), RowRef(*ref), *best, seen.places, seen.claims, licensed)
        else:
            detail = f"{seen.against.opt_out} on {seen.against.place.rank[-1]}"
            yield TaggedOutput(REJECTS, Reject(url, "rejected", "opted_out_by_page", detail))
