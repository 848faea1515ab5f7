"""The images stage: from fetched pictures to clean ones, each once, with its caption and where it came from.

Three steps over references. Of files with the same bytes one goes on; it is decoded, judged and cleaned once, and set
aside; of clean pictures with the same pixels one goes on, into `part-*.tar` and `images-*.parquet`.
"""

import functools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa

from crawl.images import CleanImage, ImageSettings, clean_image, pixel_key
from crawl.verdict import Verdict
from crawl.warc import read_payload
from pipelines.duplicates import REJECTS, keep_first, keep_first_remembered
from pipelines.engine import run_pipeline
from pipelines.fates import Fates, Reject
from pipelines.ledger import FROM_LEDGER, RowRef, clean_name, count_fetched, crawl_tables, read_fetched
from pipelines.receipts import Receipt, finish_part
from pipelines.rejects import WriteRejects
from pipelines.sink import SampleRef, WriteShards
from pipelines.splits import split_of
from pipelines.stages import Job, Outcome
from pipelines.staging import read_staged, stage_payload, staged_name
from pipelines.tables import read_row, read_table, write_rejects, write_table
from shards.manifest import FileEntry, atomic_open
from shards.tar import sample_bytes
from shards.triplet import PROVENANCE, record_bytes
from shards.writer import write_shard

EXTENSIONS = ("png", "txt", "json")
CAPTION_TRUST = ("api", "alt", "figcaption", "title", "text", "none")
"""Where a caption stood, the most trusted first."""

_JSON_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}
RECORD_FIELDS = {"key": str, **PROVENANCE, "format": str, "num_bytes": int, "perceptual_hash": str, "filters": str}
"""The JSON of a clean picture, and with the caption and its place the columns of `images-*.parquet`."""

IMAGE_SCHEMA: pa.Schema = pa.schema(
    [pa.field(name, _JSON_TYPES[kind], nullable=False) for name, kind in RECORD_FIELDS.items()]
    + [pa.field("caption", pa.string(), nullable=False), pa.field("part", pa.string(), nullable=False)]
    + [pa.field("offset", pa.int64(), nullable=False), pa.field("length", pa.int64(), nullable=False)]
)


class Found(NamedTuple):
    """A fetched picture with the best of the places where it was found."""

    url: str
    sha256: str
    ledger: RowRef
    rank: tuple[bool, bool, int, int, str]
    """No caption, no licence, trust of the caption, minus its length, page: the smallest is the best place.

    The longer caption says more: what stands beside a leaf as "Two Lobes" on one page is a "Ginkgo Leaf" on another.
    """
    link: RowRef


class Cleaned(NamedTuple):
    """A clean picture set aside."""

    key: str
    url: str
    part: str
    place: tuple[int, int, int, int]
    """Offset in the staging file, and the lengths of png, txt and json."""


def run(job: Job) -> Outcome:
    """Runs the stage; see the module."""
    run_pipeline(functools.partial(build, job=job), job.workers)
    return Outcome(records_in=count_fetched(job, "image"))


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the stage's graph to `pipeline`."""
    assert job.recipe.images is not None
    config = job.recipe.images
    fetched = (
        pipeline
        | "Ledgers" >> beam.Create(crawl_tables(job, "ledger-"))
        | "ReadLedgers" >> beam.FlatMap(read_fetched, job, "image")
        | "KeyFetched" >> beam.Map(lambda fetched: (fetched.url, fetched))
        # (url, Fetched)
    )
    links = (
        pipeline | "Links" >> beam.Create(crawl_tables(job, "links-")) | "ReadLinks" >> beam.FlatMap(read_places, job)
        # (url, (rank, RowRef))
    )
    found = (
        {"fetched": fetched, "links": links}
        | "JoinByUrl" >> beam.CoGroupByKey()
        | "BestPlace" >> beam.FlatMapTuple(best_place)
    )
    # Found
    once = (
        found
        | "KeyByFile" >> beam.Map(lambda found: (found.sha256, found))
        | "GroupByFile" >> beam.GroupByKey()
        | "OneOfEachFile" >> beam.FlatMap(one_of_each_file, job).with_outputs(REJECTS, main="kept")
    )
    cleaned = (
        once.kept
        | "KeyByLedger" >> beam.Map(lambda found: (found.ledger.table, found))
        | "GroupByLedger" >> beam.GroupByKey()
        # (ledger table, [Found])
        | "Clean" >> beam.FlatMap(finish_clean_part, job)
        # Cleaned
        | "KeyByPixels" >> beam.Map(lambda cleaned: (cleaned.key, cleaned))
        | "GroupByPixels" >> beam.GroupByKey()
        | "OneOfEachPicture" >> beam.FlatMapTuple(one_of_each_picture).with_outputs(REJECTS, main="kept")
    )
    cleaned.kept | WriteShards(
        job.folder, config.buckets, config.max_part_bytes, functools.partial(write_part, job.folder)
    )
    (
        (once.rejects, cleaned.rejects)
        | "Rejects" >> beam.Flatten()
        | WriteRejects(job.folder, "duplicates", config.buckets)
    )


def read_places(table: str, job: Job) -> Iterator[tuple[str, tuple[tuple[bool, bool, int, int, str], RowRef]]]:
    """Every place where a picture was found, by the picture's URL."""
    names = ("from_url", "to_url", "kind", "caption", "caption_source", "licence")
    columns = read_table(f"{job.input_folder('crawl')}/{table}", names)
    rows = zip(*(columns[name].to_pylist() for name in names), strict=True)
    for row, (from_url, to_url, kind, caption, source, licence) in enumerate(rows):
        if kind == "image":
            rank = (not caption, licence == "unknown", CAPTION_TRUST.index(source), -len(caption), from_url)
            yield to_url, (rank, RowRef(table, row))


