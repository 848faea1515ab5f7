"""Search: by key or address, whole or in part, and by a word in captions, titles and texts."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.inspect.catalogue import has_words
from pipelines.inspect.columns import check_columns
from pipelines.inspect.places import find_sample
from pipelines.inspect.query import Query
from pipelines.inspect.sources import READING, Source, StageState, Trouble

MOST_FOUND = 40
"""Of each kind."""

MOST_LOOKED_AT = 100_000
"""Documents whose texts are looked through."""

HEXADECIMAL = ("key", "sha256")
"""Columns in which nothing but digits can be found."""

_HEX = re.compile(r"[0-9a-f]{6,64}(-k\d+-d\d+)?")


@dataclass(frozen=True)
class Hit:
    """Something that was found: what its item is called, and what there is to say of it."""

    name: str
    told: str
    where: str


@dataclass(frozen=True)
class Sample:
    """A sample that has the key searched for."""

    stage: str
    split: str
    key: str


@dataclass(frozen=True)
class Search:
    """What was found, by kind; without tables only the keys of samples are looked for."""

    q: str
    samples: list[Sample]
    kinds: dict[str, list[Hit]]
    troubles: list[Trouble]
    has_tables: bool = True

    @property
    def num_found(self) -> int:
        """Hits of all kinds."""
        return len(self.samples) + sum(map(len, self.kinds.values()))


def search(source: Source, query: Query) -> Search:
    """What a text is found in."""
    q = query.text("q").strip()
    if not q:
        return Search("", [], {}, [], _has_tables(source))
    troubles: list[Trouble] = []
    kinds = {
        "Pictures": list(_pictures(source, q, troubles)),
        "Documents": list(_documents(source, q, troubles)),
        "Addresses asked for": list(_addresses(source, q, troubles)),
    }
    samples = list(_samples(source, q)) if _HEX.fullmatch(q) else []
    return Search(q, samples, {title: hits for title, hits in kinds.items() if hits}, troubles, _has_tables(source))


def _has_tables(source: Source) -> bool:
    return any(source.stage(stage) is not None for stage in ("crawl", "images", "text"))


def _samples(source: Source, q: str) -> Iterator[Sample]:
    """The samples that have a key."""
    for stage, opened in (("triplets", source.triplets), ("windows", source.windows)):
        for split in source.splits(stage):
            try:
                dataset = opened(split)
                found = {find_sample(dataset, key) for key in (q, f"{q[:32]}-k1-d0")} - {None}
                yield from (Sample(stage, split, str(dataset[number]["key"])) for number in sorted(found))  # type: ignore[index, type-var]
            except READING:
                continue


def _pictures(source: Source, q: str, troubles: list[Trouble]) -> Iterator[Hit]:
    state = source.stage("images")
    if state is None:
        return
    columns = source.columns(state, "images-", ("key", "url", "caption"))
    troubles += columns.troubles
    for row in _first(columns.table, _kept_any(source, state, columns.table, q, ("key", "url", "caption"))):
        yield Hit(row["url"], row["caption"], row["key"])


def _documents(source: Source, q: str, troubles: list[Trouble]) -> Iterator[Hit]:
    """Documents, searched table by table until enough are found: texts are many."""
    state = source.stage("text")
    if state is None or state.manifest is None:
        return
    found = looked_at = 0
    sizes = {file.path: file.records for file in state.manifest.files}
    for name in state.tables("documents-"):
        if looked_at >= MOST_LOOKED_AT:
            told = f"the texts of the first {looked_at:,} documents were looked through, not those of the rest"
            troubles.append(Trouble("search", told))
            return
        looked_at += sizes[name]
        try:
            for row in _in_document_table(state, name, q, MOST_FOUND - found):
                found += 1
                yield row
        except READING as error:
            troubles.append(Trouble(name, f"cannot be read: {error}"))
        if found >= MOST_FOUND:
            return


def _in_document_table(state: StageState, name: str, q: str, most: int) -> Iterator[Hit]:
    with pq.ParquetFile(state.folder / name) as file:
        for batch in file.iter_batches(2_000, columns=["key", "url", "title", "text"]):
            table = pa.table(batch)
            check_columns(table)
            for row in _first(table, _any(table, q, ("key", "url", "title", "text")), most):
                most -= 1
                yield Hit(row["url"], row["title"] or around(row["text"], q), row["key"])
            if most <= 0:
                return


def around(text: str, q: str, width: int = 90) -> str:
    """A part of a text in which something stands, on one line.

    >>> around("The old oak stands.", "OAK", 4)
    '…old oak sta…'
    """
    place = max(0, text.casefold().find(q.casefold()))
    begin, end = max(0, place - width), place + len(q) + width
    return f"{'…' if begin else ''}{' '.join(text[begin:end].split())}{'…' if end < len(text) else ''}"


def _addresses(source: Source, q: str, troubles: list[Trouble]) -> Iterator[Hit]:
    state = source.stage("crawl")
    if state is None:
        return
    columns = source.columns(state, "ledger-", ("url", "kind", "fate", "reason", "sha256"))
    troubles += columns.troubles
    for row in _first(columns.table, _kept_any(source, state, columns.table, q, ("url", "sha256"))):
        why = f": {row['reason'].replace('_', ' ')}" if row["reason"] else ""
        yield Hit(row["url"], f"{row['kind']}, {row['fate']}{why}", "")


def _kept_any(source: Source, state: StageState, table: pa.Table, q: str, names: tuple[str, ...]) -> pa.ChunkedArray:
    """As `_any`, of columns that are kept in small letters: to look through those takes a tenth."""
    wanted, masks = q.lower(), []
    for name in (name for name in names if name not in HEXADECIMAL or _HEX.fullmatch(wanted)):
        column = source.kept.of((state.folder, "small", name), lambda name=name: pc.utf8_lower(table[name]))  # type: ignore[misc]
        masks.append(pc.match_substring(column, wanted))
    return functools.reduce(pc.or_, masks)


def _any(table: pa.Table, q: str, names: tuple[str, ...]) -> pa.ChunkedArray:
    mask = has_words(table[names[0]], q)
    for name in names[1:]:
        mask = pc.or_(mask, has_words(table[name], q))
    return mask


def _first(table: pa.Table, mask: pa.ChunkedArray, most: int = MOST_FOUND) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = table.filter(mask).slice(0, max(0, most)).to_pylist()
    return rows
