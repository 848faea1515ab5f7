"""The images stage: from fetched pictures to clean ones, each once, with its caption and where it came from.

Three steps over references. Of files with the same bytes one goes on; it is decoded, judged and cleaned once, and set
aside; of clean pictures with the same pixels one goes on, into `part-*.tar` and `images-*.parquet`.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from crawl.images import EXTENSIONS, CleanImage, ImageSettings, clean_image
from crawl.records import UNKNOWN
from crawl.verdict import Verdict
from crawl.warc import read_payload
from pipelines.cleaning import Clean, Cleaned, finish_clean_part
from pipelines.duplicates import REJECTS, keep_first, keep_first_remembered
from pipelines.engine import run_pipeline
from pipelines.fates import Fates, Reject
from pipelines.ledger import FROM_LEDGER, RowRef, count_fetched, crawl_tables, read_fetched
from pipelines.receipts import Receipt
from pipelines.rejects import WriteRejects
from pipelines.sink import WriteShards
from pipelines.sorting import SampleRef
from pipelines.splits import draw_split
from pipelines.stages import Job, Outcome
from pipelines.staging import read_staged
from pipelines.tables import read_table, write_table
from shards.tar import sample_bytes
from shards.triplet import PROVENANCE, record_bytes
from shards.writer import write_shard

CAPTION_TRUST = ("api", "sidecar", "list", "alt", "figcaption", "sitemap", "title", "text", "none")
"""Where a caption stood, the most trusted first."""

_JSON_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}
RECORD_FIELDS = {"key": str, **PROVENANCE, "format": str, "num_bytes": int, "perceptual_hash": str, "filters": str}
"""The JSON of a clean picture, and with the caption and its place the columns of `images-*.parquet`."""

IMAGE_SCHEMA: pa.Schema = pa.schema(
    [pa.field(name, _JSON_TYPES[kind], nullable=False) for name, kind in RECORD_FIELDS.items()]
    + [pa.field("caption", pa.string(), nullable=False), pa.field("part", pa.string(), nullable=False)]
    + [pa.field("offset", pa.int64(), nullable=False), pa.field("length", pa.int64(), nullable=False)]
)


class Place(NamedTuple):
    """A place where a picture was found.

    Attributes:
        rank: no caption, no licence, trust of the caption, minus its length, page: the smallest is the best place.
            The longer caption says more: a leaf's "Two Lobes" on one page is its "Ginkgo Leaf" on another.
        link: the link row.
        opt_out: what the page says against use of its pictures, "none" where nothing.
    """

    rank: tuple[bool, bool, int, int, str]
    link: RowRef
    opt_out: str


class Found(NamedTuple):
    """A fetched picture with the best of the places where it was found."""

    url: str
    sha256: str
    ref: RowRef
    rank: tuple[bool, bool, int, int, str]
    link: RowRef

    @property
    def rows(self) -> tuple[RowRef, ...]:
        """What must be read to clean it."""
        return self.ref, self.link


def run(job: Job) -> Outcome:
    """Runs the stage; see the module."""
    run_pipeline(functools.partial(build, job=job), job.workers)
    return Outcome(records_in=count_fetched(job, "image"))


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the stage's graph to `pipeline`."""
    assert job.recipe.images is not None
    config = job.recipe.images
    found = pipeline | "FindPictures" >> FindPictures(job)
    once = (
        found.kept
        # Found
        | "KeyByFile" >> beam.Map(lambda found: (found.sha256, found))
        | "GroupByFile" >> beam.GroupByKey()
        | "OneOfEachFile" >> beam.FlatMap(one_of_each_file, job).with_outputs(REJECTS, main="kept")
    )
    cleaned = (
        once.kept
        | "KeyByLedger" >> beam.Map(lambda found: (found.ref.table, found))
        | "GroupByLedger" >> beam.GroupByKey()
        # (ledger table, [Found])
        | "Clean" >> beam.FlatMap(finish_clean_part, job, clean_picture)
        # Cleaned
        | "KeyByPixels" >> beam.Map(lambda cleaned: (cleaned.key, cleaned))
        | "GroupByPixels" >> beam.GroupByKey()
        | "OneOfEachPicture" >> beam.FlatMapTuple(one_of_each_picture).with_outputs(REJECTS, main="kept")
    )
    write = functools.partial(write_part, job.folder, EXTENSIONS[config.encoding])
    cleaned.kept | "WriteParts" >> WriteShards(job.folder, config.buckets, config.max_part_bytes, write)
    rejects = (found.rejects, once.rejects, cleaned.rejects) | "Rejects" >> beam.Flatten()
    rejects | "WriteRejects" >> WriteRejects(job.folder, "duplicates", config.buckets)


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
            | "KeyFetched" >> beam.Map(lambda fetched: (fetched.url, fetched))
            # (url, Fetched)
        )
        links = (
            pipeline
            | "Links" >> beam.Create(crawl_tables(self._job, "links-"))
            | "ReadLinks" >> beam.FlatMap(read_places, self._job)
            # (url, Place)
        )
        return (
            {"fetched": fetched, "links": links}
            | "JoinByUrl" >> beam.CoGroupByKey()
            | "BestPlace" >> beam.FlatMapTuple(best_place).with_outputs(REJECTS, main="kept")
        )


