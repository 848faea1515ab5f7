"""The windows stage: from documents to windows of words and the next word, in shards.

First the dictionary, counted over the train split. Then each table of documents is turned into tokens, set aside; a
prefix sum says where in its split's stream each table begins, and so which windows it plans; whoever writes a shard
copies the windows' tokens together. No step holds more than a few thousand windows.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, BinaryIO

import apache_beam as beam
import numpy as np

from pipelines.datasets import count_kept, dataset_outcome
from pipelines.dictionary import document_tables, make_tokenizer
from pipelines.engine import run_pipeline
from pipelines.fates import Fates
from pipelines.open_files import OpenFiles
from pipelines.receipts import STAGING, Receipt, finish_part, receipt_of
from pipelines.sink import WriteShards
from pipelines.sorting import SampleRef, batched
from pipelines.stages import Job, Outcome
from pipelines.staging import create_staged, stage_payload, staged_name
from pipelines.streams import DOCUMENT_SCHEMA, Stream, Totals, pack_windows, part_name, plan_windows, tokens_name
from pipelines.tables import read_rows, write_table
from shards.manifest import FileEntry, atomic_open
from shards.object_path import AnyPath
from shards.tokenizer import WordTokenizer, load_tokenizer
from shards.triplet import record_bytes
from shards.window import EXTENSIONS, WindowSpec, window_bytes, window_key, window_members, window_record
from shards.writer import write_shard

PLANNED_WINDOWS = 5_000
"""Windows that are planned, and handed on, together."""

RECORDS = "records"
"""The staging files that hold the windows' JSON begin so: it is made where its length must be known."""


def run(job: Job) -> Outcome:
    """Runs the stage; see the module."""
    documents = count_kept(job, "text", "pages")
    make_tokenizer(job)
    run_pipeline(functools.partial(build, job=job), job.workers, job.runner)
    outcome = dataset_outcome(job, documents, window_spec(job).to_json())
    return replace(outcome, configuration={**outcome.configuration, "unknown_rate": unknown_rates(job)})


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the graph that makes the windows."""
    assert job.recipe.windows is not None
    config, spec = job.recipe.windows, window_spec(job)
    totals = (
        pipeline | "Tables" >> beam.Create(document_tables(job)) | "Tokenise" >> beam.Map(finish_tokens, job)
        # (table, {split: tokens})
    )
    write = functools.partial(write_windows, job.folder, document_tables(job), spec)
    (
        totals
        | "Plan" >> beam.FlatMap(plan_table, job.folder, spec, beam.pvalue.AsDict(totals))
        # [SampleRef]
        | "WriteShards" >> WriteShards(job.folder, config.buckets, config.max_shard_bytes, write)
    )


def unknown_rates(job: Job) -> dict[str, float]:
    """Of each split, the share of its tokens that the dictionary does not hold; 0 for bytes and byte pairs."""
    tokens: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for table in document_tables(job):
        notes = _notes(job.folder, table)
        tokens.update(notes["tokens"])
        unknown.update(notes["unknown"])
    return {split: round(unknown[split] / total, 6) for split, total in sorted(tokens.items())}


def window_spec(job: Job) -> WindowSpec:
    """What the recipe's windows are, once the tokenizer stands."""
    assert job.recipe.windows is not None
    config = job.recipe.windows
    return WindowSpec.of(load_tokenizer(job.folder), config.context, config.stride or config.context, config.packing)


def finish_tokens(table: str, job: Job) -> tuple[str, dict[str, int]]:
    """Tokenises one table, unless an earlier run has, and says how many tokens it adds to each split."""
    receipt = finish_part(job.folder, part_name(table), lambda: tokenise(table, job))
    return table, receipt.notes["tokens"]


