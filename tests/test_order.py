"""The order of samples is arithmetic that every rank and restart agrees on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.order import BLOCK_SHARDS, Order

SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=14).filter(any)


def stream(order: Order, start: int, count: int) -> list[tuple[int, int, int]]:
    places = order.locate(start, count)
    return list(zip(places.shards.tolist(), places.rows.tolist(), places.epochs.tolist(), strict=True))


@given(SIZES, st.integers(0, 2**64 - 1), st.booleans())
def test_each_epoch_holds_every_sample_once(sizes: list[int], seed: int, shuffle: bool) -> None:
    order = Order(sizes, seed, shuffle)
    total = sum(sizes)
    everything = [(shard, row) for shard, size in enumerate(sizes) for row in range(size)]
    for epoch in range(3):
        found = stream(order, epoch * total, total)
        assert sorted((shard, row) for shard, row, _ in found) == everything
        assert {asked for _, _, asked in found} == {epoch}
        if not shuffle:
            assert [(shard, row) for shard, row, _ in found] == everything


@given(SIZES, st.integers(0, 10), st.lists(st.integers(0, 30), max_size=10))
def test_pieces_of_the_stream_join_without_seams(sizes: list[int], seed: int, counts: list[int]) -> None:
    whole = stream(Order(sizes, seed, True), 5, sum(counts)) if sum(counts) else []
    pieces = []
    position = 5
    for count in counts:
        # A new order each time: nothing is remembered from the piece before.
        pieces += stream(Order(sizes, seed, True), position, count) if count else []
        position += count
    assert pieces == whole


@given(SIZES, st.integers(0, 10))
def test_reader_is_at_home_in_one_block_of_shards_at_a_time(sizes: list[int], seed: int) -> None:
    shards = [shard for shard, _, _ in stream(Order(sizes, seed, True), 0, sum(sizes))]
    visits = list(dict.fromkeys(shards))
    for start in range(0, len(visits)):
        first, last = shards.index(visits[start]), len(shards) - 1 - shards[::-1].index(visits[start])
        assert len(set(shards[first : last + 1])) <= BLOCK_SHARDS


def test_known_order_never_changes() -> None:
    found = [(shard, row) for shard, row, _ in stream(Order([2, 3, 1, 2, 2, 1], 7, True), 0, 11)]
    assert found == [(4, 1), (5, 0), (3, 0), (2, 0), (3, 1), (4, 0), (1, 0), (0, 0), (0, 1), (1, 1), (1, 2)]


def test_seed_and_epoch_change_the_order() -> None:
    sizes = [20, 20]
    base = stream(Order(sizes, 1, True), 0, 40)
    other = stream(Order(sizes, 2, True), 0, 40)
    following = stream(Order(sizes, 1, True), 40, 40)
    assert len({tuple((shard, row) for shard, row, _ in found) for found in (base, other, following)}) == 3


def test_shards_are_mixed_within_their_block() -> None:
    places = Order([1000] * 4, 0, True).locate(0, 400)
    assert np.bincount(places.shards, minlength=4).min() > 60


def test_nothing_to_order_is_an_error() -> None:
    with pytest.raises(ValueError, match="no samples"):
        Order([0, 0], 0, True)
