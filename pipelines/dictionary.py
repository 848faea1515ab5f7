"""The tokenizer of a set of windows, made once, of the train split alone."""

import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath

import apache_beam as beam

from crawl.settings import FetchSettings
from crawl.stored_file import open_stored
from pipelines.engine import run_pipeline
from pipelines.errors import StageError
from pipelines.fetching import settings_of
from pipelines.receipts import Receipt, finish_part, read_receipt
from pipelines.recipe import WindowsConfig
from pipelines.stages import Job
from pipelines.staging import Place
from pipelines.tables import read_rows, write_file
from pipelines.word_counts import FindCommonest, set_aside
from shards.bpe import read_bpe, train_bpe
from shards.object_path import AnyPath
from shards.tokenizer import TOKENIZER_NAME, ByteTokenizer, WordTokenizer, build_vocabulary, split_words
from shards.tokens import Tokenizer, TokenizerError

DICTIONARY = "dictionary"


def make_tokenizer(job: Job) -> None:
    """Leaves the dataset's tokenizer in its folder, made from the words of the train split where it needs them.

    Raises:
        StageError: the recipe's file is no tokenizer.
    """
    assert job.recipe.windows is not None
    config = job.recipe.windows
    if read_receipt(job.folder, DICTIONARY) is not None:
        return
    if config.tokenizer == "words":
        run_pipeline(functools.partial(build_dictionary, job=job), job.workers, job.runner)
    elif config.tokenizer == "bytes":
        finish_tokenizer(ByteTokenizer(), job.folder)
    elif config.tokenizer_file is None:
        finish_tokenizer(train_bpe(train_texts(job), config.vocab_size), job.folder)
    else:
        finish_tokenizer(_read_tokenizer(config.tokenizer_file, config.end, settings_of(job.recipe)), job.folder)


def train_texts(job: Job) -> Iterator[str]:
    """The texts of the train split, in the order of their tables."""
    for table in document_tables(job):
        for row in read_rows(f"{job.input_folder('text')}/{table}", ("split", "text")):
            if row["split"] == "train":
                yield row["text"]


def _read_tokenizer(path: str, end: str | None, settings: FetchSettings) -> Tokenizer:
    try:
        with open_stored(path, settings) as file:
            return read_bpe(file.read().decode(), end)
    except (OSError, TokenizerError, UnicodeDecodeError) as error:
        raise StageError(f"windows: tokenizer_file {path}: {error}") from error


def build_dictionary(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the graph that makes the dictionary: the commonest words of the train split."""
    assert job.recipe.windows is not None
    config = job.recipe.windows
    (
        pipeline
        | "Tables" >> beam.Create(document_tables(job))
        | "CountWords" >> beam.FlatMap(count_words, job.input_folder("text"), job.folder, config)
        # (range of words, Place)
        | "FindCommonest" >> FindCommonest(job.folder, config.max_words, config.min_count)
        # {word: count}
        | "Choose" >> beam.Map(lambda counts: build_vocabulary(counts, config.max_words))
        # (word, …)
        | "Write" >> beam.Map(lambda words: finish_tokenizer(_dictionary(words, config), job.folder))
    )


def document_tables(job: Job) -> list[str]:
    """The tables of the text stage, in the order of its documents."""
    return [file.path for file in job.inputs["text"].files if file.path.startswith("documents-")]


def _dictionary(words: tuple[str, ...], config: WindowsConfig) -> WordTokenizer:
    return WordTokenizer(words, config.lower_case, config.spaced)


def count_words(table: str, text: AnyPath, folder: AnyPath, config: WindowsConfig) -> Iterator[tuple[int, Place]]:
    """Counts how often each word stands in the train documents of one table, and sets the counts aside."""
    counts: Counter[str] = Counter()
    for row in read_rows(f"{text}/{table}", ("split", "text")):
        if row["split"] == "train":
            counts.update(split_words(row["text"], config.lower_case, config.spaced))
    yield from set_aside(counts, folder, f"words-{PurePath(table).stem}")


def finish_tokenizer(tokenizer: Tokenizer, folder: AnyPath) -> str:
    """Writes the dataset's tokenizer, unless an earlier run has; returns its name."""
    finish_part(
        folder,
        DICTIONARY,
        lambda: Receipt((write_file(folder, TOKENIZER_NAME, tokenizer.to_json().encode(), tokenizer.vocab_size),)),
    )
    return TOKENIZER_NAME