def tokenise(table: str, job: Job) -> Receipt:
    """Sets aside the tokens of a table's documents, split by split, and which documents they are."""
    tokenizer = load_tokenizer(job.folder)
    documents: list[dict[str, Any]] = []
    with ExitStack() as stack:
        staged: dict[str, BinaryIO] = {}
        unknown: Counter[str] = Counter()
        for row in read_rows(f"{job.input_folder('text')}/{table}", ("split", "key", "url", "text")):
            split = row["split"]
            if split not in staged:
                staged[split] = stack.enter_context(atomic_open(job.folder / tokens_name(table, split)))
            tokens = np.append(tokenizer.encode(row.pop("text")), tokenizer.eos_id).astype(tokenizer.dtype)
            staged[split].write(tokens.tobytes())
            if isinstance(tokenizer, WordTokenizer):
                unknown[split] += int(np.count_nonzero(tokens == tokenizer.unk_id))
            documents.append({**row, "num_tokens": len(tokens)})
        sizes = {split: file.tell() for split, file in staged.items()}
    files = [FileEntry(tokens_name(table, split), size, "", 0) for split, size in sizes.items()]
    files.append(write_table(job.folder, _documents_name(table), documents, DOCUMENT_SCHEMA))
    totals = {split: size // np.dtype(tokenizer.dtype).itemsize for split, size in sizes.items()}
    return Receipt(tuple(files), Fates(kept=len(documents)), len(documents), {"tokens": totals, "unknown": unknown})


def plan_table(
    table: tuple[str, dict[str, int]], folder: AnyPath, spec: WindowSpec, totals: Totals
) -> Iterator[list[SampleRef]]:
    """The references of the windows that begin in a table, with their exact sizes; no token is read."""
    name = f"{RECORDS}-{part_name(table[0])}"
    with create_staged(folder, name) as staging:
        yield from batched(_plan_table(table[0], name, staging, folder, spec, totals), PLANNED_WINDOWS)


def _plan_table(
    table: str, name: str, staging: BinaryIO, folder: AnyPath, spec: WindowSpec, totals: Totals
) -> Iterator[SampleRef]:
    """References, their JSON going into the staging file called `name`."""
    behind = [other for other in sorted(totals) if other >= table]
    for split in sorted(totals[table]):
        if spec.packing == "concat":
            documents = itertools.chain.from_iterable(_documents(folder, other, split) for other in behind)
            planned = plan_windows(table, split, totals, spec, documents)
        else:
            planned = pack_windows(table, split, totals, spec, list(_documents(folder, table, split)))
        for position, pieces, runs in planned:
            encoded = record_bytes(window_record(spec, split, position, pieces))
            source = (name, *stage_payload(staging, [encoded, np.array(runs, np.int64).tobytes()]))
            size = window_bytes(spec, len(encoded))
            yield SampleRef(split, window_key(split, position, pieces[0]), size, source)


def write_windows(
    folder: AnyPath, tables: Iterable[str], spec: WindowSpec, name: str, samples: Iterable[SampleRef]
) -> Receipt:
    """Writes one shard; the documents' fates are settled where they are tokenised."""
    totals = _totals(folder, tables)
    with OpenFiles() as files:
        encoded = _encode(files, folder, totals, spec, samples)
        return Receipt(tuple(write_shard(folder / f"{name}.tar", encoded, EXTENSIONS)))


def _encode(
    files: OpenFiles, folder: AnyPath, totals: Totals, spec: WindowSpec, samples: Iterable[SampleRef]
) -> Iterator[tuple[str, dict[str, bytes]]]:
    streams: dict[str, Stream] = {}
    path_of = functools.cache(lambda name: folder / staged_name(name))
    for sample in samples:
        if sample.split not in streams:
            streams[sample.split] = Stream(files, folder, sample.split, totals, spec.dtype)
        name, offset, record_length, runs_length = sample.source
        staged = files.read(path_of(name), offset, record_length + runs_length)
        runs = np.frombuffer(staged, np.int64, offset=record_length).reshape(-1, 2).tolist()
        tokens = np.concatenate([streams[sample.split].read(*run) for run in runs])
        yield sample.key, window_members(spec, tokens, staged[:record_length])


def _totals(folder: AnyPath, tables: Iterable[str]) -> Totals:
    """How many tokens each table adds to each split."""
    return {table: _notes(folder, table)["tokens"] for table in tables}


def _notes(folder: AnyPath, table: str) -> Mapping[str, Any]:
    """What was noted when a table was made into tokens."""
    return receipt_of(folder, part_name(table)).notes


def _documents(folder: AnyPath, table: str, split: str) -> Iterator[dict[str, Any]]:
    return (row for row in read_rows(f"{folder}/{_documents_name(table)}") if row["split"] == split)


def _documents_name(table: str) -> str:
    return f"{STAGING}/{part_name(table)}.parquet"
