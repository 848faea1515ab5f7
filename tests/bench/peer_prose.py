"""datatrove's side of cleaning prose, with its own reader, extractor and filters, as its FineWeb example has them.

Language is left out on both sides: its model would have to be fetched.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import WarcReader

from tests.bench.timing import run_side


def filters() -> list[Any]:
    return [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]


def articles(data: Path) -> Iterator[int]:
    return _clean(data, "articles.warc.gz")


def mixed(data: Path) -> Iterator[int]:
    return _clean(data, "mixed.warc.gz")


def rules(data: Path) -> Iterator[int]:
    texts = [text for text in (data / "texts").read_text("utf-8").split("\0") if text]
    while True:
        yield from _counted((Document(text=text, id=str(n)) for n, text in enumerate(texts)), filters())


def _clean(data: Path, name: str) -> Iterator[int]:
    while True:
        pages = WarcReader(str(data), glob_pattern=name).run(None, 0, 1)
        yield from _counted(pages, [Trafilatura(favour_precision=True, timeout=60), *filters()])


def _counted(documents: Iterable[Document], steps: list[Any]) -> Iterator[int]:
    """Runs documents through the steps; yields one for each that goes in."""
    taken = 0

    def counting() -> Iterator[Document]:
        nonlocal taken
        for document in documents:
            taken += 1
            yield document

    kept: Iterable[Document] = counting()
    for step in steps:
        kept = step.run(kept, 0, 1)
    before = 0
    for _ in kept:
        yield taken - before
        before = taken
    yield taken - before


if __name__ == "__main__":
    run_side({"articles": articles, "mixed": mixed, "rules": rules})
