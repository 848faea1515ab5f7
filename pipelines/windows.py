"""The windows stage: from documents to windows of words and the next word, in shards.

First the dictionary, counted over the train split. Then each table of documents is turned into tokens, set aside; a
prefix sum says where in its split's stream each document begins, and so in which windows it stands; whoever writes a
shard copies the windows' tokens together.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np

from pipelines.datasets import count_kept, dataset_outcome
from pipelines.engine import run_pipeline
from pipelines.fates import Fates
from pipelines.receipts import Receipt, finish_part, read_receipt
from pipelines.sink import SampleRef, WriteShards
from pipelines.stages import Job, Outcome
from pipelines.staging import staged_name
from pipelines.tables import read_table, write_file
from shards.manifest import FileEntry, atomic_open
from shards.tokenizer import (
    TOKENIZER_NAME,
    ByteTokenizer,
    WordTokenizer,
    build_vocabulary,
    load_tokenizer,
    split_words,
)
from shards.tokens import Tokenizer
from shards.window import EXTENSIONS, Piece, WindowSpec, encode_window, place_pieces, window_bytes, window_key
from shards.writer import write_shard

DICTIONARY = "dictionary"


class Tokenised(NamedTuple):
    """A document's tokens, set aside."""

    split: str
    key: str
    url: str
    num_tokens: int
    """With the `<eos>` that closes it."""
    first: int
    """Position of its first token in the staging file, in tokens."""


class Part(NamedTuple):
    """A document's share of one window."""

    offset: int
    piece: Piece
    table: str
    first: int
    """Position of its first token in the staging file of that table, in tokens."""


def run(job: Job) -> Outcome:
    """Runs the stage; see the module."""
    documents = count_kept(job, "text", "pages")
    make_tokenizer(job)
    run_pipeline(functools.partial(build, job=job), job.workers)
    return dataset_outcome(job, documents, window_spec(job).to_json())


def make_tokenizer(job: Job) -> None:
    """Leaves the dataset's tokenizer in its folder, counting the words of the train split where it needs them."""
    assert job.recipe.windows is not None
    if read_receipt(job.folder, DICTIONARY) is not None:
        return
    if job.recipe.windows.tokenizer == "bytes":
        finish_tokenizer(ByteTokenizer(), job.folder)
    else:
        run_pipeline(functools.partial(build_dictionary, job=job), job.workers)


