"""The images stage: from fetched pictures to clean ones, each once, with its caption and where it came from.

Steps over references. Of files with the same bytes one goes on; it is decoded, judged and cleaned once, and set aside;
of clean pictures with the same pixels one goes on, and of near duplicates the largest, into `part-*.tar` and
`images-*.parquet`.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from crawl.image_settings import EXTENSIONS
from crawl.images import CleanImage, clean_image
from crawl.language import language_of
from crawl.licence_statements import Licence, judge_licence
from crawl.records import UNKNOWN
from crawl.verdict import Verdict
from pipelines.attribution import write_attribution
from pipelines.behind import FinishParts, Turn, hold_group
from pipelines.cleaning import Clean, Cleaned, finish_clean_part
from pipelines.duplicates import REJECTS, forgotten, keep_first, keep_first_remembered
from pipelines.engine import run_pipeline
from pipelines.fates import Fates, Reject
from pipelines.found_pictures import FindPictures, Found, picture_settings
from pipelines.ledger import FROM_LEDGER, count_fetched, stored_record
from pipelines.near_duplicates import Distinct, SettleNearDuplicates
from pipelines.picture_licences import picture_licence, with_all_claims
from pipelines.placeholders import UNCOUNTED, judge_copies
from pipelines.receipts import Receipt, all_receipts
from pipelines.recipe import Recipe, SplitConfig, image_settings
from pipelines.rejects import WriteRejects
from pipelines.seen_places import NOWHERE
from pipelines.sink import WriteShards
from pipelines.sorting import SampleRef
from pipelines.splits import draw_split
from pipelines.stages import Job, Outcome
from pipelines.staging import read_staged
from pipelines.tables import write_table
from pipelines.tombstones import Tombstones
from shards.tar import sample_bytes
from shards.triplet import PROVENANCE, record_bytes
from shards.writer import write_shard

FROM_LINK = ("caption", "caption_source")
"""What a clean picture carries over from the best place where it was found."""

_JSON_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}
RECORD_FIELDS = {
    "key": str,
    "caption": str,
    "status": str,
    **PROVENANCE,
    "original_width": int,
    "original_height": int,
    "exif": str,
    "licence_method": str,
    "caption_language": str,
    "format": str,
    "num_bytes": int,
    "perceptual_hash": str,
    "filters": str,
}
"""The JSON of a clean picture, and with its place the columns of `images-*.parquet`.

