"""The order of samples is arithmetic that every rank and restart agrees on."""

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.order import BLOCK_SHARDS, Order
from shards.permutation import ROUNDS, permute

SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=14).filter(any)


def stream(order: Order, start: int, count: int) -> list[tuple[int, int, int]]:
    places = order.locate(np.arange(start, start + count))
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
    assert found == [(2, 0), (1, 1), (1, 2), (0, 1), (1, 0), (5, 0), (0, 0), (3, 1), (4, 0), (4, 1), (3, 0)]


def test_seed_and_epoch_change_the_order() -> None:
    sizes = [20, 20]
    base = stream(Order(sizes, 1, True), 0, 40)
    other = stream(Order(sizes, 2, True), 0, 40)
    following = stream(Order(sizes, 1, True), 40, 40)
    assert len({tuple((shard, row) for shard, row, _ in found) for found in (base, other, following)}) == 3


def test_shards_are_mixed_within_their_block() -> None:
    places = Order([1000] * 4, 0, True).locate(np.arange(400))
    assert np.bincount(places.shards, minlength=4).min() > 60


def test_nothing_to_order_is_an_error() -> None:
    with pytest.raises(ValueError, match="no samples"):
        Order([0, 0], 0, True)


@given(st.integers(1, 3000), st.lists(st.integers(0, 2**64 - 1), min_size=ROUNDS, max_size=ROUNDS))
def test_a_permutation_takes_every_number_once(size: int, keys: list[int]) -> None:
    found = permute(np.arange(size), size, keys)
    assert sorted(found.tolist()) == list(range(size))
    assert permute(found[:1] * 0 + size // 2, size, keys)[0] == found[size // 2], "any one without the others"


def test_all_permutations_are_equally_likely() -> None:
    """Of four numbers there are 24; each is met 1,000 times in 24,000, give or take five standard errors of 31."""
    keys = np.random.default_rng(0).integers(0, 2**63, (24_000, ROUNDS)).tolist()
    counts = Counter(tuple(permute(np.arange(4), 4, key).tolist()) for key in keys)
    assert len(counts) == 24
    assert max(abs(count - 1000) for count in counts.values()) < 5 * 31


@given(SIZES, st.integers(0, 3), st.integers(1, 9), st.integers(1, 5), st.booleans())
def test_lanes_hold_every_sample_once_an_epoch(
    sizes: list[int], seed: int, lanes: int, lane_samples: int, shuffle: bool
) -> None:
    order = Order(sizes, seed, shuffle, lanes, lane_samples)
    total = sum(sizes)
    for epoch in (0, 1):
        found = stream(order, epoch * total, total)
        assert len({(shard, row) for shard, row, _ in found}) == total
    singly = [stream(Order(sizes, seed, shuffle, lanes, lane_samples), position, 1)[0] for position in range(total)]
    assert singly == stream(order, 0, total)


def test_a_rank_reads_the_shards_of_its_lane_alone() -> None:
    order, batch, ranks, lanes = Order([32] * 16, 5, True, lanes=4, lane_samples=8), 8, 8, 4
    steps = 16 * 32 // (batch * ranks)
    shards_of: list[set[int]] = []
    for rank in range(ranks):
        starts = np.arange(steps) * batch * ranks + rank * batch
        shards_of.append(set(order.locate((starts[:, None] + np.arange(batch)).reshape(-1)).shards.tolist()))
    for rank, shards in enumerate(shards_of):
        assert len(shards) == 16 // lanes
        assert shards == shards_of[(rank + lanes) % ranks]
    assert set.union(*shards_of) == set(range(16))


@given(SIZES, st.integers(1, 3), st.data())
def test_substitutes_are_the_others_of_a_block_and_then_those_beside_it_each_once(
    sizes: list[int], lanes: int, data: st.DataObject
) -> None:
    order = Order(sizes, 3, True, lanes)
    position = data.draw(st.integers(0, 2 * sum(sizes) - 1))
    own = stream(order, position, 1)[0]
    runs = list(order.substitutes(position))
    others = [
        place for run in runs for place in zip(run.shards.tolist(), run.rows.tolist(), run.epochs.tolist(), strict=True)
    ]
    shards = list(dict.fromkeys(shard for shard, _, _ in [own, *others]))
    assert len(shards) <= 2 * BLOCK_SHARDS
    assert sorted([own, *others]) == sorted((shard, row, own[2]) for shard in shards for row in range(sizes[shard]))
    # The block's own come first, and where there are others in the lane, those of one block beside it follow.
    block = set(shards) & set(order.ahead(position, is_endless=False)[:BLOCK_SHARDS])
    assert {shard for shard, _, _ in others[: sum(sizes[shard] for shard in block) - 1]} <= block


def test_a_place_far_into_a_huge_dataset_is_found_at_once() -> None:
    started = time.monotonic()
    places = Order([60_000] * 20_000, 3, True).locate(np.arange(10**9, 10**9 + 256))
    assert time.monotonic() - started < 1
    assert len(set(zip(places.shards.tolist(), places.rows.tolist(), strict=True))) == 256
