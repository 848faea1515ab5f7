"""Funnel: what was kept, rejected and failed in each stage; and the rejected pictures, texts or URLs themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from pipelines.drawn import GONE, draw
from pipelines.facts import Row
from pipelines.inspect.charts import Bar
from pipelines.inspect.columns import read_columns
from pipelines.inspect.query import Query
from pipelines.inspect.records import crawl_of, place_of
from pipelines.inspect.sources import READING, Source, StageState, Trouble
from shards.manifest import Counts

if TYPE_CHECKING:
    from pipelines.turned_away import Sample

ON_A_PAGE = 24
TEXTS_ON_A_PAGE = 6
NUM_OTHERS = 60
"""Documents shown beside what was turned away for what it is; then they come again."""

DUPLICATES = ("exact_duplicate", "same_text", "near_duplicate", "same_pixels")
"""Reasons whose detail begins with the URL or the key of the one that was kept."""

COLUMNS = ("key", "fate", "reason", "detail")


@dataclass(frozen=True)
class Reason:
    """Why records did not go on, and how many."""

    fate: str
    reason: str
    number: int


@dataclass(frozen=True)
class StageFunnel:
    """One stage: its counts, and the reasons from the commonest on."""

    stage: str
    counts: Counts
    reasons: list[Reason]


@dataclass(frozen=True)
class Funnel:
    """All stages; `widest` is what went into the one that most went into."""

    stages: list[StageFunnel]
    widest: int
    troubles: list[Trouble]


@dataclass(frozen=True)
class Away:
    """A record that did not go on.

    Attributes:
        url: its address, or its key.
        detail: what was seen.
        text: what it said, of a page that was cleaned.
        kept: what was kept in its place, or a document drawn to stand beside it.
        twin: key or address of the one that was kept in its place, "" for none.
        is_picture: whether it may be drawn.
    """

    url: str
    detail: str
    text: "Sample | None"
    kept: "Sample | None"
    twin: str
    is_picture: bool


@dataclass(frozen=True)
class Rejects:
    """A page of records that met one reason."""

    stage: str
    fate: str
    reason: str
    others: list[Reason]
    away: list[Away]
    first: int
    total: int
    before: int | None
    after: int | None
    troubles: list[Trouble]


def funnel(source: Source, query: Query) -> Funnel:
    """The funnel of all stages."""
    states, troubles = source.stages()
    stages = [
        StageFunnel(state.stage, state.manifest.counts, reasons_of(state.manifest.counts))
        for state in states
        if state.manifest
    ]
    return Funnel(stages, max((each.counts.records_in for each in stages), default=1) or 1, troubles)


def reasons_of(counts: Counts) -> list[Reason]:
    """The reasons of a stage, the commonest first: rejected, then failed."""
    fates = (("rejected", counts.rejected), ("failed", counts.failed))
    ordered = ((fate, sorted(each.items(), key=lambda item: (-item[1], item[0]))) for fate, each in fates)
    return [Reason(fate, reason, number) for fate, items in ordered for reason, number in items]


def fate_bars(counts: Counts) -> list[Bar]:
    """What was kept of a stage's input, and what became of the rest, the commonest first."""
    away = [Bar(f"{each.reason.replace('_', ' ')}{', failed' if each.fate == 'failed' else ''}", 0, each.number)
            for each in reasons_of(counts)]  # fmt: skip
    return [Bar("kept", counts.kept), *sorted(away, key=lambda bar: (-bar.away, bar.label))]


