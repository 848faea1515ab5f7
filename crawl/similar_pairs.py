"""Finds copies among many pictures by their `LIKENESS`: candidates by bands of bits, then their distance, then colours.

Whole pictures: the 256 signs are cut into bands, of which one at least has no more errors than its radius wherever all
of them have no more than PDQ's 31 (the pigeonhole principle): eight of 22 bits and radius 2, four of 20 bits and radius
1. Every pair within that distance is found, in any of the eight ways to turn or mirror one of the two. Parts beside
wholes, for copies that were cut: the four bands of the lowest frequencies, radius 1, mirrored or not.

The search falls into tasks, by word and by two ranges of pictures: those that are looked up, and those among which.
What a task takes, in time and memory, has a bound; how many there are grows with the square of the pictures.

Source: Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing" (2012).
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crawl.likeness import NUM_PARTS, NUM_WORDS, Words, transposed
from crawl.pdq import MAX_DISTANCE, MIN_QUALITY

MAX_PART_DISTANCE = 40
"""Bits in which a part and the whole of its copy differ at most.

Measured on 2,646 photographs of scenes, 150 pixels wide: the nearest pair of different ones is 58 apart; 98 of 100
pictures from which a tenth was cut anywhere lie within 40 of the nearest of the thirteen parts, half within 24.
"""

MAX_LIGHT_DIFFERENCE, MIN_CORRELATION = 20.0, 0.95
"""How far colours may be apart: mean difference of their lightness in 255ths; where it is more, their correlation."""

MAX_COLOUR_DIFFERENCE, GREY = 24.0, 8.0
"""Mean difference of what is left without the lightness; below `GREY` everywhere a picture has no colour to compare."""

MAX_BUCKET = 512
"""Pictures that share a band and are compared with one another: it bounds the work where very many are alike."""

MAX_AMONG = 1 << 23
"""Pictures among which one task looks: some two for each value of a band, so that looking up costs no more than
comparing."""

MAX_LOOKED_UP = 1 << 20
"""Pictures that one task looks up: it takes some two minutes then, next to which sorting what it looks among is little.
"""

TASK_BYTES = 84 * MAX_AMONG + 300 * MAX_LOOKED_UP
"""Memory of the largest task, at most: of each picture that it looks among the words twice, key, place, and a word on
its way; of each that it looks up its words as they are, turned, and sorted, and bits as bytes."""

_BANDS = ((0, 22, 2), (22, 22, 2), (44, 20, 1))
"""Of each word: first bit, bits and radius."""

_PART_BAND, _PART_RADIUS = _BANDS[0], 1
_BLOCK = 65_536
"""Pictures that are looked up at a time: what is worked on stays in the processor's cache, and memory small."""

_ALL = np.uint64(2**64 - 1)
_FLIPS = np.array([[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0]], np.int64)
"""Which words change: as it is, top and bottom mirrored, left and right, both."""

_GREY_WEIGHTS = np.array([0.299, 0.587, 0.114])

Indices = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.int64]


class SearchTask(NamedTuple):
    """A piece of the search.

    Attributes:
        word: whose bands are compared, 0 to 3.
        rows: the pictures that are looked up, from the first up to but not including the last.
        among: those that they are compared with.
    """

    word: int
    rows: tuple[int, int]
    among: tuple[int, int]


class _Match(NamedTuple):
    """Pairs within the distance: the first's row, the second's, and how the first is mirrored, an index of `_FLIPS`."""

    first: Indices
    second: Indices
    flip: Indices


def search_tasks(count: int, max_rows: int = MAX_LOOKED_UP, max_among: int = MAX_AMONG) -> Iterator[SearchTask]:
    """Yield what has to be searched for all pairs among `count` pictures to be found."""
    for among in _ranges(count, max_among):
        for rows in _ranges(count, max_rows):
            for word in range(NUM_WORDS):
                yield SearchTask(word, rows, among)


def count_tasks(count: int) -> int:
    """Return how many tasks `search_tasks` yields for `count` pictures."""
    return NUM_WORDS * _num_ranges(count, MAX_AMONG) * _num_ranges(count, MAX_LOOKED_UP)


