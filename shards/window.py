"""A window: T words of running text and, for each, the word that comes next.

The stream of a split is its documents in order, each closed by `<eos>`. Window w
covers the stream's positions `w · stride … w · stride + T`: neighbours at stride T
share one token, so that every token but the very first is predicted exactly once.
Windows that are packed (`shards.packing`) hold other parts of documents; the position
of such a window is that of its first token in the stream.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from shards.json_values import whole
from shards.npy import npy_bytes, npy_length
from shards.tar import sample_bytes
from shards.tokens import Tokenizer, Tokens
from shards.triplet import record_bytes

Packing = Literal["concat", "best_fit", "document"]

KIND = "windows"
TOKENS, RECORD = "tokens.npy", "json"
EXTENSIONS = (TOKENS, RECORD)
"""The extensions of a window's members, in their order."""


@dataclass(frozen=True)
class WindowSpec:
    """What the windows of a dataset are.

    Attributes:
        context: T, the words seen; a window holds T + 1 tokens.
        stride: How far a window begins behind the one before, 1 to T.
        eos_id: The tokenizer's `<eos>`, which also fills a window up.
        dtype: The tokens' type string, `<u2` or `<u4`.
        tokenizer_sha256: Of the tokenizer's file, in hex.
        packing: `concat`: windows are cut from one stream; `best_fit`, `document`: see `shards.packing`.

    Raises:
        ValueError: A value is impossible; the message names it.
    """

    context: int
    stride: int
    eos_id: int
    dtype: str
    tokenizer_sha256: str
    packing: Packing = "concat"

    def __post_init__(self) -> None:
        if self.context < 1:
            raise ValueError(f"context is {self.context}: it must be 1 or more")
        if not 1 <= self.stride <= self.context:
            raise ValueError(f"stride is {self.stride}: it must lie between 1 and the context, {self.context}")
        if self.packing not in get_args(Packing):
            raise ValueError(f"packing is {self.packing!r}: it must be one of {', '.join(get_args(Packing))}")
        if self.packing == "best_fit" and self.stride != self.context:
            raise ValueError(f"stride is {self.stride}: with best_fit it must be the context, {self.context}")

    @classmethod
    def of(cls, tokenizer: Tokenizer, context: int, stride: int, packing: Packing = "concat") -> "WindowSpec":
        """Return the spec of windows over this tokenizer's ids."""
        return cls(context, stride, tokenizer.eos_id, tokenizer.dtype, tokenizer.sha256(), packing)

    def to_json(self) -> dict[str, Any]:
        """Return the value that a manifest's configuration holds as `spec`; the tokenizer's file says the rest."""
        return {"kind": KIND, "context": self.context, "stride": self.stride, "packing": self.packing}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], tokenizer: Tokenizer) -> "WindowSpec":
        """Return the spec that `to_json` wrote, with its tokenizer.

        Raises:
            ValueError: It is another one's.
        """
        packing = value.get("packing", "concat")  # all there was at first
        if value.keys() | {"packing"} != {"kind", "context", "stride", "packing"} or value["kind"] != KIND:
            raise ValueError(f"not a specification of windows: {value}")
        context, stride = (whole(value[name], f"configuration.spec.{name}", 1) for name in ("context", "stride"))
        return cls.of(tokenizer, context, stride, packing)


class Placement(NamedTuple):
    """Which part of a document stands where in a window, all in tokens.

    Attributes:
        window: The window's number in its split.
        offset: Where the part begins in the window.
        start: Where it begins in the document.
        length: How long it is; a document's last part ends with its `<eos>`.
    """

    window: int
    offset: int
    start: int
    length: int


@dataclass(frozen=True)
class Piece:
    """A part of a document in a window, as its JSON names it: see `Placement`."""

    key: str
    url: str
    start: int
    length: int
    offset: int


