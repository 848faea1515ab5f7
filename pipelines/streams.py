"""A split's stream of tokens, set aside table by table, and the windows that each table plans.

The stream of a split is its documents in order, each closed by `<eos>`. Each table of documents sets aside the tokens
of each split in a file of their own, so that the stream is those files, one behind the other. A table plans the windows
that begin in it; for those that reach beyond its end, it looks up which documents come next.
"""

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.open_files import OpenFiles
from pipelines.staging import staged_name
from shards.object_path import AnyPath
from shards.packing import pack_best_fit, pack_documents
from shards.tokens import Tokens
from shards.window import Piece, WindowSpec, num_windows, place_pieces

Totals = Mapping[str, Mapping[str, int]]
"""Of each table: how many tokens it adds to the stream of each split."""

DOCUMENT_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("num_tokens", pa.int64(), nullable=False),
    ]
)
"""The documents of a table, in order: what stands in its token files. The `<eos>` that closes a document counts."""


class Planned(NamedTuple):
    """A window: its first position in the stream, what is in it, and where its tokens stand in the stream.

    The runs are (first position, tokens), in the order in which they stand in the window.
    """

    position: int
    pieces: list[Piece]
    runs: list[tuple[int, int]]


def tokens_name(table: str, split: str) -> str:
    """The path, relative to the stage's folder, of the tokens that a table adds to a split."""
    return staged_name(f"{part_name(table)}-{split}")


def part_name(table: str) -> str:
    """The name of the part that sets aside the tokens of a table.

    >>> part_name("documents-000002.parquet")
    'tokens-000002'
    """
    return table.removesuffix(".parquet").replace("documents", "tokens")


def plan_windows(
    table: str, split: str, totals: Totals, spec: WindowSpec, documents: Iterable[dict[str, Any]]
) -> Iterator[Planned]:
    """The windows of a split that begin in a table, in order.

    Args:
        table: the table.
        split: the split.
        totals: of all tables.
        spec: what windows are.
        documents: rows of `DOCUMENT_SCHEMA`, those of the split from the table's first on, through the tables behind
            it; no more are taken than stand in the windows.
    """
    start = _tokens_before(table, split, totals)
    length = sum(splits.get(split, 0) for splits in totals.values())
    own = _windows_between(start, start + totals[table].get(split, 0), length, spec)
    open_windows: dict[int, list[Piece]] = {}
    for document in documents if own else ():
        for place in place_pieces(start, document["num_tokens"], spec.context, spec.stride, length):
            if place.window not in own:
                continue
            pieces = open_windows.setdefault(place.window, [])
            pieces.append(Piece(document["key"], document["url"], place.start, place.length, place.offset))
            position = place.window * spec.stride
            if place.offset + place.length == min(spec.context + 1, length - position):
                yield Planned(position, open_windows.pop(place.window), [(position, place.offset + place.length)])
                if place.window == own[-1]:
                    return
        start += document["num_tokens"]


def pack_windows(
    table: str, split: str, totals: Totals, spec: WindowSpec, documents: Sequence[dict[str, Any]]
) -> Iterator[Planned]:
    """The windows that the documents of one table are packed into, where they are not cut from the stream.

    Args:
        table: the table.
        split: the split.
        totals: of all tables.
        spec: what windows are.
        documents: rows of `DOCUMENT_SCHEMA`, those of the table and the split.
    """
    lengths = [document["num_tokens"] for document in documents]
    starts = list(itertools.accumulate(lengths, initial=_tokens_before(table, split, totals)))
    packed = (
        pack_best_fit(lengths, spec.context)
        if spec.packing == "best_fit"
        else pack_documents(lengths, spec.context, spec.stride)
    )
    for chunks in packed:
        pieces, runs, offset = [], [], 0
        for number, start, length in chunks:
            pieces.append(Piece(documents[number]["key"], documents[number]["url"], start, length, offset))
            runs.append((starts[number] + start, length))
            offset += length
        yield Planned(runs[0][0], pieces, runs)


def _tokens_before(table: str, split: str, totals: Totals) -> int:
    """The position in the stream of a split at which a table's tokens begin."""
    return sum(splits.get(split, 0) for other, splits in totals.items() if other < table)


def _windows_between(start: int, end: int, length: int, spec: WindowSpec) -> range:
    """The numbers of the windows that begin at the positions `start … end - 1` of a stream."""
    last = min(-(-end // spec.stride), num_windows(length, spec.context, spec.stride))
    return range(-(-start // spec.stride), last)


class Stream:
    """A split's tokens, to be read anywhere.

    Args:
        files: to read through.
        folder: the stage's.
        split: the split.
        totals: of all tables.
        dtype: the tokens' type string.
    """

    def __init__(self, files: OpenFiles, folder: AnyPath, split: str, totals: Totals, dtype: str) -> None:
        self._files, self._dtype = files, np.dtype(dtype)
        tables = sorted(table for table, splits in totals.items() if splits.get(split))
        self._paths = [folder / tokens_name(table, split) for table in tables]
        self._starts = [0, *itertools.accumulate(totals[table][split] for table in tables)]

    def read(self, position: int, count: int) -> Tokens:
        """The `count` tokens from `position` of the stream on."""
        read = bytearray()
        end = position + count
        number = bisect_right(self._starts, position) - 1
        while position < end:
            stop = min(end, self._starts[number + 1])
            size = self._dtype.itemsize
            offset = (position - self._starts[number]) * size
            read += self._files.read(self._paths[number], offset, (stop - position) * size)
            position, number = stop, number + 1
        return np.frombuffer(read, self._dtype)