What img2dataset writes has its names and meaning here: `key`, `caption`, `url`, `status` (always "success"), `width`
and `height` of the file beside it, `original_width` and `original_height`, `exif` (JSON), and `sha256` of the file as
fetched. Source: img2dataset 1.45, `downloader.py`.
"""

IMAGE_SCHEMA: pa.Schema = pa.schema(
    [pa.field(name, _JSON_TYPES[kind], nullable=False) for name, kind in RECORD_FIELDS.items()]
    + [pa.field("part", pa.string(), nullable=False)]
    + [pa.field("offset", pa.int64(), nullable=False), pa.field("length", pa.int64(), nullable=False)]
)


def run(job: Job) -> Outcome:
    """Runs the stage; see the module."""
    run_pipeline(functools.partial(build, job=job), job.workers, job.runner)
    written = sorted(file.path for _, receipt in all_receipts(job.folder) for file in receipt.files)
    tables = [job.folder / path for path in written if path.startswith("images-")]
    return Outcome(records_in=count_fetched(job, "image"), files=(write_attribution(job.folder, tables),))


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the stage's graph to `pipeline`."""
    assert job.recipe.images is not None
    config = job.recipe.images
    found = pipeline | "FindPictures" >> FindPictures(job)
    once = (
        found.kept
        # Found
        | "KeyByFile" >> beam.Map(lambda found: (bytes.fromhex(found.sha256), found.packed()))
        | "GroupByFile" >> beam.GroupByKey()
        # (SHA-256, [Found])
        | "OneOfEachFile" >> beam.FlatMap(one_of_each_file, job).with_outputs(REJECTS, main="kept")
    )
    cleaned = (
        once.kept
        | "KeyByLedger" >> beam.Map(lambda found: (found.ref.table, as_chosen(found).packed()))
        | "GroupByLedger" >> beam.GroupByKey()
        # (ledger table, [Found])
        | "HoldGroup" >> beam.MapTuple(hold_group)
        | "Clean" >> beam.ParDo(FinishParts(functools.partial(clean_pictures, job=job), job.folder))
        # Cleaned
        | "KeyByPixels" >> beam.Map(lambda cleaned: (bytes.fromhex(cleaned.key), cleaned.packed()))
        | "GroupByPixels" >> beam.GroupByKey()
        | "OneOfEachPicture" >> beam.FlatMapTuple(one_of_each_picture).with_outputs(REJECTS, main="kept")
    )
    distinct, alike = cleaned.kept | "NearDuplicates" >> SettleNearDuplicates(job.folder, config.near_duplicates)
    write = functools.partial(write_part, job, EXTENSIONS[config.encoding])
    samples = distinct | "PlaceSamples" >> beam.Map(place_samples, job.recipe.split)
    # [SampleRef]
    samples | "WriteParts" >> WriteShards(job.folder, config.buckets, config.max_part_bytes, write)
    rejects = (found.rejects, once.rejects, cleaned.rejects, *alike) | "Rejects" >> beam.Flatten()
    rejects | "WriteRejects" >> WriteRejects(job.folder, "duplicates", config.buckets)


def one_of_each_file(copies: tuple[bytes, Iterable[Any]], job: Job) -> Iterator[Any]:
    """Of the copies of one file, the one with the best caption; the rest are rejected, or all if it is everywhere."""
    found = [Found.unpack(each) for each in copies[1]]
    verdict = judge_copies(found, picture_settings(job).filters)
    if verdict is not None:
        yield from (TaggedOutput(REJECTS, _turned_away(each, verdict, job.tombstones)) for each in found)
        return
    for copy in keep_first_remembered(found, lambda found: found.rank[:3], "exact_duplicate", job.tombstones):
        if isinstance(copy, Found):
            yield with_all_claims(copy, [each for each in found if not job.tombstones.cover(each.url, each.sha256)])
        else:
            yield copy


def _turned_away(found: Found, verdict: Verdict, tombstones: Tombstones) -> Reject:
    """Why a picture is not used that is not wanted, or was forgotten before that could be said."""
    if tombstones.cover(found.url, found.sha256):
        return forgotten(found.url)
    return Reject(found.url, verdict.fate, verdict.reason, verdict.detail)


def as_chosen(found: Found) -> Found:
    """A picture without what it was chosen by."""
    return found._replace(places=UNCOUNTED, rank=NOWHERE.rank)


def one_of_each_picture(_: bytes, copies: Iterable[Any]) -> Iterator[Any]:
    """Of the clean pictures with the same pixels, one; the rest are rejected."""
    return keep_first(map(Cleaned.unpack, copies), lambda cleaned: cleaned.url, "same_pixels")


def place_samples(distinct: list[Distinct], fractions: SplitConfig) -> list[SampleRef]:
    """Clean pictures as references to be written, with what each takes once its cluster and split stand in its JSON."""
    samples = []
    for each in distinct:
        picture, caption, record = each.lengths[:3]
        record += len(draw_split(each.cluster, fractions)) - len(draw_split(each.key, fractions))
        source = (each.part, each.offset, *each.lengths[:3], each.cluster)
        samples.append(SampleRef("part", each.key, sample_bytes((picture, caption, record)), source))
    return samples


def clean_pictures(part: tuple[str, Iterable[Any]], turn: Turn, job: Job) -> Iterator[Cleaned]:
    """Cleans the pictures of one ledger table, unless an earlier run has, and yields those set aside."""
    table, found = part
    yield from finish_clean_part((table, map(Found.unpack, found)), job, clean_picture, turn)


