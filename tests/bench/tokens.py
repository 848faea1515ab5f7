"""From words to windows, on one core: `python -m tests.bench.tokens SIDE DATA`.

`encode` is byte pair encoding as the windows stage does it, document by document; `library` the same documents given to
Hugging Face's `tokenizers` by themselves. `windows` is the stage from tokens to shards: planned, placed, read, packed
into tar files with their indexes, hashed and flushed to disk.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.receipts import Receipt, write_receipt
from pipelines.streams import DOCUMENT_SCHEMA, part_name, tokens_name
from pipelines.tables import write_table
from pipelines.windows import plan_table, write_windows
from shards.bpe import BpeTokenizer, train_bpe
from shards.window import WindowSpec
from shards.writer import order_hash
from tests.bench.timing import run_side

VOCABULARY, NUM_DOCUMENTS, DOCUMENT_TOKENS, CONTEXT = 32_000, 20_000, 700, 1_024


def encode(data: Path) -> Iterator[int]:
    """Bytes of text of each document that is encoded."""
    tokenizer, documents = _prose(data)
    while True:
        for document in documents:
            tokenizer.encode(document)
            yield len(document.encode())


def library(data: Path) -> Iterator[int]:
    """The same, by the library alone."""
    import tokenizers  # noqa: PLC0415 - which the other side has behind its own door

    tokenizer, documents = _prose(data)
    bare = tokenizers.Tokenizer.from_str(tokenizer.definition)
    while True:
        for document in documents:
            bare.encode(document, add_special_tokens=False)
            yield len(document.encode())


def windows(data: Path) -> Iterator[int]:
    """Tokens in the shards that are written, time and again, of one table of documents."""
    table, size = "documents-000000.parquet", NUM_DOCUMENTS * DOCUMENT_TOKENS
    spec = WindowSpec(CONTEXT, CONTEXT, 0, "<u2", "0" * 64)
    with tempfile.TemporaryDirectory(dir=data) as scratch:
        folder, totals = Path(scratch), {table: {"train": size}}
        _set_tokens_aside(folder, table, size)
        while True:
            planned = [each for some in plan_table((table, totals[table]), folder, spec, totals) for each in some]
            planned.sort(key=lambda sample: order_hash(sample.key))
            write_windows(folder, [table], spec, "train-000000", planned)
            yield size


def _set_tokens_aside(folder: Path, table: str, size: int) -> None:
    """What the step before leaves: the tokens, which documents they are, and a receipt."""
    path = folder / tokens_name(table, "train")
    path.parent.mkdir(parents=True)
    np.random.default_rng(0).integers(1, VOCABULARY, size, np.uint16).tofile(path)
    rows = [
        {"split": "train", "key": f"{number:032x}", "url": f"https://bench.example/{number}"}
        | {"num_tokens": DOCUMENT_TOKENS}
        for number in range(NUM_DOCUMENTS)
    ]
    write_table(folder, f"{path.parent.relative_to(folder)}/{part_name(table)}.parquet", rows, DOCUMENT_SCHEMA)
    write_receipt(folder, part_name(table), Receipt(notes={"tokens": {"train": size}, "unknown": {}}))


def _prose(data: Path) -> tuple[BpeTokenizer, list[str]]:
    """A tokenizer trained on real news pages, and those pages."""
    documents = [text for text in (data.with_name("prose") / "texts").read_text("utf-8").split("\0") if text]
    return train_bpe(documents, VOCABULARY), documents


if __name__ == "__main__":
    run_side({side.__name__: side for side in (encode, library, windows)})