def similar_pairs(looks: npt.NDArray[np.void], task: SearchTask) -> Pairs:
    """Return the pairs of copies that one task finds, (M, 2), each once, the smaller row first.

    Pictures with less than `MIN_QUALITY` are copies of none.

    Args:
        looks: `LIKENESS` of each picture, in an order that is always the same.
        task: of those that `search_tasks` yields for as many.
    """
    rows, among = (_with_a_hash(looks["quality"], *limits) for limits in (task.rows, task.among))
    found = [np.zeros((0, 2), np.int64)]
    for match, is_transposed in _matches(looks, task.word, rows, among):
        pairs = _Match(rows[match.first], among[match.second], match.flip)
        found.append(_alike(pairs, looks["colours"], is_transposed=is_transposed))
    return unique_pairs(np.concatenate(found))


def unique_pairs(pairs: Pairs) -> Pairs:
    """Return pairs (M, 2) each once, the smaller row first, sorted; none of a row with itself."""
    ordered = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(ordered, axis=0) if len(ordered) else ordered


def components(pairs: Pairs, count: int) -> Indices:
    """Return for each of `count` rows the smallest row that pairs connect it with, (count,)."""
    label = np.arange(count)
    one, two = pairs[:, 0], pairs[:, 1]
    while True:
        lowest = np.minimum(label[one], label[two])
        if (lowest == label[one]).all() and (lowest == label[two]).all():
            return label
        np.minimum.at(label, label[one], lowest)
        np.minimum.at(label, label[two], lowest)
        while (label[label] != label).any():
            label = label[label]


