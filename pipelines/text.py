"""The text stage: from fetched pages to documents, each once, with where it came from.

Of pages with the same bytes one goes on; its main text is taken out, judged and set aside; of documents with the same
text one goes on, and of those nearly the same the longest, into `documents-*.parquet`.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa

from crawl.contamination import find_contamination
from crawl.minhash import hash_shingles
from crawl.records import UNKNOWN
from crawl.text import CleanText, clean_page, clean_plain_text
from crawl.verdict import Verdict
from crawl.visit import LOCAL_TEXT_TYPES
from crawl.warc import read_record
from pipelines.cleaning import Clean, Cleaned, finish_clean_part
from pipelines.duplicates import REJECTS, keep_first, keep_first_remembered
from pipelines.engine import run_pipeline
from pipelines.evaluations import evaluations
from pipelines.fates import Fates
from pipelines.ledger import FROM_LEDGER, Fetched, count_fetched, crawl_tables, read_fetched
from pipelines.receipts import Receipt
from pipelines.rejects import WriteRejects
from pipelines.sink import WriteShards
from pipelines.sorting import SampleRef
from pipelines.splits import draw_split
from pipelines.stages import Job, Outcome
from pipelines.staging import read_staged
from pipelines.tables import write_table
from pipelines.text_duplicates import Alike, RejectNearDuplicates
from pipelines.text_recipe import TextConfig

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
            ("private_data", _TEXT),
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
        | "Clean" >> beam.FlatMap(finish_clean_part, job, clean_document)
        # Cleaned
        | "KeyByText" >> beam.Map(lambda cleaned: (cleaned.key, cleaned))
        | "GroupByText" >> beam.GroupByKey()
        | "OneOfEachText" >> beam.FlatMapTuple(one_of_each_text).with_outputs(REJECTS, main="kept")
    )
    alike = Alike(job.folder, config.min_similarity, config.near_duplicates == "keep", config.buckets)
    distinct = cleaned.kept | "NearDuplicates" >> RejectNearDuplicates(alike)
    write = functools.partial(write_documents, job)
    # [SampleRef]
    distinct.kept | "WriteDocuments" >> WriteShards(job.folder, config.buckets, config.max_part_bytes, write)
    (
        (once.rejects, cleaned.rejects, distinct.rejects)
        | "Rejects" >> beam.Flatten()
        | WriteRejects(job.folder, "duplicates", config.buckets)
    )


def one_of_each_file(copies: tuple[str, Iterable[Fetched]], job: Job) -> Iterator[Any]:
    """Of the copies of one page, the one with the smallest URL; the rest are rejected."""
    return keep_first_remembered(copies[1], lambda fetched: fetched.url, "exact_duplicate", job.tombstones)


def one_of_each_text(_: str, copies: Iterable[Cleaned]) -> Iterator[Any]:
    """Of the documents with the same text, one, by where it is set aside; the rest are rejected."""
    kept, *rejects = keep_first(copies, lambda cleaned: cleaned.url, "same_text")
    yield kept.part, kept.offset
    yield from rejects


def clean_document(fetched: Fetched, rows: Sequence[dict[str, Any]], job: Job) -> Clean | Verdict:
    """The document as it is set aside (JSON, shingles), or why there is none."""
    assert job.recipe.text is not None
    settings = job.recipe.text.settings
    crawl = job.input_folder("crawl")
    (row,) = rows
    stored = read_record(crawl / row["warc_file"], row["warc_offset"])
    if stored.media_type in LOCAL_TEXT_TYPES:
        text = clean_plain_text(stored.payload, stored.charset, settings)
    else:
        text = clean_page(stored.payload, fetched.url, stored.charset, settings)
    if isinstance(text, Verdict):
        return text
    shared = find_contamination(text.text, evaluations(tuple(job.recipe.text.decontaminate)))
    if shared is not None:
        return Verdict("rejected", "contaminated", shared)
    document = make_document(text, row, job)
    pieces = (json.dumps(document, ensure_ascii=False).encode(), hash_shingles(text.text).astype("<u8").tobytes())
    return Clean(document["key"], pieces)


def make_document(text: CleanText, row: dict[str, Any], job: Job) -> dict[str, Any]:
    """A row of `documents-*.parquet`; its key is 32 hex digits of the text's SHA-256."""
    assert job.recipe.text is not None
    key = hashlib.sha256(text.text.encode()).hexdigest()[:32]
    known = {
        **{name: row[name] for name in FROM_LEDGER},
        "key": key,
        "title": text.title,
        "text": text.text,
        "num_words": text.num_words,
        "language": text.language,
        "private_data": json.dumps(dict(sorted(text.private_data.items()))),
        "quality_score": 0.0,
        "licence": UNKNOWN,
        "licence_url": UNKNOWN,
        "author": UNKNOWN,
        "cluster": key,
        "split": draw_split(key, job.recipe.split),
        "filters": ",".join(_filters(job.recipe.text)),
    }
    return {name: known[name] for name in DOCUMENT_SCHEMA.names}


def _filters(config: TextConfig) -> tuple[str, ...]:
    """What every document has passed."""
    languages = ("languages",) if config.languages else ()
    near_duplicate = ("near_duplicate",) if config.near_duplicates == "reject" else ()
    return (*languages, *config.settings.rules.names(), "exact_duplicate", "same_text", *near_duplicate)


def write_documents(job: Job, name: str, samples: Iterable[SampleRef]) -> Receipt:
    """Writes documents, in order, as the table `documents-NNNNNN.parquet`; their clusters decide their split."""
    rows = []
    for sample in samples:
        part, offset, length, cluster = sample.source
        document = json.loads(read_staged(job.folder, str(part), int(offset), [int(length)])[0])
        rows.append(document | {"cluster": cluster, "split": draw_split(str(cluster), job.recipe.split)})
    return Receipt((write_table(job.folder, f"{name}.parquet", rows, DOCUMENT_SCHEMA),), Fates(kept=len(rows)))
