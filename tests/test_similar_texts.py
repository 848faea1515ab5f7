"""Which of many texts are near duplicates, and which of them stay."""

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crawl.similar_texts import (
    MAX_COMPARED,
    Choice,
    candidate_pairs,
    choose_kept,
    connect,
    pack_pairs,
    unpack_pairs,
    verified_pairs,
)
from crawl.word_hashes import Hashes

Edges = list[tuple[int, int]]
ROWS = st.integers(0, 30)
EDGES = st.lists(st.tuples(ROWS, ROWS), max_size=40)


def _packed(edges: Edges) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    one, other = (np.array(side, np.uint32) for side in (zip(*edges, strict=True) if edges else ((), ())))
    return pack_pairs(one, other)


def _edges(pairs: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> Edges:
    return list(zip(*(rows.tolist() for rows in unpack_pairs(pairs)), strict=True))


def _sets(*sets: range) -> Callable[[int], Hashes]:
    return lambda row: np.array(sets[row], np.uint64)


@given(EDGES)
def test_pairs_come_out_as_they_went_in_each_once(edges: Edges):
    assert _edges(_packed(edges)) == sorted({(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]})


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_texts_that_share_a_band_are_candidates_and_no_others(bands: list[int]):
    rows = np.arange(len(bands), dtype=np.uint32)[::-1]
    pairs = candidate_pairs(np.array(bands[::-1], np.uint64), rows)
    assert len(pairs) <= 2 * len(bands)
    assert all(bands[one] == bands[other] for one, other in _edges(pairs))
    for row, band in enumerate(bands):
        first = bands.index(band)
        assert row == first or (first, row) in _edges(pairs)


@given(EDGES, st.integers(0, 40))
def test_what_parts_connect_is_connected_by_all_of_them_together(edges: Edges, cut: int):
    label = {row: row for edge in edges if edge[0] != edge[1] for row in edge}
    for _ in range(31):
        for one, other in edges:
            if one != other:
                label[one] = label[other] = min(label[one], label[other])
    parts = np.concatenate([connect(_packed(edges[:cut])), connect(_packed(edges[cut:]))])
    assert _edges(connect(parts)) == sorted((first, row) for row, first in label.items())


def test_candidates_that_share_too_little_are_no_duplicates():
    shingles = _sets(range(100), range(20, 120), range(18, 118), range(200, 300))
    pairs = _packed([(0, 1), (0, 2), (1, 2), (0, 3)])  # similarities 80/120, 82/118, 98/102 and 0
    assert _edges(verified_pairs(pairs, shingles, 0.69)) == [(0, 2), (1, 2)]
    assert _edges(verified_pairs(pairs, shingles, 80 / 120)) == [(0, 1), (0, 2), (1, 2)]


def test_the_end_of_a_chain_is_kept():
    shingles = _sets(range(100), range(10, 110), range(20, 120))
    assert list(choose_kept([0, 1, 2], shingles, 0.7)) == [Choice(0, 0, 1.0), Choice(1, 0, 90 / 110), Choice(2, 2, 1.0)]


def test_a_text_goes_for_the_kept_one_that_is_most_like_it():
    shingles = _sets(range(100), range(20, 120), range(12, 112))
    assert list(choose_kept([0, 1, 2], shingles, 0.7))[2] == Choice(2, 1, 92 / 108)


def test_a_cluster_without_end_makes_bounded_work():
    read: list[int] = []
    count = 3 * MAX_COMPARED

    def shingles(row: int) -> Hashes:
        read.append(row)
        return np.arange(100 * row, 100 * row + 100, dtype=np.uint64)

    assert [choice.kept for choice in choose_kept(range(count), shingles, 0.7)] == list(range(count))
    assert read == list(range(count))
