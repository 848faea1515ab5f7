"""The words of a text as numbers that are the same everywhere, and its n-grams made from them."""

import functools
import hashlib
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

WORD = re.compile(r"\w+")
# Knuth's multiplier of MMIX, odd: n-grams that differ in the order of their words differ.
MULTIPLIER = np.uint64(6364136223846793005)


def plain_words(text: str) -> list[str]:
    """Return the runs of letters and digits of a text, in lower case.

    >>> plain_words("The Oak's 3 crowns.")
    ['the', 'oak', 's', '3', 'crowns']
    """
    return WORD.findall(text.lower())


def hash_n_grams(words: Sequence[str], n: int) -> Hashes:
    """Return the hash of every n words in a row, uint64 (len(words) - n + 1,); none where there are fewer.

    Two different n-grams have the same with probability 2⁻⁶⁴.
    """
    count = max(0, len(words) - n + 1)
    hashes = np.fromiter(map(_hash_word, words), np.uint64, len(words))
    combined = np.zeros(count, np.uint64)
    for first in range(n):
        combined = combined * MULTIPLIER + hashes[first : first + count]
    return mix(combined)


def mix(values: Hashes) -> Hashes:
    """Return the values with every bit depending on every other. Source: Steele et al. 2014, SplitMix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@functools.lru_cache(maxsize=200_000)
def _hash_word(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
