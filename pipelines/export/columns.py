"""Columns of Parquet, with what `datasets` makes of them: pictures, arrays, plain values.

`datasets` reads from a table's metadata which columns are pictures. What it expects there is written as it is, so that
exporting needs no `datasets`.

Source: `datasets` 5.2, `Features.from_arrow_schema` and `Features.to_dict`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

_HF_NAMES = {"double": "float64", "float": "float32", "halffloat": "float16"}


class Column(NamedTuple):
    """A column.

    Attributes:
        arrow: its type in the table.
        feature: its type as `datasets` writes it, a JSON value.
        shape: of each array in it, None of all other columns.
    """

    arrow: pa.DataType
    feature: Any
    shape: tuple[int, ...] | None = None


Columns = Mapping[str, Column]

IMAGE = Column(pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"_type": "Image"})
"""The bytes of a picture's file."""

_OF_JSON: Mapping[type, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def value(kind: pa.DataType | type) -> Column:
    """A column of plain values.

    >>> value(float).feature
    {'dtype': 'float64', '_type': 'Value'}
    """
    arrow = _OF_JSON[kind] if isinstance(kind, type) else kind
    return Column(arrow, {"dtype": _HF_NAMES.get(str(arrow), str(arrow)), "_type": "Value"})


def numbers(kind: pa.DataType) -> Column:
    """A column of lists of numbers."""
    return Column(pa.list_(kind), {"feature": value(kind).feature, "_type": "Sequence"})


def objects(fields: Mapping[str, type]) -> Column:
    """A column of lists of objects."""
    columns = {name: value(kind) for name, kind in fields.items()}
    arrow = pa.list_(pa.struct([(name, column.arrow) for name, column in columns.items()]))
    return Column(arrow, [{name: column.feature for name, column in columns.items()}])


def array3(shape: tuple[int, int, int]) -> Column:
    """A column of float16 arrays of this shape, bit for bit."""
    arrow = pa.list_(pa.list_(pa.list_(pa.float16())))
    return Column(arrow, {"shape": list(shape), "dtype": "float16", "_type": "Array3D"}, shape)


def schema(columns: Columns) -> pa.Schema:
    """The schema of a table of these columns."""
    features = {name: column.feature for name, column in columns.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([_field(name, column) for name, column in columns.items()], metadata)


def _field(name: str, column: Column) -> pa.Field:
    """A field, whose arrays are an extension type to whoever has loaded `datasets` and nested lists to all others."""
    if column.shape is None:
        return pa.field(name, column.arrow)
    extension = {
        "ARROW:extension:name": f"datasets.features.features.{column.feature['_type']}ExtensionType",
        "ARROW:extension:metadata": json.dumps([column.shape, column.feature["dtype"]]),
    }
    return pa.field(name, column.arrow, metadata=extension)


def table(rows: Sequence[Mapping[str, Any]], columns: Columns) -> pa.Table:
    """A table of some rows."""
    arrays = [_array([row[name] for row in rows], column) for name, column in columns.items()]
    return pa.Table.from_arrays(arrays, schema=schema(columns))


def _array(values: list[Any], column: Column) -> pa.Array:
    if column.shape is None:
        return pa.array(values, column.arrow)
    nested = pa.array(np.stack(values).reshape(-1))
    for length in reversed(column.shape):
        nested = pa.ListArray.from_arrays(pa.array(np.arange(0, len(nested) + 1, length, dtype=np.int32)), nested)
    return nested


def num_bytes(row: Mapping[str, Any]) -> int:
    """About what a row takes in memory."""
    return sum(_num_bytes(each) for each in row.values())


def _num_bytes(each: Any) -> int:  # noqa: ANN401 - whatever a column holds
    if isinstance(each, np.ndarray):
        return int(each.nbytes)
    if isinstance(each, dict):
        return num_bytes(each)
    return len(each) if isinstance(each, bytes | str) else 64
