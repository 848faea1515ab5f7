"""Windows cover their stream exactly, and say what is in them."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.tar import sample_bytes
from shards.tokenizer import ByteTokenizer
from shards.window import (
    EXTENSIONS,
    Piece,
    WindowSpec,
    encode_window,
    num_windows,
    place_pieces,
    target_mask,
    window_bytes,
    window_key,
)

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=8)


def spec(context: int = 8, stride: int = 8) -> WindowSpec:
    return WindowSpec.of(ByteTokenizer(), context, stride)


@st.composite
def strides(draw: st.DrawFn) -> tuple[int, int]:
    context = draw(st.integers(1, 12))
    return context, draw(st.integers(1, context))


@given(LENGTHS, strides())
def test_pieces_rebuild_every_window_of_the_stream(lengths: list[int], shape: tuple[int, int]) -> None:
    context, stride = shape
    stream = [(document, token) for document, length in enumerate(lengths) for token in range(length)]
    windows: dict[int, dict[int, tuple[int, int]]] = {}
    start = 0
    for document, length in enumerate(lengths):
        for placed in place_pieces(start, length, context, stride, len(stream)):
            for token in range(placed.length):
                assert placed.offset + token not in windows.setdefault(placed.window, {})
                windows[placed.window][placed.offset + token] = (document, placed.start + token)
        start += length
    assert sorted(windows) == list(range(num_windows(len(stream), context, stride)))
    for number, found in windows.items():
        covered = stream[number * stride : number * stride + context + 1]
        assert [found[offset] for offset in range(len(found))] == covered
        assert len(covered) >= 2


@given(st.integers(0, 200), strides())
def test_every_token_but_the_first_is_predicted(length: int, shape: tuple[int, int]) -> None:
    context, stride = shape
    count = num_windows(length, context, stride)
    targets = [number * stride + 1 + step for number in range(count) for step in range(context)]
    predicted = [target for target in targets if target < length]
    assert set(predicted) == set(range(1, length))
    if stride == context:
        assert len(predicted) == len(set(predicted))
    # The last window predicts something that the one before does not.
    if count > 1:
        assert (count - 2) * stride + context < length - 1


def test_window_is_filled_up_with_ends_behind_its_length() -> None:
    pieces = [Piece("aa", "https://a.example/", 3, 2, 0), Piece("bb", "https://b.example/", 0, 3, 2)]
    tokens = np.array([104, 256, 105, 106, 107], np.uint16)
    key, members = encode_window(spec(), "train", 16, pieces, tokens)
    assert tuple(members) == EXTENSIONS
    assert key == window_key("train", 16, pieces[0])
    assert np.load(io.BytesIO(members["tokens.npy"])).tolist() == [104, 256, 105, 106, 107, 256, 256, 256, 256]
    assert json.loads(members["json"]) == {
        "split": "train",
        "position": 16,
        "length": 5,
        "tokenizer_sha256": ByteTokenizer().sha256(),
        "documents": [
            {"key": "aa", "url": "https://a.example/", "start": 3, "length": 2, "offset": 0},
            {"key": "bb", "url": "https://b.example/", "start": 0, "length": 3, "offset": 2},
        ],
    }


def test_window_key_is_the_hash_of_its_origin() -> None:
    assert window_key("train", 16, Piece("aa", "", 3, 2, 0)) == "47741476453fd2ead0771748d545d773"


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 2**40), st.integers(1, 9))
def test_size_in_the_tar_is_known_without_the_tokens(url: str, position: int, length: int) -> None:
    pieces = [Piece("ab" * 16, url, 7, length, 0)]
    _, members = encode_window(spec(), "val", position, pieces, np.zeros(length, np.uint16))
    assert window_bytes(spec(), len(members["json"])) == sample_bytes(len(data) for data in members.values())


def test_mask_counts_the_targets_before_the_length() -> None:
    mask = target_mask(np.array([9, 5, 1]), context=8)
    assert mask.sum(axis=1).tolist() == [8, 4, 0]


@pytest.mark.parametrize(
    ("pieces", "count", "message"),
    [
        ([Piece("a", "", 0, 3, 1)], 3, "a part at 1, expected one at 0"),
        ([Piece("a", "", 0, 3, 0), Piece("b", "", 0, 3, 2)], 6, "a part at 2, expected one at 3"),
        ([Piece("a", "", 0, 10, 0)], 10, "10 tokens, expected 1 to 9"),
        ([Piece("a", "", 0, 3, 0)], 2, "2 tokens, expected 3"),
    ],
)
def test_windows_that_do_not_add_up_are_refused(pieces: list[Piece], count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_window(spec(), "train", 0, pieces, np.zeros(count, np.uint16))


@pytest.mark.parametrize(("context", "stride", "name"), [(0, 1, "context"), (4, 0, "stride"), (4, 5, "stride")])
def test_impossible_specs_are_refused_by_name(context: int, stride: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is"):
        spec(context, stride)


def test_spec_makes_a_round_trip_with_its_tokenizer() -> None:
    assert WindowSpec.from_json(spec(8, 4).to_json(), ByteTokenizer()) == spec(8, 4)
    with pytest.raises(ValueError, match="not a specification of windows"):
        WindowSpec.from_json({"kind": "triplets"}, ByteTokenizer())