def build_dictionary(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the graph that makes the dictionary: the commonest words of the train split."""
    assert job.recipe.windows is not None
    config = job.recipe.windows
    (
        pipeline
        | "Tables" >> beam.Create(document_tables(job))
        | "CountWords" >> beam.FlatMap(count_words, job.input_folder("text"), config.lower_case)
        # (word, count)
        | "Sum" >> beam.CombinePerKey(sum)
        | "CommonEnough" >> beam.Filter(lambda word: word[1] >= config.min_count)
        | "Gather" >> beam.combiners.ToDict()
        | "Choose" >> beam.Map(build_vocabulary, config.max_words)
        # (word, …)
        | "Write" >> beam.Map(lambda words: finish_tokenizer(WordTokenizer(words, config.lower_case), job.folder))
    )


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the graph that makes the windows."""
    assert job.recipe.windows is not None
    config, spec = job.recipe.windows, window_spec(job)
    tokenised = (
        pipeline | "Tables" >> beam.Create(document_tables(job)) | "Tokenise" >> beam.Map(finish_tokens, job)
        # (table, [Tokenised])
    )
    sizes = tokenised | "Measure" >> beam.MapTuple(lambda table, documents: (table, _tokens_by_split(documents)))
    (
        tokenised
        | "Place" >> beam.FlatMap(place_documents, spec, beam.pvalue.AsDict(sizes))
        # (window, Part)
        | "GroupByWindow" >> beam.GroupByKey()
        | "PlanWindow" >> beam.Map(lambda window: [plan_window(window, spec)])
        # [SampleRef]
        | "WriteShards"
        >> WriteShards(
            job.folder, config.buckets, config.max_shard_bytes, functools.partial(write_windows, job.folder, spec)
        )
    )


def document_tables(job: Job) -> list[str]:
    """The tables of the text stage, in the order of its documents."""
    return [file.path for file in job.inputs["text"].files if file.path.startswith("documents-")]


def window_spec(job: Job) -> WindowSpec:
    """What the recipe's windows are, once the tokenizer stands."""
    assert job.recipe.windows is not None
    config = job.recipe.windows
    return WindowSpec.of(load_tokenizer(job.folder), config.context, config.stride or config.context)


def count_words(table: str, text: Path, lower_case: bool) -> Iterator[tuple[str, int]]:
    """How often each word stands in the train documents of one table."""
    columns = read_table(f"{text}/{table}", ("split", "text"))
    counts: Counter[str] = Counter()
    for split, document in zip(columns["split"].to_pylist(), columns["text"].to_pylist(), strict=True):
        if split == "train":
            counts.update(split_words(document, lower_case))
    yield from counts.items()


def finish_tokenizer(tokenizer: Tokenizer, folder: Path) -> str:
    """Writes the dataset's tokenizer, unless an earlier run has; returns its name."""
    finish_part(
        folder,
        DICTIONARY,
        lambda: Receipt((write_file(folder, TOKENIZER_NAME, tokenizer.to_json().encode(), tokenizer.vocab_size),)),
    )
    return TOKENIZER_NAME


def finish_tokens(table: str, job: Job) -> tuple[str, list[Tokenised]]:
    """Tokenises one table, unless an earlier run has, and says where each document's tokens stand."""
    name = _staging_name(table)
    receipt = finish_part(job.folder, name, lambda: tokenise(table, name, job))
    return table, [Tokenised(*document) for document in receipt.notes["documents"]]


def tokenise(table: str, name: str, job: Job) -> Receipt:
    """Sets aside the tokens of a table's documents, each closed by `<eos>`."""
    tokenizer = load_tokenizer(job.folder)
    columns = read_table(f"{job.input_folder('text')}/{table}", ("split", "key", "url", "text"))
    documents: list[Tokenised] = []
    total = 0
    with atomic_open(job.folder / staged_name(name)) as staging:
        for split, key, url, text in zip(
            *(columns[c].to_pylist() for c in ("split", "key", "url", "text")), strict=True
        ):
            tokens = np.append(tokenizer.encode(text), tokenizer.eos_id).astype(tokenizer.dtype)
            staging.write(tokens.tobytes())
            documents.append(Tokenised(split, key, url, len(tokens), total))
            total += len(tokens)
        size = staging.tell()
    file = FileEntry(staged_name(name), size, "", len(documents))
    return Receipt((file,), Fates(kept=len(documents)), len(documents), {"documents": documents})


def place_documents(
    tokenised: tuple[str, list[Tokenised]], spec: WindowSpec, sizes: dict[str, dict[str, int]]
) -> Iterator[tuple[str, Part]]:
    """The windows that the documents of one table stand in, by the windows' names."""
    table, documents = tokenised
    start: Counter[str] = Counter()
    for other, totals in sizes.items():
        if other < table:
            start.update(totals)
    streams: Counter[str] = Counter()
    for totals in sizes.values():
        streams.update(totals)
    for document in documents:
        begin, length = start[document.split], streams[document.split]
        for place in place_pieces(begin, document.num_tokens, spec.context, spec.stride, length):
            piece = Piece(document.key, document.url, place.start, place.length, place.offset)
            yield f"{document.split}/{place.window}", Part(place.offset, piece, table, document.first + place.start)
        start[document.split] += document.num_tokens


def plan_window(window: tuple[str, Iterable[Part]], spec: WindowSpec) -> SampleRef:
    """The reference of one window, with its exact size; no token is read."""
    name, parts = window
    split, _, number = name.partition("/")
    position = int(number) * spec.stride
    ordered = sorted(parts, key=lambda part: part.offset)
    pieces = [part.piece for part in ordered]
    size = window_bytes(spec, split, position, pieces)
    places = [(part.table, part.first, *astuple(part.piece)) for part in ordered]
    return SampleRef(split, window_key(split, position, pieces[0]), size, (position, *places))


def write_windows(folder: Path, spec: WindowSpec, name: str, samples: list[SampleRef]) -> Receipt:
    """Writes one shard; the documents' fates are settled where they are tokenised."""
    return Receipt(tuple(write_shard(folder / f"{name}.tar", _encode(folder, spec, samples), EXTENSIONS)))


def _encode(folder: Path, spec: WindowSpec, samples: list[SampleRef]) -> Iterator[tuple[str, dict[str, bytes]]]:
    staged: dict[str, Any] = {}
    for sample in samples:
        position, *parts = sample.source
        pieces: list[Piece] = []
        tokens = []
        for table, first, *values in parts:
            piece = Piece(*values)
            if table not in staged:
                staged[table] = np.memmap(folder / staged_name(_staging_name(table)), spec.dtype, "r")
            tokens.append(staged[table][first : first + piece.length])
            pieces.append(piece)
        yield encode_window(spec, sample.split, position, pieces, np.concatenate(tokens))


def _staging_name(table: str) -> str:
    return table.removesuffix(".parquet").replace("documents", "tokens")


def _tokens_by_split(documents: Iterable[Tokenised]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for document in documents:
        totals[document.split] += document.num_tokens
    return dict(totals)
