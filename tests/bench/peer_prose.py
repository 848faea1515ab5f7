"""datatrove's side of cleaning prose, with its own reader, extractor and filters, as its FineWeb example has them.

Language is left out on both sides: its model would have to be fetched.
"""

import sys
from collections.abc import Iterable
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


def filters() -> list[Any]:
    return [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
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
            run([Trafilatura(favour_precision=True, timeout=60), *filters()], pages)


def run(steps: list[Any], documents: Iterable[Document]) -> None:
    """Runs documents through the steps."""
    for step in steps:
        documents = step.run(documents, 0, 1)
    for _ in documents:
        pass


if __name__ == "__main__":
    main()
