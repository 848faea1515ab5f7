"""The text stage: from fetched pages to documents, each once, with where it came from.

Of pages with the same bytes one goes on; its main text is taken out, judged and set aside; of documents with the same
text one goes on, into `documents-*.parquet`.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa

from crawl.text import CleanText, TextSettings, clean_page
from crawl.verdict import Verdict
from crawl.warc import read_record
from pipelines.duplicates import REJECTS, keep_first, keep_first_remembered
from pipelines.engine import run_pipeline
from pipelines.fates import Fates, Reject
from pipelines.ledger import FROM_LEDGER, Fetched, clean_name, count_fetched, crawl_tables, read_fetched
from pipelines.receipts import Receipt, finish_part
from pipelines.rejects import WriteRejects
from pipelines.sink import SampleRef, WriteShards
from pipelines.splits import split_of
from pipelines.stages import Job, Outcome
from pipelines.staging import read_staged, stage_payload, staged_name
from pipelines.tables import read_row, write_rejects, write_table
from shards.manifest import FileEntry, atomic_open

_TEXT, _COUNT, _SCORE = pa.string(), pa.int64(), pa.float64()
DOCUMENT_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in (
            ("key", _TEXT),
            ("url", _TEXT),
            ("sha256", _TEXT),
            ("title", _TEXT),
            ("text", _TEXT),
            ("num_words", _COUNT),
            ("language", _TEXT),
            ("quality_score", _SCORE),
            ("licence", _TEXT),
            ("licence_url", _TEXT),
            ("author", _TEXT),
            ("cluster", _TEXT),
            ("split", _TEXT),
            ("warc_file", _TEXT),
            ("warc_offset", _COUNT),
            ("fetched_at", _TEXT),
            ("robots_rule", _TEXT),
            ("opt_out", _TEXT),
            ("filters", _TEXT),
        )
    ]
)


class Cleaned(NamedTuple):
    """A document set aside."""

    key: str
    url: str
    part: str
    place: tuple[int, int]
    """Offset in the staging file, and the length of the document as JSON."""


def run(job: Job) -> Outcome:
    """Runs the stage; see the module."""
    run_pipeline(functools.partial(build, job=job), job.workers)
    return Outcome(records_in=count_fetched(job, "page"))


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the stage's graph to `pipeline`."""
    assert job.recipe.text is not None
    config = job.recipe.text
    once = (
        pipeline
        | "Ledgers" >> beam.Create(crawl_tables(job, "ledger-"))
        | "ReadLedgers" >> beam.FlatMap(read_fetched, job, "page")
        | "KeyByFile" >> beam.Map(lambda fetched: (fetched.sha256, fetched))
        # (sha256, Fetched)
        | "GroupByFile" >> beam.GroupByKey()
        | "OneOfEachFile" >> beam.FlatMap(one_of_each_file, job).with_outputs(REJECTS, main="kept")
    )
    cleaned = (
        once.kept
        | "KeyByLedger" >> beam.Map(lambda fetched: (fetched.ref.table, fetched))
        | "GroupByLedger" >> beam.GroupByKey()
        # (ledger table, [Fetched])
        | "Clean" >> beam.FlatMap(finish_clean_part, job)
        # Cleaned
        | "KeyByText" >> beam.Map(lambda cleaned: (cleaned.key, cleaned))
        | "GroupByText" >> beam.GroupByKey()
        | "OneOfEachText" >> beam.FlatMapTuple(one_of_each_text).with_outputs(REJECTS, main="kept")
    )
    write = functools.partial(write_documents, job.folder)
    cleaned.kept | WriteShards(job.folder, config.buckets, config.max_part_bytes, write)
    (
        (once.rejects, cleaned.rejects)
        | "Rejects" >> beam.Flatten()
        | WriteRejects(job.folder, "duplicates", config.buckets)
    )


def one_of_each_file(copies: tuple[str, Iterable[Fetched]], job: Job) -> Iterator[Any]:
    """Of the copies of one page, the one with the smallest URL; the rest are rejected."""
    return keep_first_remembered(copies[1], lambda fetched: fetched.url, "exact_duplicate", job.tombstones)


def one_of_each_text(key: str, copies: Iterable[Cleaned]) -> Iterator[Any]:
    """Of the documents with the same text, one, as a reference to be written; the rest are rejected."""
    kept, *rejects = keep_first(copies, lambda cleaned: cleaned.url, "same_text")
    yield SampleRef("documents", key, kept.place[1], (kept.part, *kept.place))
    yield from rejects


def finish_clean_part(part: tuple[str, Iterable[Fetched]], job: Job) -> Iterator[Cleaned]:
    """Cleans the pages of one ledger table, unless an earlier run has, and yields the documents set aside."""
    table, pages = part
    name = clean_name(table)
    receipt = finish_part(job.folder, name, lambda: clean_part(name, sorted(pages, key=lambda page: page.ref), job))
    for key, url, place in receipt.notes["cleaned"]:
        yield Cleaned(key, url, name, tuple(place))


def clean_part(name: str, pages: list[Fetched], job: Job) -> Receipt:
    """Cleans `pages` into a staging file; what is turned away settles its fate here."""
    assert job.recipe.text is not None
    settings = TextSettings(**job.recipe.text.model_dump(exclude={"buckets", "max_part_bytes"}))
    rejects: list[Reject] = []
    cleaned: list[tuple[str, str, tuple[int, ...]]] = []
    with atomic_open(job.folder / staged_name(name)) as staging:
        for fetched in pages:
            row = read_row(f"{job.input_folder('crawl')}/{fetched.ref.table}", fetched.ref.row)
            record = read_record(job.input_folder("crawl") / row["warc_file"], row["warc_offset"])
            text = clean_page(record.payload, fetched.url, record.charset, settings)
            if isinstance(text, Verdict):
                rejects.append(Reject(fetched.url, text.fate, text.reason, text.detail))
                continue
            document = make_document(text, row, job)
            place = stage_payload(staging, [json.dumps(document, ensure_ascii=False).encode()])
            cleaned.append((document["key"], fetched.url, place))
        size = staging.tell()
    files = (FileEntry(staged_name(name), size, "", len(cleaned)), *write_rejects(job.folder, name, rejects))
    return Receipt(files, Fates.of(rejects), len(pages), {"cleaned": cleaned})


def make_document(text: CleanText, row: dict[str, Any], job: Job) -> dict[str, Any]:
    """A row of `documents-*.parquet`; its key is 32 hex digits of the text's SHA-256."""
    key = hashlib.sha256(text.text.encode()).hexdigest()[:32]
    known = {
        **{name: row[name] for name in FROM_LEDGER},
        "key": key,
        "title": text.title,
        "text": text.text,
        "num_words": text.num_words,
        "language": text.language,
        "quality_score": 0.0,
        "licence": "unknown",
        "licence_url": "unknown",
        "author": "unknown",
        "cluster": key,
        "split": split_of(key, job.recipe.split),
        "filters": "gopher_quality,repeated_lines,exact_duplicate,same_text",
    }
    return {name: known[name] for name in DOCUMENT_SCHEMA.names}


def write_documents(folder: Path, name: str, samples: list[SampleRef]) -> Receipt:
    """Writes documents, in order, as the table `documents-NNNNNN.parquet`."""
    rows = []
    for sample in samples:
        part, offset, length = sample.source
        rows.append(json.loads(read_staged(folder, str(part), int(offset), [int(length)])[0]))
    return Receipt((write_table(folder, f"{name}.parquet", rows, DOCUMENT_SCHEMA),), Fates(kept=len(rows)))
