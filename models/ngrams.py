"""Texts as features: words and runs of words, each hashed to one of a fixed number of places."""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NUM_PLACES = 1 << 18
MAX_WORDS = 2
"""Words in the longest run. Source: Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification", table 1."""

_WORD = re.compile(r"\w+|[^\w\s]")
_SIGN = 1 << 31


def ngram_features(
    text: str, num_places: int = NUM_PLACES, max_words: int = MAX_WORDS
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return where the n-grams of a text fall and what stands there: indices, in order, and values, of length 1 in all.

    A hash gives each n-gram its place and its sign, so that two that meet cancel out on average. Counts go in as
    1 + log(count): the tenth "the" says less than the first.

    Source: Weinberger et al. 2009, "Feature hashing for large scale multitask learning" (arXiv:0902.2206), section 2.

    Args:
        text: any; case does not count, and punctuation stands for itself.
        num_places: D, up to 2**31.
        max_words: in the longest n-gram.
    """
    sums: Counter[int] = Counter()
    for ngram, count in Counter(_ngrams(_WORD.findall(text.lower()), max_words)).items():
        code = zlib.crc32(ngram.encode(errors="replace"))
        sums[code % num_places] += (1 + np.log(count)) * (1 if code & _SIGN else -1)
    places = np.array(sorted(sums), np.int64)
    values = np.array([sums[place] for place in places.tolist()], np.float64)
    return places, (values / (np.linalg.norm(values) or 1.0)).astype(np.float32)


def ngram_matrix(texts: Iterable[str], num_places: int = NUM_PLACES, max_words: int = MAX_WORDS) -> Tensor:
    """Return the features of texts, a sparse float32 (N, num_places); see `ngram_features`."""
    rows, columns, values, num_texts = [], [], [], 0
    for text in texts:
        places, found = ngram_features(text, num_places, max_words)
        rows.append(np.full(len(places), num_texts))
        columns.append(places)
        values.append(found)
        num_texts += 1
    indices = np.stack([np.concatenate(rows), np.concatenate(columns)])
    values_of_all = torch.from_numpy(np.concatenate(values))
    return torch.sparse_coo_tensor(
        torch.from_numpy(indices), values_of_all, (num_texts, num_places), check_invariants=True
    ).coalesce()


def _ngrams(words: list[str], max_words: int) -> Iterator[str]:
    for length in range(1, max_words + 1):
        runs = zip(*(islice(words, start, None) for start in range(length)), strict=False)
        yield from map(" ".join, runs)
