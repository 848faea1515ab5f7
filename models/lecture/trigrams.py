"""An idea: how often did this word follow those two? Counts of three words, resting on those of two and of one."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.baselines import Bigram, Floats, Integers, WordCounts, discount


class TripleCounts(NamedTuple):
    """How often each run of three words was seen.

    Attributes:
        triples: sorted unique numbers `pair · num_words + next`, with `pair` = `first · num_words + second`.
        counts: times each was seen, same length.
    """

    triples: Integers
    counts: Integers


def count_triples(windows: Iterable[tuple[NDArray[np.integer], NDArray[np.bool_]]], num_words: int) -> TripleCounts:
    """Count runs of three words within windows; see `models.baselines.count_words`.

    Raises:
        ValueError: three words of so large a dictionary do not fit into one number.
    """
    if num_words**3 >= 2**63:
        raise ValueError(f"a dictionary of {num_words} words is too large to count three together")
    triples, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for tokens, mask in windows:
        found = _triples(tokens, num_words)[mask[:, 1:]]
        new, new_counts = np.unique(found, return_counts=True)
        triples, where = np.unique(np.concatenate([triples, new]), return_inverse=True)
        counts = np.bincount(where, weights=np.concatenate([counts, new_counts])).astype(np.int64)
    return TripleCounts(triples, counts)


def _triples(tokens: NDArray[np.integer], num_words: int) -> Integers:
    words = tokens.astype(np.int64)
    return np.asarray((words[:, :-2] * num_words + words[:, 1:-1]) * num_words + words[:, 2:])


class Trigram:
    """The probability of a word after two others: interpolated Kneser-Ney of order three.

    A triple's count gives up a discount; what is freed goes to words as they follow the second alone, where a pair
    counts by how many different words it was seen behind, not by how often.

    Source: Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 2.7.
    """

    def __init__(self, counts: TripleCounts, words: Integers) -> None:
        self._num_words, self._counts = len(words), counts
        self._discount = discount(counts.counts)
        self._before, where = np.unique(counts.triples // self._num_words, return_inverse=True)
        self._num_before = np.bincount(where, weights=counts.counts, minlength=1)
        self._num_followers = np.bincount(where, minlength=1)
        pairs, num_predecessors = np.unique(counts.triples % self._num_words**2, return_counts=True)
        self._lower = Bigram(WordCounts(self._num_words, words, pairs, num_predecessors))

    def probability(
        self, first: NDArray[np.integer], second: NDArray[np.integer], third: NDArray[np.integer]
    ) -> Floats:
        """Return the probability of each word of `third` behind its words of `first` and `second`; of one shape."""
        before = first.astype(np.int64) * self._num_words + second
        seen = _looked_up(self._counts.triples, self._counts.counts, before * self._num_words + third)
        total = _looked_up(self._before, self._num_before, before)
        followers = _looked_up(self._before, self._num_followers, before)
        kept = np.maximum(seen - self._discount, 0) / np.maximum(total, 1)
        freed = np.where(total > 0, self._discount * followers / np.maximum(total, 1), 1.0)
        return np.asarray(kept + freed * self._lower.probability(second, third))


def _looked_up(names: Integers, values: NDArray[np.number], wanted: Integers) -> NDArray[np.number]:
    """The value of each wanted name, or 0 where it is not among the sorted `names`."""
    if not len(names):
        return np.zeros(wanted.shape)
    place = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    return np.where(names[place] == wanted, values[place], 0)
