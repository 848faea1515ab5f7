"""Windows planned table by table are those of the whole stream, and its tokens are read across the tables' files."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.open_files import MAX_OPEN, OpenFiles
from pipelines.streams import Planned, Stream, plan_windows, tokens_name
from shards.tokenizer import ByteTokenizer
from shards.window import WindowSpec, num_windows

TABLES = st.lists(st.lists(st.tuples(st.sampled_from(["train", "val"]), st.integers(1, 30)), max_size=5), min_size=1)


def rows_of(tables: dict[str, list[tuple[str, int]]], split: str, first: str) -> list[dict[str, Any]]:
    """The documents of a split from table `first` on; a key tells where in its table a document stands."""
    return [
        {"split": of, "key": f"{table}/{number}", "url": "", "num_tokens": count}
        for table, documents in tables.items()
        for number, (of, count) in enumerate(documents)
        if table >= first and of == split
    ]


@given(TABLES, st.integers(1, 12), st.data())
def test_tables_plan_together_each_window_of_the_stream_once(
    found: list[list[tuple[str, int]]], context: int, data: st.DataObject
) -> None:
    spec = WindowSpec.of(ByteTokenizer(), context, data.draw(st.integers(1, context)))
    tables = {f"documents-{number:06d}.parquet": documents for number, documents in enumerate(found)}
    totals = {
        table: {split: sum(count for of, count in documents if of == split) for split in ("train", "val")}
        for table, documents in tables.items()
    }
    for split in ("train", "val"):
        rows = rows_of(tables, split, "")
        stream = [(row["key"], token) for row in rows for token in range(row["num_tokens"])]
        planned: list[Planned] = []
        for table in tables:
            planned += plan_windows(table, split, totals, spec, rows_of(tables, split, table))
        positions = [window.position for window in planned]
        count = num_windows(len(stream), spec.context, spec.stride)
        assert positions == [number * spec.stride for number in range(count)]
        for position, pieces, runs in planned:
            assert runs == [(position, sum(piece.length for piece in pieces))]
            held = [(piece.key, piece.start + token) for piece in pieces for token in range(piece.length)]
            assert held == stream[position : position + spec.context + 1]


def test_a_stream_is_read_across_more_files_than_are_held_open(tmp_path: Path) -> None:
    totals = {f"documents-{number:06d}.parquet": {"train": number % 4, "val": 1} for number in range(3 * MAX_OPEN)}
    whole = np.arange(sum(splits["train"] for splits in totals.values()), dtype=np.uint16)
    start = 0
    for table, splits in totals.items():
        path = tmp_path / tokens_name(table, "train")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole[start : start + splits["train"]].tobytes())
        start += splits["train"]
    with OpenFiles() as files:
        stream = Stream(files, tmp_path, "train", totals, "<u2")
        for position, count in itertools.product((0, 1, 7, 100, len(whole) - 5), (1, 5)):
            assert stream.read(position, count).tolist() == whole[position : position + count].tolist()
        assert np.array_equal(stream.read(0, len(whole)), whole)