def read_places(table: str, job: Job) -> Iterator[tuple[str, Place]]:
    """Every place where a picture was found, by the picture's URL."""
    names = ("from_url", "to_url", "kind", "caption", "caption_source", "licence", "opt_out")
    columns = read_table(f"{job.input_folder('crawl')}/{table}", names)
    rows = zip(*(columns[name].to_pylist() for name in names), strict=True)
    for row, (from_url, to_url, kind, caption, source, licence, opt_out) in enumerate(rows):
        if kind == "image":
            rank = (not caption, licence == UNKNOWN, CAPTION_TRUST.index(source), -len(caption), from_url)
            yield to_url, Place(rank, RowRef(table, row), opt_out)


def best_place(url: str, found: dict[str, Iterable[Any]]) -> Iterator[Any]:
    """The fetched picture at `url`, if there is one, with the best place where it was found; or why it is not used."""
    for fetched in found["fetched"]:
        places = sorted(map(Place._make, found["links"]))
        against = next((place for place in places if place.opt_out != "none"), None)
        if against is None:
            yield Found(url, fetched.sha256, fetched.ref, places[0].rank, places[0].link)
        else:
            detail = f"{against.opt_out} on {against.rank[-1]}"
            yield TaggedOutput(REJECTS, Reject(url, "rejected", "opted_out_by_page", detail))


def one_of_each_file(copies: tuple[str, Iterable[Found]], job: Job) -> Iterator[Any]:
    """Of the copies of one file, the one with the best caption; the rest are rejected."""
    return keep_first_remembered(copies[1], lambda found: found.rank[:3], "exact_duplicate", job.tombstones)


def one_of_each_picture(key: str, copies: Iterable[Cleaned]) -> Iterator[Any]:
    """Of the clean pictures with the same pixels, one, as a reference to be written; the rest are rejected."""
    kept, *rejects = keep_first(copies, lambda cleaned: cleaned.url, "same_pixels")
    yield [SampleRef("part", key, sample_bytes(kept.lengths), (kept.part, kept.offset, *kept.lengths))]
    yield from rejects


def clean_picture(_: Found, rows: Sequence[dict[str, Any]], job: Job) -> Clean | Verdict:
    """The clean picture as it is stored (the file, caption, JSON), or why there is none."""
    assert job.recipe.images is not None
    config, crawl = job.recipe.images, job.input_folder("crawl")
    min_side = config.min_side or config.size
    settings = ImageSettings(
        config.size, min_side, config.max_aspect, config.max_pixels, config.channels, config.encoding, config.quality
    )
    row, link = rows
    picture = clean_image(read_payload(crawl / row["warc_file"], row["warc_offset"]), settings)
    if isinstance(picture, Verdict):
        return picture
    record = picture_record(picture, row, link, job)
    return Clean(record["key"], (picture.encoded, link["caption"].encode(), record_bytes(record)))


def picture_record(picture: CleanImage, row: dict[str, Any], link: dict[str, Any], job: Job) -> dict[str, Any]:
    """The JSON of a clean picture: all that is known of it, in the order of `RECORD_FIELDS`."""
    key = picture.key
    known = {
        **{name: row[name] for name in FROM_LEDGER},
        **{name: link[name] for name in ("caption_source", "licence", "licence_url", "author")},
        "key": key,
        "page_url": link["from_url"],
        "width": picture.width,
        "height": picture.height,
        "tree_score": 0.0,
        "cluster": key,
        "split": draw_split(key, job.recipe.split),
        "format": picture.media_format,
        "num_bytes": row["num_bytes"],
        "perceptual_hash": UNKNOWN,
        "filters": "format,pixels,side,aspect,exact_duplicate,same_pixels",
    }
    return {name: known[name] for name in RECORD_FIELDS}


def write_part(folder: Path, extension: str, name: str, samples: Iterable[SampleRef]) -> Receipt:
    """Writes clean pictures as `part-NNNNNN.tar` with its index, and their table as `images-NNNNNN.parquet`."""
    rows: list[dict[str, Any]] = []
    copied = _copy_samples(folder, extension, name, samples, rows)
    files = write_shard(folder / f"{name}.tar", copied, (extension, "txt", "json"))
    table = write_table(folder, f"images-{name.removeprefix('part-')}.parquet", rows, IMAGE_SCHEMA)
    return Receipt((*files, table), Fates(kept=len(rows)))


def _copy_samples(
    folder: Path, extension: str, name: str, samples: Iterable[SampleRef], rows: list[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The samples as they stand in the part; a row for each goes into `rows`."""
    offset = 0
    for sample in samples:
        part, start, *lengths = sample.source
        picture, caption, record = read_staged(folder, str(part), int(start), [int(n) for n in lengths])
        place = {"caption": caption.decode(), "part": f"{name}.tar", "offset": offset, "length": sample.num_bytes}
        rows.append({**json.loads(record), **place})
        offset += sample.num_bytes
        yield sample.key, {extension: picture, "txt": caption, "json": record}