def num_windows(stream_length: int, context: int, stride: int) -> int:
    """Return how many windows predict every token of a stream but its first.

    >>> [num_windows(n, context=4, stride=4) for n in (0, 1, 2, 5, 6, 9, 10)]
    [0, 0, 1, 1, 2, 2, 3]
    """
    if stream_length < 2:
        return 0
    return max(0, -((context + 1 - stream_length) // stride)) + 1


def place_pieces(
    global_start: int, num_tokens: int, context: int, stride: int, stream_length: int
) -> Iterator[Placement]:
    """Yield where a document's tokens stand, window by window.

    Pure arithmetic: each document can say by itself which windows it falls in.

    Args:
        global_start: The position of the document's first token in its split's stream.
        num_tokens: The document's tokens, its `<eos>` included.
        context: T.
        stride: Between the beginnings of windows, 1 to T.
        stream_length: The tokens of the whole stream; windows that would only repeat its last token are left out.
    """
    end = global_start + num_tokens
    first = max(0, -((context - global_start) // stride))
    last = min((end - 1) // stride, num_windows(stream_length, context, stride) - 1)
    for window in range(first, last + 1):
        window_start = window * stride
        begin = max(global_start, window_start)
        stop = min(end, window_start + context + 1)
        yield Placement(window, begin - window_start, begin - global_start, stop - begin)


def window_key(split: str, position: int, first: Piece) -> str:
    """Return a window's key: 32 hex digits of the SHA-256 of `split:position:document:start`.

    Args:
        split: The split's name.
        position: The window's first position in the split's stream.
        first: The first part in it; its document's key and start stand in the hash.
    """
    origin = f"{split}:{position}:{first.key}:{first.start}"
    return hashlib.sha256(origin.encode()).hexdigest()[:32]


def window_record(spec: WindowSpec, split: str, position: int, pieces: Sequence[Piece]) -> dict[str, Any]:
    """Return a window's JSON, in the order of its schema.

    Raises:
        ValueError: The parts leave a gap, overlap or do not fit.
    """
    length = 0
    for piece in pieces:
        if piece.offset != length or piece.length < 1:
            raise ValueError(f"window at {split} {position}: a part at {piece.offset}, expected one at {length}")
        length += piece.length
    if not 1 <= length <= spec.context + 1:
        raise ValueError(f"window at {split} {position}: {length} tokens, expected 1 to {spec.context + 1}")
    return {
        "split": split,
        "position": position,
        "length": length,
        "tokenizer_sha256": spec.tokenizer_sha256,
        "documents": [dict(vars(piece)) for piece in pieces],
    }


def encode_window(
    spec: WindowSpec, split: str, position: int, pieces: Sequence[Piece], tokens: Tokens
) -> tuple[str, dict[str, bytes]]:
    """Return the key and the members of one window.

    Args:
        spec: What the dataset's windows are.
        split: The split's name.
        position: The window's first position in the split's stream, its number times the stride.
        pieces: The parts of documents in it, in order, without gaps.
        tokens: Their tokens, `(length,)`; `<eos>` fills the window up behind them.

    Raises:
        ValueError: The parts leave a gap or do not fit, or the tokens are not as many as theirs, or of another type.
    """
    record = window_record(spec, split, position, pieces)
    if len(tokens) != record["length"]:
        raise ValueError(f"window at {split} {position}: {len(tokens)} tokens, expected {record['length']}")
    return window_key(split, position, pieces[0]), window_members(spec, tokens, record_bytes(record))


def window_members(spec: WindowSpec, tokens: Tokens, record: bytes) -> dict[str, bytes]:
    """Return the members of a window of these tokens, `<eos>` behind them, and this JSON.

    Raises:
        ValueError: The tokens are none or too many, or of another type.
    """
    if tokens.dtype != np.dtype(spec.dtype) or not 1 <= len(tokens) <= spec.context + 1:
        expected = f"{np.dtype(spec.dtype)}, 1 to {spec.context + 1} of them"
        raise ValueError(f"a window's tokens are {tokens.dtype} {tokens.shape}, expected {expected}")
    filled = np.full(spec.context + 1, spec.eos_id, spec.dtype)
    filled[: len(tokens)] = tokens
    return {TOKENS: npy_bytes(filled), RECORD: record}


def window_bytes(spec: WindowSpec, record_length: int) -> int:
    """Return what a window takes in a tar, whose JSON has this many bytes; its tokens need not be known."""
    return sample_bytes([npy_length(spec.dtype, (spec.context + 1,)), record_length])


def target_mask(lengths: NDArray[np.int64], context: int) -> NDArray[np.bool_]:
    """Return which next words count, bool `(B, T)`: those that stand before a window's length.

    >>> target_mask(np.array([3, 5]), context=4).astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 1, 1]]
    """
    mask: NDArray[np.bool_] = np.arange(1, context + 1) < lengths[:, None]
    return mask


def document_numbers(lengths: Sequence[int], context: int) -> NDArray[np.int32]:
    """Return in which of a window's documents each next word stands, `(T,)`; −1 behind the window's end.

    Args:
        lengths: Of the parts of documents in the window, in their order.
        context: T.

    Raises:
        ValueError: They are longer than a window.

    >>> document_numbers([3, 1], context=4).tolist()
    [0, 0, 1, -1]
    """
    numbers = np.full(context + 1, -1, np.int32)
    stands = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    if len(stands) > context + 1:
        raise ValueError(f"documents: {len(stands)} tokens, expected {context + 1} at most")
    numbers[: len(stands)] = stands
    return numbers[1:]
