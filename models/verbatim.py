"""The longest run of words that a text has in common with training documents, word for word. Exact.

Whether a run of L words of the text stands in a document is asked of hashes of every L words there are; where two are
the same, the words themselves are compared. Equal words have equal hashes, so nothing is missed, and a run of L words
holds one of L − 1, so the longest is found by halving.

Source: Karp and Rabin 1987, "Efficient randomized pattern-matching algorithms". How much language models repeat, and
that long runs are told from chance by what held-out text shares with the same documents: McCoy et al. 2023, "How much
do language models copy from their training data?", TACL 11 (arXiv:2111.09509).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.documents import Document, Tokens
from shards.dataset import WindowDataset
from shards.tokenizer import WordTokenizer

Hashes = NDArray[np.uint64]

COMPARED_TOGETHER = 1_000_000
"""Words of documents that are hashed at a time."""

BASE = 0x9E3779B97F4A7C15
"""Odd, so that it has an inverse modulo 2⁶⁴."""

TOP_BITS = 20
"""Of a hash, by which most runs of the documents are told apart from those of a text at once."""

BREAK, UNKNOWN = -1, -2
"""Stand in documents between two of them and for what a dictionary lacks; in a text, `UNKNOWN` less one stands for the
latter: nobody knows whether two unknown words are the same."""


class Run(NamedTuple):
    """Words that stand in a text and in a document alike.

    Attributes:
        length: how many; 0 where there are none in common.
        place: of the first, in the text.
        document: where they stand too; None where there are none.
        start: of the first, in the whole document.
    """

    length: int = 0
    place: int = 0
    document: Document | None = None
    start: int = 0


def longest_runs(texts: Sequence[Tokens], documents: Iterable[Document], unknown_id: int | None = None) -> list[Run]:
    """Return for each text the longest run of words that a document holds too; of those as long, the first found.

    Args:
        texts: (n,) each.
        documents: to look in.
        unknown_id: the word that stands for all that the dictionary lacks.
    """
    asked = [np.where(text == unknown_id, UNKNOWN - 1, text) for text in texts]
    best = [Run() for _ in texts]
    for together in _stretches(documents):
        stream, starts = _stream(together, unknown_id)
        held = _Hashed(stream)
        for number, text in enumerate(asked):
            longer = _longest(_Hashed(text), held, best[number].length)
            if longer is not None:
                length, place, found = longer
                at = int(np.searchsorted(starts, found, side="right")) - 1
                best[number] = Run(length, place, together[at], together[at].start + found - int(starts[at]))
    return best


def unknown_of(dataset: WindowDataset) -> int | None:
    """Return the word of a dictionary that stands for all it lacks, or None of another tokenizer."""
    return dataset.tokenizer.unk_id if isinstance(dataset.tokenizer, WordTokenizer) else None


def _stretches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents, so many at a time as are hashed together."""
    held: list[Document] = []
    size = 0
    for document in documents:
        held.append(document)
        size += len(document.tokens)
        if size >= COMPARED_TOGETHER:
            yield held
            held, size = [], 0
    if held:
        yield held


def _stream(documents: Sequence[Document], unknown_id: int | None) -> tuple[Tokens, NDArray[np.int64]]:
    """The tokens of documents, one after another with a break behind each, and where each begins."""
    parts = [np.append(document.tokens, BREAK) for document in documents]
    stream = np.concatenate(parts)
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    return np.where(stream == unknown_id, UNKNOWN, stream), starts


class _Hashed:
    """Tokens (n,), and the hash of any so many of them that follow each other.

    With h(i) = Σ_{j<i} x_j Bʲ modulo 2⁶⁴, (h(i + L) − h(i)) B⁻ⁱ is the hash of the L tokens from i on.
    """

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        powers, self._inverse = (_powers(base, len(tokens)) for base in (BASE, pow(BASE, -1, 2**64)))
        self._sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((tokens + 4).astype(np.uint64) * powers)])

    def of(self, length: int) -> Hashes:
        """Return the hashes of all runs of so many tokens, (n − length + 1,)."""
        hashes: Hashes = (self._sums[length:] - self._sums[:-length]) * self._inverse[: len(self.tokens) - length + 1]
        return hashes


def _powers(base: int, count: int) -> Hashes:
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.asarray(np.cumprod(powers))


def _longest(text: _Hashed, held: _Hashed, known: int) -> tuple[int, int, int] | None:
    """Length and both places of the longest run in common, if it is longer than what is known."""
    low, high = known, min(len(text.tokens), len(held.tokens))
    found, step = None, 1
    while low < high:  # a run of `low` is known; none of more than `high` can be
        length = min(high, low + step) if step else (low + high + 1) // 2
        places = _in_common(text, held, length)
        if places is None:
            high, step = length - 1, 0
        else:
            low, found, step = length, (length, *places), 2 * step
    return found


def _in_common(text: _Hashed, held: _Hashed, length: int) -> tuple[int, int] | None:
    """Where a run of so many tokens stands in both, or None where there is none."""
    asked, there = text.of(length), held.of(length)
    has_top = np.zeros(2**TOP_BITS, np.bool_)
    has_top[asked >> np.uint64(64 - TOP_BITS)] = True
    for at in np.flatnonzero(has_top[there >> np.uint64(64 - TOP_BITS)]).tolist():
        for place in np.flatnonzero(asked == there[at]).tolist():
            if np.array_equal(text.tokens[place : place + length], held.tokens[at : at + length]):
                return place, at
    return None
