"""The text stage: from fetched pages to documents, each once, with where it came from.

Of pages with the same bytes one goes on; its main text is taken out, judged and set aside; it loses what its host
repeats in most documents, and is judged again and scored; of documents with the same text one goes on, and of those
nearly the same the longest, into `documents-*.parquet`.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsList, TaggedOutput

from crawl.host_lines import line_rows
from crawl.records import UNKNOWN
from crawl.text import CleanText, clean_page, clean_plain_text
from crawl.verdict import Verdict
from crawl.visit import LOCAL_TEXT_TYPES
from pipelines.behind import FinishParts, Turn, hold_group
from pipelines.cleaning import Clean, clean_part
from pipelines.duplicates import REJECTS, keep_first_remembered
from pipelines.engine import run_pipeline
from pipelines.fates import Fates, Reject
from pipelines.finished_texts import finish_texts, quality_head, text_columns
from pipelines.host_lines import FindCommonLines
from pipelines.ledger import FROM_LEDGER, Fetched, RowRef, count_fetched, crawl_tables, read_fetched, stored_record
from pipelines.receipts import Receipt
from pipelines.rejects import WriteRejects
from pipelines.sink import WriteShards
from pipelines.sorting import SampleRef
from pipelines.splits import draw_split
from pipelines.squeezed import squeeze, unsqueeze
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
            ("num_boilerplate_lines", _COUNT),
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
    assert job.recipe.text is not None
    if job.recipe.text.quality is not None:
        quality_head(job)  # what is no head is said before any work
    run_pipeline(functools.partial(build, job=job), job.workers, job.runner)
    return Outcome(records_in=count_fetched(job, "page"))


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the stage's graph to `pipeline`."""
    assert job.recipe.text is not None
    config = job.recipe.text
    once = (
        pipeline
        | "Ledgers" >> beam.Create(crawl_tables(job, "ledger-"))
        | "ReadLedgers" >> beam.FlatMap(read_fetched, job, "page")
        | "KeyByFile" >> beam.Map(lambda fetched: (bytes.fromhex(fetched.sha256), (squeeze(fetched.url), *fetched.ref)))
        # (SHA-256, (URL, ledger table, row))
        | "GroupByFile" >> beam.GroupByKey()
        | "OneOfEachFile" >> beam.FlatMap(one_of_each_file, job).with_outputs(REJECTS, main="kept")
        # (ledger table, row)
    )
    parts = (
        once.kept
        | "GroupByLedger" >> beam.GroupByKey()
        # (ledger table, [row])
        | "HoldGroup" >> beam.MapTuple(hold_group)
        | "Clean" >> beam.ParDo(FinishParts(functools.partial(clean_documents, job=job), job.folder))
        # staging file
    )
    counted: Any = ()
    if config.common_lines:
        counted = AsList(parts | "FindCommonLines" >> FindCommonLines(job.folder, config.common_lines))
    cleaned = (
        parts
        | "Finish" >> beam.FlatMap(finish_texts, job, counted)
        | "KeyByText" >> beam.Map(lambda cleaned: (cleaned.key, (squeeze(cleaned.url), cleaned.part, cleaned.offset)))
        # (key, (URL, staging file, offset))
        | "GroupByText" >> beam.GroupByKey()
        | "OneOfEachText" >> beam.FlatMapTuple(one_of_each_text).with_outputs(REJECTS, main="kept")
        # (staging file, offset)
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


def one_of_each_file(file: tuple[bytes, Iterable[tuple[Any, ...]]], job: Job) -> Iterator[Any]:
    """Of the copies of one page, the ledger row of the one with the smallest URL; the rest are rejected."""
    sha256, copies = file
    fetched = (Fetched(unsqueeze(url), sha256.hex(), RowRef(table, row)) for url, table, row in copies)
    for each in keep_first_remembered(fetched, lambda fetched: fetched.url, "exact_duplicate", job.tombstones):
        yield tuple(each.ref) if isinstance(each, Fetched) else each


def clean_documents(part: tuple[str, Iterable[int]], turn: Turn, job: Job) -> list[str]:
    """Cleans the pages of some rows of a ledger table, unless an earlier run has; returns the staging file's name."""
    table, rows = part
    wanted = set(rows)
    fetched = (each for each in read_fetched(table, job, "page") if each.ref.row in wanted)
    return [clean_part((table, fetched), job, clean_document, turn)[0]]


def one_of_each_text(_: str, copies: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Of the documents with the same text, one, by where it is set aside; the rest are rejected."""
    first, *others = sorted((unsqueeze(url), *place) for url, *place in copies)
    yield first[1:]
    for url, *_place in others:
        yield TaggedOutput(REJECTS, Reject(url, "rejected", "same_text", first[0]))


def clean_document(fetched: Fetched, rows: Sequence[dict[str, Any]], job: Job) -> Clean | Verdict:
    """The document as it is set aside (JSON, hashes of its lines), or why there is none."""
    assert job.recipe.text is not None
    settings = job.recipe.text.settings
    crawl = job.input_folder("crawl")
    (row,) = rows
    stored = stored_record(crawl, row["warc_file"], row["warc_offset"])
    if stored.media_type in LOCAL_TEXT_TYPES:
        text = clean_plain_text(stored.payload, stored.charset, settings)
    else:
        text = clean_page(stored.payload, fetched.url, stored.charset, settings)
    if isinstance(text, Verdict):
        return text
    document = make_document(text, row, job)
    lines = line_rows(text.text, fetched.url, text.language, document["key"])
    return Clean(document["key"], (json.dumps(document, ensure_ascii=False).encode(), lines.tobytes()))


def make_document(text: CleanText, row: dict[str, Any], job: Job) -> dict[str, Any]:
    """A row of `documents-*.parquet`, as far as it is known by now."""
    assert job.recipe.text is not None
    known = {
        **{name: row[name] for name in FROM_LEDGER},
        **text_columns(text.text),
        "title": text.title,
        "language": text.language,
        "private_data": json.dumps(dict(sorted(text.private_data.items()))),
        "quality_score": 0.0,
        "num_boilerplate_lines": 0,
        "licence": UNKNOWN,
        "licence_url": UNKNOWN,
        "author": UNKNOWN,
        "split": "",
        "filters": ",".join(_filters(job.recipe.text)),
    }
    return {name: known[name] for name in DOCUMENT_SCHEMA.names}


def _filters(config: TextConfig) -> tuple[str, ...]:
    """What every document has passed."""
    languages = ("languages",) if config.languages else ()
    near_duplicate = ("near_duplicate",) if config.near_duplicates == "reject" else ()
    lines, quality = ("host_lines",) if config.host_lines else (), ("quality",) if config.quality else ()
    rules = config.settings.rules.names()
    return (*languages, *rules, *lines, *quality, "exact_duplicate", "same_text", *near_duplicate)


def write_documents(job: Job, name: str, samples: Iterable[SampleRef]) -> Receipt:
    """Writes documents, in order, as the table `documents-NNNNNN.parquet`; their clusters decide their split."""
    rows = []
    for sample in samples:
        part, offset, length, cluster = sample.source
        document = json.loads(read_staged(job.folder, str(part), int(offset), [int(length)])[0])
        rows.append(document | {"cluster": cluster, "split": draw_split(str(cluster), job.recipe.split)})
    return Receipt((write_table(job.folder, f"{name}.parquet", rows, DOCUMENT_SCHEMA),), Fates(kept=len(rows)))
