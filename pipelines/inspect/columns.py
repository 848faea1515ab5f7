"""Columns of a stage's tables, read only where they hold what a build writes: of the right type and without gaps."""

from pathlib import Path

import pyarrow as pa

from pipelines.tables import read_table

COUNTS = frozenset(
    ("num_words", "num_bytes", "warc_offset", "offset", "length", "original_width", "original_height", "attempts")
)
SCORES = frozenset(("quality_score", "score"))


def read_columns(path: str | Path, names: tuple[str, ...]) -> pa.Table:
    """Some columns of a table.

    Raises:
        ValueError: one is of another type than a build writes, or has gaps.
    """
    table = read_table(str(path), names)
    check_columns(table)
    return table


def check_columns(table: pa.Table) -> None:
    """Checks that columns hold what a build writes: all others than `COUNTS` and `SCORES` are texts.

    Raises:
        ValueError: one is of another type, or has gaps.
    """
    for name in table.column_names:
        kind = table.schema.field(name).type
        if not _is_of_kind(kind, name):
            raise ValueError(f"its column {name} is {kind}")
        if table[name].null_count:
            raise ValueError(f"its column {name} has gaps")


def _is_of_kind(kind: pa.DataType, name: str) -> bool:
    if name in COUNTS:
        return bool(pa.types.is_integer(kind))
    if name in SCORES:
        return bool(pa.types.is_floating(kind))
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