def _ranges(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield the limits of the fewest pieces of about one size that `count` rows fall into, at least of one."""
    number = _num_ranges(count, most)
    yield from pairwise(count * edge // number for edge in range(number + 1))


def _num_ranges(count: int, most: int) -> int:
    return max(1, -(-count // most))


def _with_a_hash(quality: npt.NDArray[np.uint8], begin: int, end: int) -> Indices:
    return np.flatnonzero(quality[begin:end] >= MIN_QUALITY) + begin


def _matches(looks: npt.NDArray[np.void], word: int, rows: Indices, among: Indices) -> Iterator[tuple[_Match, bool]]:
    """Yield the pairs of one task within their distance, by their places in `rows` and `among`; whether transposed."""
    whole, held = looks["whole"][rows], looks["whole"][among]
    for begin, bits, radius in _BANDS:
        index = _Index(held, word, begin, bits)
        for match in index.search(whole, radius, MAX_DISTANCE, is_all=True):
            yield match, False
        for match in index.search(transposed(whole), radius, MAX_DISTANCE):
            yield match, True
        if (begin, bits, radius) == _PART_BAND:
            for part in range(NUM_PARTS):
                for match in index.search(looks["parts"][rows, part], _PART_RADIUS, MAX_PART_DISTANCE):
                    yield match, False


class _Index:
    """The words of pictures, sorted by one band of one of them, and where in that order each value of it begins."""

    def __init__(self, words: Words, word: int, begin: int, bits: int) -> None:
        self._word, self._begin, self._bits = word, begin, bits
        keys = self._keys(words)
        self._order = np.argsort(keys, kind="stable")
        self._words = np.empty(words.shape[::-1], words.dtype)
        for number in range(NUM_WORDS):
            self._words[number] = words[self._order, number]
        counts = np.bincount(keys, minlength=1 << bits)
        self._starts = np.concatenate([[0], np.cumsum(counts[:-1])]).astype(np.int32)
        self._counts = np.minimum(counts, MAX_BUCKET).astype(np.uint16)

    def search(self, words: Words, radius: int, max_distance: int, *, is_all: bool = False) -> Iterator[_Match]:
        """Yield the pairs of `words` (N, 4) and those in the index whose band differs in up to `radius` bits.

        Args:
            words: of pictures, as they are or turned, or of parts of them.
            radius: errors within the band.
            max_distance: errors in all.
            is_all: whether all that the index holds is looked up so, here or in another task: each pair is found once.
        """
        keys = self._keys(words)
        order = np.argsort(keys, kind="stable")
        keys, sorted_words = keys[order], np.ascontiguousarray(words[order].T)
        everything = (1 << self._bits) - 1
        for mask in _masks(self._bits, radius):
            # A word that changes its signs as a whole has the opposite of every bit.
            for change in (mask, mask ^ everything) if self._word else (mask,):
                top = np.uint32(1 << (change.bit_length() - 1)) if is_all and change else np.uint32(0)
                for begin in range(0, len(keys), _BLOCK):
                    piece = keys[begin : begin + _BLOCK]
                    wanted = piece ^ np.uint32(change)
                    # Of two keys of the index that differ by a change, that without its highest bit finds the pair.
                    rows = np.flatnonzero((self._counts[wanted] > 0) & (piece & top == 0))
                    for first, second, flip in self._compare(sorted_words, rows + begin, wanted[rows], max_distance):
                        yield _Match(order[first], self._order[second], flip)

    def _compare(
        self, words: Words, rows: Indices, wanted: npt.NDArray[np.uint32], max_distance: int
    ) -> Iterator[_Match]:
        """Yield the pairs within `max_distance`: `rows` and those that have the wanted keys."""
        counts, places = self._counts[wanted], self._starts[wanted].astype(np.int64)
        number = 0
        while len(rows):
            # Two words, of which one never changes its signs, turn away nearly all.
            least = np.bitwise_count(words[0, rows] ^ self._words[0, places])
            other = np.bitwise_count(words[3, rows] ^ self._words[3, places])
            near = np.flatnonzero(least + np.minimum(other, 64 - other) <= max_distance)
            if len(near):
                yield self._measure(words, rows[near], places[near], max_distance)
            number += 1
            more = np.flatnonzero(counts > number)
            rows, places, counts = rows[more], places[more] + 1, counts[more]

    def _measure(self, words: Words, first: Indices, second: Indices, max_distance: int) -> _Match:
        errors = np.bitwise_count(words[:, first] ^ self._words[:, second]).astype(np.int64)
        totals = np.where(_FLIPS[:, :, None], 64 - errors, errors).sum(axis=1)  # (flip, pair)
        flip = totals.argmin(axis=0)
        kept = totals.min(axis=0) <= max_distance
        return _Match(first[kept], second[kept], flip[kept])

    def _keys(self, words: Words) -> npt.NDArray[np.uint32]:
        return (words[:, self._word] >> np.uint64(self._begin) & np.uint64((1 << self._bits) - 1)).astype(np.uint32)


def _masks(bits: int, radius: int) -> Iterator[int]:
    """Yield every number of `bits` bits with up to `radius` ones."""
    for ones in range(radius + 1):
        for places in combinations(range(bits), ones):
            yield sum(1 << place for place in places)


def _alike(match: _Match, colours: npt.NDArray[np.uint8], *, is_transposed: bool) -> Pairs:
    """Return those pairs whose colours agree too, (M, 2)."""
    one, two = colours[match.first].astype(np.float64), colours[match.second].astype(np.float64)
    one = one.transpose(0, 2, 1, 3) if is_transposed else one
    upside_down, mirrored = (np.isin(match.flip, flips)[:, None, None, None] for flips in ((1, 3), (2, 3)))
    one = np.where(upside_down, one[:, ::-1], one)
    one = np.where(mirrored, one[:, :, ::-1], one)
    light, other_light = one @ _GREY_WEIGHTS, two @ _GREY_WEIGHTS
    rest, other_rest = one - light[..., None], two - other_light[..., None]
    is_grey = np.minimum(*(np.abs(each).max(axis=(1, 2, 3)) for each in (rest, other_rest))) < GREY
    same_colour = is_grey | (np.abs(rest - other_rest).mean(axis=(1, 2, 3)) <= MAX_COLOUR_DIFFERENCE)
    same_light = np.abs(light - other_light).mean(axis=(1, 2)) <= MAX_LIGHT_DIFFERENCE
    same_light |= _correlation(light, other_light) >= MIN_CORRELATION
    kept = same_colour & same_light
    return np.stack([match.first[kept], match.second[kept]], axis=1)


def _correlation(one: npt.NDArray[np.float64], two: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how much two stacks of pictures (M, H, W) vary together, (M,)."""
    one, two = (each - each.mean(axis=(1, 2), keepdims=True) for each in (one, two))
    scale = np.sqrt((one**2).sum(axis=(1, 2)) * (two**2).sum(axis=(1, 2)))
    found: npt.NDArray[np.float64] = (one * two).sum(axis=(1, 2)) / np.maximum(scale, 1e-9)
    return found
