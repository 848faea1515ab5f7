"""Finds near duplicates among many texts: candidates by equal bands, each weighed by what the two really share.

Texts have numbers, their rows. A pair of rows is one number, the first row in its upper half: it takes 8 bytes, sorts
by first row, and is found once by `numpy.unique`.

Source: Broder 1997, "On the resemblance and containment of documents", for clusters of texts; Lee et al. 2022,
"Deduplicating Training Data Makes Language Models Better", section 4.2, for candidates that are verified.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crawl.minhash import jaccard
from crawl.similar_pairs import components
from crawl.word_hashes import Hashes

MAX_COMPARED = 200
"""Kept texts of a cluster that the next is compared with, the nearest in size: bounds the work in very large ones."""

_LOWER, _HALF = np.uint64(2**32 - 1), np.uint64(32)

Rows = npt.NDArray[np.uint32]
PackedPairs = npt.NDArray[np.uint64]
"""Pairs of rows, (M,): the smaller row times 2³² and the larger."""


class Choice(NamedTuple):
    """What becomes of a text of a cluster.

    Attributes:
        row: the text.
        kept: the text that stands for it: itself where it is kept.
        similarity: Jaccard similarity of the two, in 0…1.
    """

    row: int
    kept: int
    similarity: float


def pack_pairs(one: Rows, other: Rows) -> PackedPairs:
    """Return pairs of rows as numbers, each once, sorted; none of a row with itself."""
    first, second = np.minimum(one, other), np.maximum(one, other)
    packed = first.astype(np.uint64) << _HALF | second
    return np.unique(packed[first != second])


def unpack_pairs(pairs: PackedPairs) -> tuple[Rows, Rows]:
    """Return first and second rows of pairs."""
    return (pairs >> _HALF).astype(np.uint32), (pairs & _LOWER).astype(np.uint32)


def candidate_pairs(bands: Hashes, rows: Rows) -> PackedPairs:
    """Return the candidates among texts by one of their bands, at most two for each.

    Of the texts that share a band each is a candidate with the first and with the one before it: no number of copies
    makes more work than twice their number, and copies of different texts that share a band by chance are still found.

    Args:
        bands: of each text, (N,).
        rows: the texts, (N,); their order decides which is the first.
    """
    order = np.lexsort((rows, bands))
    bands, rows = bands[order], rows[order]
    is_same = bands[1:] == bands[:-1]
    starts = np.flatnonzero(np.concatenate([[True], ~is_same]))
    first = np.repeat(rows[starts], np.diff(np.append(starts, len(rows))))
    later = rows[1:][is_same]
    return pack_pairs(np.concatenate([later, later]), np.concatenate([first[1:][is_same], rows[:-1][is_same]]))


def verified_pairs(pairs: PackedPairs, shingles: Callable[[int], Hashes], min_similarity: float) -> PackedPairs:
    """Return the pairs whose sets of shingles have at least this Jaccard similarity.

    Args:
        pairs: candidates, sorted.
        shingles: gives the set of a row, see `crawl.minhash.hash_shingles`.
        min_similarity: in 0…1.
    """
    is_kept, row, own = np.zeros(len(pairs), bool), -1, np.empty(0, np.uint64)
    for number, (first, second) in enumerate(zip(*(rows.tolist() for rows in unpack_pairs(pairs)), strict=True)):
        if first != row:
            row, own = first, shingles(first)
        is_kept[number] = jaccard(own, shingles(second)) >= min_similarity
    return pairs[is_kept]


def connect(pairs: PackedPairs) -> PackedPairs:
    """Return for each row in pairs one with the smallest row that they connect it with; that one with itself.

    What pairs of many lists connect is what the results of all lists, put together, connect.
    """
    rows, numbers = np.unique(np.concatenate(unpack_pairs(pairs)), return_inverse=True)
    labels = rows[components(numbers.reshape(2, -1).T, len(rows))]
    packed: PackedPairs = np.sort(labels.astype(np.uint64) << _HALF | rows)
    return packed


def choose_kept(rows: Iterable[int], shingles: Callable[[int], Hashes], min_similarity: float) -> Iterator[Choice]:
    """Yield what becomes of each text of a cluster: it goes only where a text that is kept is that similar to it.

    So no chain of texts, each like the next, takes the last one away that is like none of those kept.

    Args:
        rows: of the cluster, those with more shingles first, none of which has none.
        shingles: gives the set of a row.
        min_similarity: in 0…1.
    """
    kept: list[tuple[int, Hashes]] = []
    for row in rows:
        own = shingles(row)
        near = [(place, *each) for place, each in enumerate(kept) if len(own) >= min_similarity * len(each[1])]
        found = [(jaccard(own, other), -place, stand_in) for place, stand_in, other in near]
        similarity, _, stand_in = max(found, default=(0.0, 0, row))
        if similarity >= min_similarity:
            yield Choice(row, stand_in, similarity)
        else:
            kept = [*kept[1 - MAX_COMPARED :], (row, own)]
            yield Choice(row, row, 1.0)