def best_place(url: str, found: dict[str, Iterable[Any]]) -> Iterator[Found]:
    """The fetched picture at `url`, if it was fetched, with the best place where it was found."""
    for fetched in found["fetched"]:
        rank, link = min(found["links"])
        yield Found(url, fetched.sha256, fetched.ref, rank, link)


def one_of_each_file(copies: tuple[str, Iterable[Found]], job: Job) -> Iterator[Any]:
    """Of the copies of one file, the one with the best caption; the rest are rejected."""
    return keep_first_remembered(copies[1], lambda found: found.rank[:3], "exact_duplicate", job.tombstones)


def one_of_each_picture(key: str, copies: Iterable[Cleaned]) -> Iterator[Any]:
    """Of the clean pictures with the same pixels, one, as a reference to be written; the rest are rejected."""
    kept, *rejects = keep_first(copies, lambda cleaned: cleaned.url, "same_pixels")
    yield SampleRef("part", key, sample_bytes(kept.place[1:]), (kept.part, *kept.place))
    yield from rejects


def finish_clean_part(part: tuple[str, Iterable[Found]], job: Job) -> Iterator[Cleaned]:
    """Cleans the pictures of one ledger table, unless an earlier run has, and yields those set aside."""
    table, pictures = part
    name = clean_name(table)
    receipt = finish_part(job.folder, name, lambda: clean_part(name, sorted(pictures, key=_by_ledger_row), job))
    for key, url, place in receipt.notes["cleaned"]:
        yield Cleaned(key, url, name, tuple(place))


def _by_ledger_row(found: Found) -> RowRef:
    """The order of the WARC file, so that it is read from front to back."""
    return found.ledger


def clean_part(name: str, pictures: list[Found], job: Job) -> Receipt:
    """Cleans `pictures` into a staging file; what is turned away settles its fate here."""
    assert job.recipe.images is not None
    config = job.recipe.images
    settings = ImageSettings(
        config.size, config.min_side or config.size, config.max_aspect, config.max_pixels, config.channels
    )
    rejects: list[Reject] = []
    cleaned: list[tuple[str, str, tuple[int, ...]]] = []
    with atomic_open(job.folder / staged_name(name)) as staging:
        for found in pictures:
            row = read_row(f"{job.input_folder('crawl')}/{found.ledger.table}", found.ledger.row)
            picture = clean_image(
                read_payload(job.input_folder("crawl") / row["warc_file"], row["warc_offset"]), settings
            )
            if isinstance(picture, Verdict):
                rejects.append(Reject(found.url, picture.fate, picture.reason, picture.detail))
                continue
            link = read_row(f"{job.input_folder('crawl')}/{found.link.table}", found.link.row)
            record = picture_record(picture, row, link, job)
            pieces = (picture.png, link["caption"].encode(), record_bytes(record))
            cleaned.append((record["key"], found.url, stage_payload(staging, pieces)))
        size = staging.tell()
    files = (FileEntry(staged_name(name), size, "", len(cleaned)), *write_rejects(job.folder, name, rejects))
    return Receipt(files, Fates.of(rejects), len(pictures), {"cleaned": cleaned})


def picture_record(picture: CleanImage, row: dict[str, Any], link: dict[str, Any], job: Job) -> dict[str, Any]:
    """The JSON of a clean picture: all that is known of it, in the order of `RECORD_FIELDS`."""
    key = pixel_key(picture.pixels)
    known = {
        **{name: row[name] for name in FROM_LEDGER},
        **{name: link[name] for name in ("caption_source", "licence", "licence_url", "author")},
        "key": key,
        "page_url": link["from_url"],
        "width": picture.width,
        "height": picture.height,
        "tree_score": 0.0,
        "cluster": key,
        "split": split_of(key, job.recipe.split),
        "format": picture.media_format,
        "num_bytes": row["num_bytes"],
        "perceptual_hash": "unknown",
        "filters": "format,pixels,side,aspect,exact_duplicate,same_pixels",
    }
    return {name: known[name] for name in RECORD_FIELDS}


def write_part(folder: Path, name: str, samples: list[SampleRef]) -> Receipt:
    """Writes clean pictures as `part-NNNNNN.tar` with its index, and their table as `images-NNNNNN.parquet`."""
    rows: list[dict[str, Any]] = []
    files = write_shard(folder / f"{name}.tar", _copy_samples(folder, name, samples, rows), EXTENSIONS)
    table = write_table(folder, f"images-{name.removeprefix('part-')}.parquet", rows, IMAGE_SCHEMA)
    return Receipt((*files, table), Fates(kept=len(samples)))


def _copy_samples(
    folder: Path, name: str, samples: list[SampleRef], rows: list[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The samples as they stand in the part; a row for each goes into `rows`."""
    offset = 0
    for sample in samples:
        part, start, *lengths = sample.source
        png, caption, record = read_staged(folder, str(part), int(start), [int(n) for n in lengths])
        place = {"caption": caption.decode(), "part": f"{name}.tar", "offset": offset, "length": sample.num_bytes}
        rows.append({**json.loads(record), **place})
        offset += sample.num_bytes
        yield sample.key, {"png": png, "txt": caption, "json": record}
