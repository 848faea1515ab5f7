"""The evaluations that a recipe keeps out of its texts, read and indexed once a worker."""

import io
import json
from collections.abc import Iterator
from functools import lru_cache

import pyarrow.parquet as pq

from crawl.contamination import Evaluation, EvaluationIndex, index_evaluations
from crawl.settings import FetchSettings
from crawl.stored_file import open_stored
from pipelines.errors import StageError
from pipelines.source_files import find_files


@lru_cache(maxsize=1)
def evaluations(patterns: tuple[str, ...], settings: FetchSettings) -> EvaluationIndex:
    """The index of all texts in the files that patterns stand for.

    A line of a `.txt` is a text, and so is every string in a row of a `.jsonl` or `.parquet`.

    Raises:
        StageError: a file is missing, or is none of these.
    """
    return index_evaluations(text for path in find_files(patterns, "text") for text in _texts(path, settings))


def _texts(path: str, settings: FetchSettings) -> Iterator[Evaluation]:
    name = path.rsplit("/", 1)[-1]
    if name.endswith(".parquet"):
        with open_stored(path, settings) as file:
            rows = (row for batch in pq.ParquetFile(file).iter_batches(1000) for row in batch.to_pylist())
            for number, row in enumerate(rows, 1):
                yield from (Evaluation(f"{name}, row {number}", text) for text in _strings(row))
        return
    if not name.endswith((".txt", ".jsonl")):
        raise StageError(f"text: decontaminate: {path} is no .txt, .jsonl or .parquet")
    with open_stored(path, settings) as file:
        for number, line in enumerate(io.TextIOWrapper(file, "utf-8"), 1):
            try:
                found = _strings(json.loads(line)) if name.endswith(".jsonl") and line.strip() else iter([line])
                yield from (Evaluation(f"{name}, line {number}", text) for text in found)
            except ValueError as error:
                raise StageError(f"text: decontaminate: {path}, line {number}: not JSON ({error})") from error


def _strings(value: object) -> Iterator[str]:
    """Every string in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
