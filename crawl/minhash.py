"""MinHash: which texts are likely to be near duplicates of each other, and how alike two texts really are.

A text is the set of its 5-grams of words. Of 112 random orders of all 5-grams the first of each text is kept, eight
make a band, and two texts are candidates where one of their 14 bands is equal: with Jaccard similarity s that happens
with probability 1 - (1 - s⁸)¹⁴, which is 0.92 at 0.8 and 0.05 at 0.5.

Source: Broder 1997, "On the resemblance and containment of documents", for the sets and the orders; Leskovec,
Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4, for the bands; Penedo et al. 2024 (FineWeb), section 3.4,
for 5-grams, 14 bands and 8 rows.
"""

import functools

import numpy as np

from crawl.word_hashes import MULTIPLIER, Hashes, hash_n_grams, mix, plain_words

WORDS_PER_SHINGLE = 5
NUM_BANDS = 14
ROWS_PER_BAND = 8
SEED = 5
_ORDERS_AT_ONCE = 16
"""Four times as fast as one by one, and what is worked on stays in the processor's cache."""


def hash_shingles(text: str) -> Hashes:
    """Return the set of a text's 5-grams, each as 64 bits: uint64 (N,), sorted, none twice.

    Words are runs of letters and digits in lower case. A text of fewer than five is one 5-gram; one of none has none.
    """
    words = plain_words(text)
    return np.unique(hash_n_grams(words, min(WORDS_PER_SHINGLE, len(words)))) if words else np.empty(0, np.uint64)


def hash_bands(shingles: Hashes) -> Hashes:
    """Return a text's bands, each as 64 bits: uint64 (14,); two texts with an equal band are candidates.

    Raises:
        ValueError: there are no shingles.
    """
    if not len(shingles):
        raise ValueError("a text without words has no bands")
    factors, terms = _orders()
    first = np.empty(len(factors), np.uint64)
    for begin in range(0, len(factors), _ORDERS_AT_ONCE):
        some = slice(begin, begin + _ORDERS_AT_ONCE)
        first[some] = (shingles * factors[some, None] + terms[some, None]).min(axis=1)
    rows = first.reshape(NUM_BANDS, ROWS_PER_BAND)
    bands = np.arange(NUM_BANDS, dtype=np.uint64)
    for row in range(ROWS_PER_BAND):
        bands = mix(bands * MULTIPLIER + rows[:, row])
    return bands


def jaccard(one: Hashes, other: Hashes) -> float:
    """Return how alike two sets of shingles are: |A ∩ B| / |A ∪ B|, in 0…1, and 0 where both are empty.

    >>> round(jaccard(hash_shingles("a b c d e f"), hash_shingles("a b c d e g")), 3)
    0.333
    """
    num_common = len(np.intersect1d(one, other, assume_unique=True))
    num_all = len(one) + len(other) - num_common
    return num_common / num_all if num_all else 0.0


@functools.cache
def _orders() -> tuple[Hashes, Hashes]:
    """The factors, which are odd, and terms of the 112 orders: x ↦ factor · x + term modulo 2⁶⁴."""
    words = np.random.Generator(np.random.Philox(SEED)).integers(
        0, 2**64, (2, NUM_BANDS * ROWS_PER_BAND), dtype=np.uint64
    )
    return words[0] | np.uint64(1), words[1]