def clean_picture(found: Found, rows: Sequence[dict[str, Any]], job: Job) -> Clean | Verdict:
    """The clean picture as it is set aside (the file, caption, JSON, likeness), or why there is none."""
    assert job.recipe.images is not None
    crawl = job.input_folder("crawl")
    row, link, licensed = rows
    payload = stored_record(crawl, row["warc_file"], row["warc_offset"]).payload
    licence = picture_licence(found.claims, licensed, payload)
    picture = judge_licence(licence, job.recipe.images.licences) or clean_image(payload, picture_settings(job))
    if isinstance(picture, Verdict):
        return picture
    record = picture_record(picture, row, link, licence, job)
    likeness = (picture.look.likeness,) if picture.look else ()
    return Clean(record["key"], (picture.encoded, link["caption"].encode(), record_bytes(record), *likeness))


def picture_record(
    picture: CleanImage, row: dict[str, Any], link: dict[str, Any], licence: Licence, job: Job
) -> dict[str, Any]:
    """The JSON of a clean picture: all that is known of it, in the order of `RECORD_FIELDS`."""
    key = picture.key
    known = {
        **{name: row[name] for name in (*FROM_LEDGER, "num_bytes")},
        **{name: link[name] for name in FROM_LINK},
        "licence": licence.licence,
        "licence_url": licence.url,
        "author": licence.author,
        "licence_method": licence.method,
        "caption_language": language_of(link["caption"], link["language"]),
        "key": key,
        "status": "success",
        "page_url": link["from_url"],
        "width": picture.width,
        "height": picture.height,
        "original_width": picture.original_width,
        "original_height": picture.original_height,
        "exif": picture.exif,
        "tree_score": 0.0,
        "cluster": key,
        "split": draw_split(key, job.recipe.split),
        "format": picture.media_format,
        "perceptual_hash": picture.look.pdq.hash.hex() if picture.look else UNKNOWN,
        "filters": ",".join(passed(job.recipe)),
    }
    return {name: known[name] for name in RECORD_FIELDS}


def passed(recipe: Recipe) -> tuple[str, ...]:
    """What every clean picture has passed."""
    assert recipe.images is not None
    config = recipe.images
    licence = ("licence",) if config.licences != "any" else ()
    near_duplicate = ("near_duplicate",) if config.near_duplicates == "reject" else ()
    header, filters = ("format", "pixels", "side", "aspect"), image_settings(config).filters.names()
    return (*licence, *header, *filters, "exact_duplicate", "same_pixels", *near_duplicate)


def write_part(job: Job, extension: str, name: str, samples: Iterable[SampleRef]) -> Receipt:
    """Writes clean pictures as `part-NNNNNN.tar` with its index, and their table as `images-NNNNNN.parquet`."""
    rows: list[dict[str, Any]] = []
    copied = _copy_samples(job, extension, name, samples, rows)
    files = write_shard(job.folder / f"{name}.tar", copied, (extension, "txt", "json"))
    table = write_table(job.folder, f"images-{name.removeprefix('part-')}.parquet", rows, IMAGE_SCHEMA)
    return Receipt((*files, table), Fates(kept=len(rows)))


def _copy_samples(
    job: Job, extension: str, name: str, samples: Iterable[SampleRef], rows: list[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The samples as they stand in the part; a row for each goes into `rows`."""
    offset = 0
    for sample in samples:
        part, start, *lengths, cluster = sample.source
        picture, caption, staged = read_staged(job.folder, str(part), int(start), [int(n) for n in lengths])
        known = json.loads(staged) | {"cluster": cluster, "split": draw_split(str(cluster), job.recipe.split)}
        place = {"part": f"{name}.tar", "offset": offset, "length": sample.num_bytes}
        rows.append({**known, **place})
        offset += sample.num_bytes
        yield sample.key, {extension: picture, "txt": caption, "json": record_bytes(known)}
