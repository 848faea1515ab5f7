"""Where each member of a shard stands: the `.idx` file beside it.

An Arrow IPC file, one row per sample in the shard's order: `key`, and for each
extension the columns `<extension>.offset` (int64, of the member's first byte),
`<extension>.length` (int64) and `<extension>.crc32c` (uint32). The schema's
metadata lists the extensions, as JSON, in the order of the members.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_EXTENSIONS = b"extensions"


class IndexFileError(ValueError):
    """The bytes are no index."""


@dataclass(frozen=True)
class Index:
    """The members of a shard: N samples with M members each.

    Attributes:
        extensions: The M extensions, in the order of the members.
        keys: The samples' keys, bytes `(N,)`, ASCII.
        offsets: Where each member begins in the tar, int64 `(N, M)`.
        lengths: How many bytes it has, int64 `(N, M)`.
        crcs: Its CRC-32C, uint32 `(N, M)`.
    """

    extensions: tuple[str, ...]
    keys: NDArray[np.bytes_]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    crcs: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def of(
        cls,
        extensions: Sequence[str],
        keys: Sequence[str],
        offsets: Sequence[Sequence[int]],
        lengths: Sequence[Sequence[int]],
        crcs: Sequence[Sequence[int]],
    ) -> "Index":
        """Return the index of these rows, one sequence of M numbers per sample."""
        shape = (len(keys), len(extensions))
        return cls(
            extensions=tuple(extensions),
            keys=np.array([key.encode("ascii") for key in keys], dtype=np.bytes_),
            offsets=np.array(offsets, np.int64).reshape(shape),
            lengths=np.array(lengths, np.int64).reshape(shape),
            crcs=np.array(crcs, np.uint32).reshape(shape),
        )


def encode_index(index: Index) -> bytes:
    """Return the bytes of the `.idx` file."""
    columns = {"key": pa.array([key.decode() for key in index.keys.tolist()], pa.string())}
    for number, extension in enumerate(index.extensions):
        columns[f"{extension}.offset"] = pa.array(index.offsets[:, number], pa.int64())
        columns[f"{extension}.length"] = pa.array(index.lengths[:, number], pa.int64())
        columns[f"{extension}.crc32c"] = pa.array(index.crcs[:, number], pa.uint32())
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    schema = pa.schema(fields, metadata={_EXTENSIONS: json.dumps(index.extensions).encode()})
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as file:
        file.write_table(pa.Table.from_arrays(list(columns.values()), schema=schema))
    return sink.getvalue()


def decode_index(data: bytes | memoryview) -> Index:
    """Return the index that `encode_index` wrote.

    Raises:
        IndexFileError: The bytes are something else.
    """
    try:
        with pa.ipc.open_file(pa.BufferReader(data)) as file:
            table = file.read_all()
        table.validate(full=True)  # else an offset in it may lead anywhere in memory
        extensions = _extensions(table)
        keys = np.array(_column(table, "key", pa.string()).to_pylist(), dtype=np.bytes_)
        offsets, lengths = (_matrix(table, extensions, kind, pa.int64()) for kind in ("offset", "length"))
        crcs = _matrix(table, extensions, "crc32c", pa.uint32())
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise IndexFileError(f"not an index: {error}") from error
    return Index(extensions, keys, offsets, lengths, crcs)


def _extensions(table: pa.Table) -> tuple[str, ...]:
    found = json.loads(table.schema.metadata[_EXTENSIONS])
    if not isinstance(found, list) or not found or not all(isinstance(extension, str) for extension in found):
        raise ValueError(f"its extensions are {found!r}, no list of text")
    return tuple(found)


def _column(table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column, which must be of its type and have no gap."""
    column = table[name]
    if column.type != kind or column.null_count:
        raise ValueError(f"{name} is {column.type} with {column.null_count} nulls, not {kind} without")
    return column


def _matrix(table: pa.Table, extensions: tuple[str, ...], kind: str, of: pa.DataType) -> NDArray[Any]:
    """Return one kind of column of all members, side by side, (N, M)."""
    return np.stack([_column(table, f"{extension}.{kind}", of).to_numpy() for extension in extensions], axis=1)
