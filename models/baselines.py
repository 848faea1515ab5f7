"""What a model must beat: the mean picture, and the counts of single words and of pairs of words."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def mean_picture(pictures: Iterable[NDArray[np.uint8]]) -> Floats:
    """Return the mean of pictures as values `x = (2u − 255) / 256`.

    Args:
        pictures: batches (B, S, S, C), one at least.

    Returns:
        (S, S, C), in (−1, 1): the best guess, in squared error, of one who has not looked.
    """
    total, count = np.zeros(()), 0
    for batch in pictures:
        total = total + batch.sum(axis=0, dtype=np.float64)
        count += len(batch)
    assert count > 0
    return np.asarray((2 * total / count - 255) / 256)


@dataclass(frozen=True)
class WordCounts:
    """How often each word, and each pair of neighbours, was seen.

    Attributes:
        num_words: size of the dictionary.
        words: (num_words,) times each word was a next word.
        pairs: sorted unique numbers `before · num_words + next`.
        pair_counts: times each of `pairs` was seen, same length.
    """

    num_words: int
    words: Integers
    pairs: Integers
    pair_counts: Integers


def count_words(windows: Iterable[tuple[NDArray[np.integer], NDArray[np.bool_]]], num_words: int) -> WordCounts:
    """Count next words and their pairs with the word before.

    Args:
        windows: batches of tokens (B, T + 1) and of masks (B, T), true where the next word counts.
        num_words: size of the dictionary.
    """
    words = np.zeros(num_words, np.int64)
    pairs, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for tokens, mask in windows:
        before, after = tokens[:, :-1][mask].astype(np.int64), tokens[:, 1:][mask].astype(np.int64)
        words += np.bincount(after, minlength=num_words)
        new_pairs, new_counts = np.unique(before * num_words + after, return_counts=True)
        pairs, where = np.unique(np.concatenate([pairs, new_pairs]), return_inverse=True)
        counts = np.bincount(where, weights=np.concatenate([counts, new_counts])).astype(np.int64)
    return WordCounts(num_words, words, pairs, counts)


def unigram(counts: WordCounts) -> Floats:
    """Return the probability of each word, whatever stands before it: (num_words,), all above zero, sum 1.

    A little is taken from every word seen and spread evenly over the dictionary.

    Source: absolute discounting, Ney et al. 1994, "On structuring probabilistic dependences in stochastic language
    modelling", Computer Speech and Language 8.
    """
    return _discounted(counts.words, np.full(counts.num_words, 1 / counts.num_words))


class Bigram:
    """The probability of a word after another one, from counts of pairs: interpolated Kneser-Ney.

    A pair's count gives up a discount; what is freed goes to words by how many different words they follow.

    Source: Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 2.7.
    """

    def __init__(self, counts: WordCounts) -> None:
        self._counts = counts
        before, after = np.divmod(counts.pairs, counts.num_words)
        self._discount = discount(counts.pair_counts)
        self._num_before = np.bincount(before, weights=counts.pair_counts, minlength=counts.num_words)
        self._num_followers = np.bincount(before, minlength=counts.num_words)
        num_predecessors = np.bincount(after, minlength=counts.num_words)
        self._follows = _discounted(num_predecessors, np.full(counts.num_words, 1 / counts.num_words))

    def probability(self, before: NDArray[np.integer], after: NDArray[np.integer]) -> Floats:
        """Return the probability of each word of `after` behind its word of `before`; arrays of one shape."""
        before, after = before.astype(np.int64), after.astype(np.int64)
        pair = before * self._counts.num_words + after
        place = np.minimum(np.searchsorted(self._counts.pairs, pair), len(self._counts.pairs) - 1)
        seen = np.where(self._counts.pairs[place] == pair, self._counts.pair_counts[place], 0)
        total = self._num_before[before]
        kept = np.maximum(seen - self._discount, 0) / np.maximum(total, 1)
        freed = np.where(total > 0, self._discount * self._num_followers[before] / np.maximum(total, 1), 1.0)
        return np.asarray(kept + freed * self._follows[after])


def _discounted(counts: Integers, fallback: Floats) -> Floats:
    """Absolute discounting of counts (N,) toward the distribution `fallback` (N,)."""
    total = counts.sum()
    if total == 0:
        return fallback
    given_up = discount(counts)
    freed = given_up * np.count_nonzero(counts) / total
    return np.asarray(np.maximum(counts - given_up, 0) / total + freed * fallback)


def discount(counts: Integers) -> float:
    """Return how much each count gives up, in (0, 1): n₁ / (n₁ + 2 n₂), from how many counts are one and two.

    Source: Ney et al. 1994; 0.75 where there are too few to tell, Jurafsky and Martin, "Speech and Language
    Processing", section on Kneser-Ney.
    """
    ones, twos = int(np.count_nonzero(counts == 1)), int(np.count_nonzero(counts == 2))
    return ones / (ones + 2 * twos) if ones and twos else 0.75
