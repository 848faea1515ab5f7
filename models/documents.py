"""Documents put together again from the windows that were cut from them."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shards.dataset import WindowDataset

Tokens = NDArray[np.int64]


class Document(NamedTuple):
    """A training document, or the parts of it that windows hold.

    Attributes:
        key: of the document.
        url: where it came from.
        start: its first token here, counted in the whole document.
        tokens: (n,), without `<eos>`.
    """

    key: str
    url: str
    start: int
    tokens: Tokens


def read_documents(dataset: WindowDataset) -> list[Document]:
    """Return the documents that windows were cut from, put together again; one with a gap as several."""
    parts: dict[str, dict[int, Tokens]] = defaultdict(dict)
    urls: dict[str, str] = {}
    for number in range(len(dataset)):
        sample = dataset[number]
        for piece in sample["meta"]["documents"]:
            tokens = sample["tokens"][piece["offset"] : piece["offset"] + piece["length"]].astype(np.int64)
            known = parts[piece["key"]].get(piece["start"], tokens[:0])
            parts[piece["key"]][piece["start"]] = max(known, tokens, key=len)  # the last word of one begins the next
            urls[piece["key"]] = piece["url"]
    eos_id = dataset.tokenizer.eos_id
    return [
        Document(key, urls[key], start, tokens[tokens != eos_id])
        for key in sorted(parts)
        for start, tokens in _joined(parts[key])
    ]


def _joined(parts: dict[int, Tokens]) -> Iterator[tuple[int, Tokens]]:
    """Parts of one document by their start, those that touch or overlap joined."""
    held: list[Tokens] = []
    begun = end = 0
    for start in sorted(parts):
        tokens = parts[start]
        if held and start > end:
            yield begun, np.concatenate(held)
            held = []
        if not held:
            begun, end = start, start
        held.append(tokens[end - start :])
        end = max(end, start + len(tokens))
    if held:
        yield begun, np.concatenate(held)
