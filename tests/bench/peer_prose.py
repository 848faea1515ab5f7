"""datatrove's side of cleaning prose, with its own reader, extractor and filters, as its FineWeb example has them.

Language is told where that example tells it, after the extraction, but by the package that our side tells it by: the
models of its own would have to be fetched. Stop words are left out for French, of which our side has no list.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import py3langid
from datatrove.data import Document
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LambdaFilter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.utils.typeshelper import Languages


def is_french(document: Document) -> bool:
    return bool(py3langid.classify(document.text)[0] == "fr")


def filters(language: str = Languages.english, min_stop_words: int = 2) -> list[Any]:
    return [
        GopherRepetitionFilter(language=language),
        GopherQualityFilter(language=language, min_stop_words=min_stop_words),
        C4QualityFilter(filter_no_terminal_punct=False, language=language),
        FineWebQualityFilter(language=language),
    ]


def main() -> None:
    """Does what the command line names, so many times, as `tests.bench.prose` does."""
    name, data, times = sys.argv[1:]
    for _ in range(int(times)):
        if name == "rules":
            texts = (Path(data) / "texts").read_text("utf-8").split("\0")
            run(filters(), (Document(text=text, id=str(number)) for number, text in enumerate(texts)))
        else:
            pages = WarcReader(data, glob_pattern=f"{name}.warc.gz").run(None, 0, 1)
            chain = filters() if name == "articles" else [LambdaFilter(is_french), *filters(Languages.french, 0)]
            run([Trafilatura(favour_precision=True, timeout=60), *chain], pages)


def run(steps: list[Any], documents: Iterable[Document]) -> int:
    """Runs documents through the steps; returns how many come out."""
    for step in steps:
        documents = step.run(documents, 0, 1)
    return sum(1 for _ in documents)


if __name__ == "__main__":
    main()