def rejects(source: Source, query: Query) -> Rejects:
    """A page of the records that a stage turned away for a reason.

    Raises:
        QueryError: there is no such stage or reason.
    """
    states, troubles = source.stages()
    known = [state for state in states if state.manifest]
    stage = query.choice("stage", [state.stage for state in known])
    state = next(each for each in known if each.stage == stage)
    assert state.manifest is not None
    reasons = reasons_of(state.manifest.counts)
    names = [f"{each.fate}:{each.reason}" for each in reasons]
    fate, _, reason = query.choice("reason", names).partition(":")
    total = sum(each.number for each in reasons if (each.fate, each.reason) == (fate, reason))
    count = TEXTS_ON_A_PAGE if stage == "text" else ON_A_PAGE
    first = query.whole("first", 0, 0, max(total, 1))
    rows = [] if reason == GONE else list(_rows(source, state, fate, reason, first, count, troubles))
    away = _texts(source, state, rows, first) if stage == "text" else [_away(stage, row) for row in rows]
    before, after = max(0, first - count) if first else None, first + count if first + count < total else None
    return Rejects(stage, fate, reason, reasons, away, first, total, before, after, troubles)


def _rows(
    source: Source, state: StageState, fate: str, reason: str, first: int, count: int, troubles: list[Trouble]
) -> Iterator[Row]:
    """Some of the rows that met a reason: reasons alone are read of the tables before them."""
    is_crawl = state.stage == "crawl"
    names = ("url", *COLUMNS[1:]) if is_crawl else COLUMNS
    for name in state.tables("ledger-" if is_crawl else "rejects-"):
        try:
            path = str(state.folder / name)
            held = source.kept.of((path, "fates"), lambda path=path: read_columns(path, ("fate", "reason")))  # type: ignore[misc]
            mask = pc.and_(pc.equal(held["fate"], fate), pc.equal(held["reason"], reason))
            here = pc.sum(mask).as_py() or 0
            if first < here and count:
                rows = read_columns(path, names).filter(mask).slice(first, count).to_pylist()
                count -= len(rows)
                yield from ({**row, "key": row.get("key", row.get("url"))} for row in rows)
            first = max(0, first - here)
        except READING as error:
            troubles.append(Trouble(name, f"cannot be read: {error}"))


def _away(stage: str, row: Row) -> Away:
    return Away(row["key"], row["detail"], None, None, twin_of(row), stage in ("images", "score"))


def _texts(source: Source, state: StageState, rows: list[Row], first: int) -> list[Away]:
    """Pages that were turned away, each beside the one kept in its place, or beside a document drawn by a hash."""
    from pipelines.turned_away import away_sample  # noqa: PLC0415 - a dataset alone is shown without the crawler

    assert state.manifest is not None
    crawl = crawl_of(source, state)
    named = _documents(source, state, "key", {twin_of(row) for row in rows if twin_of(row)})
    named |= _documents(source, state, "url", {twin_of(row) for row in rows if "://" in twin_of(row)})
    drawn = source.kept.of((state.folder, "drawn"), lambda: _drawn_keys(source, state))
    others = _documents(source, state, "key", {*drawn[first : first + len(rows)], *drawn[: len(rows)]})
    found = []
    for place, row in enumerate(rows):
        other = others.get(drawn[(first + place) % len(drawn)]) if drawn else None
        twin = twin_of(row)
        found.append(
            Away(
                row["key"],
                row["detail"],
                away_sample(place_of(source, crawl, row["key"]), row, state.manifest.configuration),
                named.get(twin, other),
                twin,
                False,
            )
        )
    return found


def _drawn_keys(source: Source, state: StageState) -> list[str]:
    keys = source.columns(state, "documents-", ("key",)).table["key"].to_pylist()
    return [row["key"] for row in draw(({"key": key} for key in keys), NUM_OTHERS)]


def _documents(source: Source, state: StageState, column: str, names: set[str]) -> "dict[str, Sample]":
    """Documents of some keys or URLs, by those."""
    from pipelines.turned_away import cut  # noqa: PLC0415

    columns = ("key", "url", "text", "num_words", "language")
    rows, _ = source.rows(state, "documents-", column, names, columns) if names else ([], [])
    return {row[column]: cut(row["url"], row["text"], f"{row['num_words']:,} words, {row['language']}") for row in rows}


def twin_of(row: Row) -> str:
    """The URL or the key of what was kept in the place of a duplicate, "" for what is none."""
    return str(row["detail"]).partition(",")[0] if row["reason"] in DUPLICATES else ""
