"""What each stage has to export: its rows, part by part, wherever the stage lies."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from pipelines.export.columns import IMAGE, Columns, array3, numbers, objects, value
from pipelines.inspect.pixels import values_to_pixels
from shards import triplet, window
from shards.committed import Committed
from shards.describe import record_fields
from shards.manifest import FileEntry
from shards.shard import Shard, ShardFiles
from shards.store import DatasetError
from shards.tokenizer import TOKENIZER_NAME, from_json
from shards.triplet import TripletSpec
from shards.window import Piece, WindowSpec
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX, split_of

Rows = Iterator[tuple[str, dict[str, Any]]]
"""Rows, with the split of each."""

_NOT_EXPORTED = ("part", "offset", "length", "status", "tree_score")
"""Of a clean picture's table: where it lies in the build, and what is the same in all rows."""


@dataclass(frozen=True)
class Source:
    """A stage that can be exported.

    Attributes:
        name: of its configuration on the hub.
        about: what a row is, in a sentence.
        committed: its folder.
        columns: of its rows.
        parts: yields the rows of each part, in order.
    """

    name: str
    about: str
    committed: Committed
    columns: Columns
    parts: Callable[[], Iterator[Rows]]


def open_source(committed: Committed) -> Source | None:
    """What a committed folder has to export, None of stages that have nothing.

    Raises:
        DatasetError: it is not what was committed.
    """
    opens = {"triplets": _triplets, "images": _pictures, "windows": _windows, "text": _documents}
    found = opens.get(committed.manifest.stage)
    return found(committed) if found else None


def _triplets(committed: Committed) -> Source:
    spec = TripletSpec.from_json(committed.manifest.configuration["spec"])
    stored = () if spec.mode == "virtual" else (triplet.NOISE, triplet.NOISY)
    facts = record_fields(committed.manifest.configuration["spec"])
    arrays = {name.removesuffix(".npy"): name for name in stored}
    seen = {"noisy_picture": IMAGE} if stored else {}
    columns = {"key": value(str), "clean": IMAGE} | dict.fromkeys(arrays, array3(spec.shape)) | seen
    columns |= {"caption": value(str), **{name: value(kind) for name, kind in facts.items()}}

    def row(shard: Shard, number: int) -> dict[str, Any]:
        clean = shard.array(number, triplet.CLEAN, "|u1", spec.shape)
        found: dict[str, Any] = {name: shard.array(number, file, "<f2", spec.shape) for name, file in arrays.items()}
        if found:
            found["noisy_picture"] = _png(values_to_pixels(found["noisy"]))
        caption = shard.read(number, triplet.CAPTION).decode()
        key, record = shard.index.keys[number].decode(), json.loads(shard.read(number, triplet.RECORD))
        return {"key": key, "clean": _png(clean), "caption": caption, **found, **record}

    arrays_said = (
        "readers make its noise" if not stored else "with the noise n and noisy = a x + b n, x = (2u - 255) / 256"
    )
    about = f"a clean picture u of {spec.size} × {spec.size} × {spec.channels}, {arrays_said}"
    return Source("triplets", about, committed, columns, lambda: _of_shards(committed, row))


def _windows(committed: Committed) -> Source:
    tokenizer = from_json(committed.store.read(TOKENIZER_NAME).decode())
    spec = WindowSpec.from_json(committed.manifest.configuration["spec"], tokenizer)
    facts = {name: value(kind) for name, kind in record_fields(committed.manifest.configuration["spec"]).items()}
    pieces = objects({each.name: str if each.type is str else int for each in fields(Piece)})
    kind = pa.uint16() if spec.dtype == "<u2" else pa.uint32()
    columns = {"key": value(str), "tokens": numbers(kind), "text": value(str), **facts, "documents": pieces}

    def row(shard: Shard, number: int) -> dict[str, Any]:
        record = json.loads(shard.read(number, window.RECORD))
        tokens = shard.array(number, window.TOKENS, spec.dtype, (spec.context + 1,))
        text = tokenizer.decode(tokens[: record["length"]].tolist())
        return {"key": shard.index.keys[number].decode(), "tokens": tokens, "text": text, **record}

    about = f"{spec.context} words of running text and the word that comes next, as tokens and as text"
    return Source("windows", about, committed, columns, lambda: _of_shards(committed, row))


def _pictures(committed: Committed) -> Source:
    tables = _tables(committed, "images-")
    columns: Columns = {"image": IMAGE} | _plain(committed, tables, _NOT_EXPORTED)

    def rows(entry: FileEntry) -> Rows:
        number = entry.path.removeprefix("images-").removesuffix(".parquet")
        shard = _shard(committed, f"part-{number}{TAR_SUFFIX}")
        picture = next(extension for extension in shard.index.extensions if extension not in ("txt", "json"))
        for place, found in enumerate(_rows_of(committed, entry)):
            file = {"bytes": shard.read(place, picture), "path": f"{found['key']}.{picture}"}
            yield found["split"], {"image": file, **found}

    about = "a clean picture, where it came from and under which licence"
    return Source("pictures", about, committed, columns, lambda: map(rows, tables))


def _documents(committed: Committed) -> Source:
    tables = _tables(committed, "documents-")
    columns = _plain(committed, tables, ())

    def rows(entry: FileEntry) -> Rows:
        for found in _rows_of(committed, entry):
            yield found["split"], found

    about = "a clean document, where it came from and under which licence"
    return Source("documents", about, committed, columns, lambda: map(rows, tables))


def _of_shards(committed: Committed, row: Callable[[Shard, int], dict[str, Any]]) -> Iterator[Rows]:
    """The rows of each shard of a dataset."""

    def rows(path: str) -> Rows:
        shard = _shard(committed, path)
        for number in range(len(shard.index)):
            yield split_of(path), row(shard, number)

    tars = sorted(file.path for file in committed.manifest.files if file.path.endswith(TAR_SUFFIX))
    return map(rows, tars)


def _shard(committed: Committed, path: str) -> Shard:
    entries = {entry.path: entry for entry in committed.manifest.files}
    return Shard(committed.store, ShardFiles(entries[path], entries[path.removesuffix(TAR_SUFFIX) + INDEX_SUFFIX]))


def _tables(committed: Committed, prefix: str) -> list[FileEntry]:
    found = [file for file in committed.manifest.files if file.path.startswith(prefix)]
    return sorted(found, key=lambda file: file.path)


def _plain(committed: Committed, tables: list[FileEntry], but: tuple[str, ...]) -> dict[str, Any]:
    """The columns of a stage's tables, but for some; none where it has no table."""
    return {
        field.name: value(field.type)
        for entry in tables[:1]
        for field in _opened(committed, entry).schema_arrow
        if field.name not in but
    }


def _rows_of(committed: Committed, entry: FileEntry) -> Iterator[dict[str, Any]]:
    for batch in _opened(committed, entry).iter_batches(256):
        yield from batch.to_pylist()


def _opened(committed: Committed, entry: FileEntry) -> pq.ParquetFile:
    """A table of a stage.

    Raises:
        DatasetError: it is not the one that was committed.
    """
    try:
        data = committed.store.map(entry)
    except FileNotFoundError as error:
        raise DatasetError(f"{committed.store.where}/{entry.path} is missing: build it again") from error
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise DatasetError(f"{committed.store.where}/{entry.path} is damaged: copy it again, or build it again")
    return pq.ParquetFile(pa.BufferReader(pa.py_buffer(data)))


def _png(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """A picture's file, without loss; pixels uint8 (S, S, C)."""
    file = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}
