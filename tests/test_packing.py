"""Windows of whole documents: no token lost, little room left."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.packing import Chunk, pack_best_fit, pack_documents

LENGTHS = st.lists(st.integers(1, 60), max_size=40)


def predicted(windows: list[list[Chunk]]) -> Counter[tuple[int, int]]:
    """How often each token of each document is a next word, as a trainer counts: all in a window but its first."""
    tokens = ([(c.document, c.start + n) for c in window for n in range(c.length)] for window in windows)
    return Counter(token for window in tokens for token in window[1:])


@given(LENGTHS, st.integers(1, 20))
def test_best_fit_drops_no_token_and_predicts_each_once(lengths: list[int], context: int) -> None:
    windows = pack_best_fit(lengths, context)
    assert all(0 < sum(chunk.length for chunk in window) <= context + 1 for window in windows)
    found = {(c.document, c.start + n) for window in windows for c in window for n in range(c.length)}
    assert found == {(document, n) for document, length in enumerate(lengths) for n in range(length)}
    times = predicted(windows)
    assert set(times.values()) <= {1}
    assert found - times.keys() == {(window[0].document, 0) for window in windows if not window[0].start}


@given(LENGTHS, st.integers(1, 20))
def test_a_document_that_fits_is_never_split(lengths: list[int], context: int) -> None:
    parts = Counter(chunk.document for window in pack_best_fit(lengths, context) for chunk in window)
    for document, length in enumerate(lengths):
        assert parts[document] == max(1, -((1 - length) // context))


@pytest.mark.parametrize("context", [64, 1024])
def test_best_fit_uses_99_percent_of_all_positions(context: int) -> None:
    draw = random.Random(3)
    lengths = [int(draw.lognormvariate(6, 1)) + 2 for _ in range(20_000)]
    windows = pack_best_fit(lengths, context)
    used = sum(chunk.length for window in windows for chunk in window)
    assert used >= 0.99 * len(windows) * (context + 1)


def test_best_fit_takes_the_window_with_the_least_room() -> None:
    assert pack_best_fit([6, 7, 3, 2, 1], context=9) == [
        [Chunk(1, 0, 7), Chunk(2, 0, 3)],
        [Chunk(0, 0, 6), Chunk(3, 0, 2), Chunk(4, 0, 1)],
    ]
    # The ends of two long documents: the one that opens the window repeats a token, the other does not.
    assert pack_best_fit([13, 12, 3], context=9)[2:] == [[Chunk(0, 9, 4), Chunk(1, 10, 2), Chunk(2, 0, 3)]]
    assert pack_best_fit([], context=9) == []


@given(LENGTHS, st.integers(1, 20), st.data())
def test_documents_have_windows_of_their_own(lengths: list[int], context: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, context))
    windows = pack_documents(lengths, context, stride)
    assert all(len(window) == 1 for window in windows)
    times = predicted(windows)
    for document, length in enumerate(lengths):
        assert all(times[document, n] >= 1 for n in range(1, length))
    if stride == context:
        assert set(times.values()) <= {1}
