"""Item: every decision on one URL or key, from where it was found to the samples made of it; and what was stored."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow.compute as pc

from pipelines.errors import StageError
from pipelines.facts import Fact, Row
from pipelines.inspect.catalogue import hosts_of
from pipelines.inspect.places import find_sample, record_of
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.records import Record, read_page
from pipelines.inspect.sources import READING, Source, StageState, Trouble
from pipelines.inspect.views.funnel import COLUMNS, twin_of
from shards.triplet import PICTURE_KEY_LETTERS

MOST_IN_A_CLUSTER = 12
MOST_LOOKED_THROUGH = 5_000
"""Windows that are looked through for a document at once; of more, later."""

_KEY = re.compile(r"[0-9a-f]{32}(-k\d+-d\d+)?")
_WEB = re.compile(r"https?://[^\s,]+")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.\-]*:.*", re.IGNORECASE | re.DOTALL)
LICENCE = ("licence", "licence_url", "licence_method", "author")


class Told(NamedTuple):
    """A line of the story, its first address by itself, so that one can go there."""

    about: str
    before: str
    address: str
    behind: str


@dataclass(frozen=True)
class Twin:
    """A picture of the same near-duplicate cluster: one that was kept, by its key, or one turned away, by its URL."""

    key: str
    url: str
    told: str


@dataclass(frozen=True)
class Item:
    """What is known of a URL or key.

    Attributes:
        name: what was asked for.
        url: the address, "" where none is known.
        facts: the story, in the order in which it happened.
        picture: key of the clean picture made of it, "" for none.
        document: key of the document made of it, "" for none.
        is_picture: whether what was fetched may be drawn.
        split: of picture or document, "" for none.
        licences: what was found of its licence, and where.
        cluster: pictures like it.
        sample: its record, of a sample of a dataset that came without tables.
        has_windows_later: whether its windows are yet to be looked for.
        troubles: what could not be read.
    """

    name: str
    url: str
    facts: list[Told]
    picture: str
    document: str
    is_picture: bool
    split: str
    licences: list[tuple[str, str]]
    cluster: list[Twin]
    sample: dict[str, object]
    has_windows_later: bool
    troubles: list[Trouble]


@dataclass(frozen=True)
class Stored:
    """A record as it is stored, as text."""

    record: Record
    troubles: list[Trouble]


@dataclass(frozen=True)
class Forget:
    """The command that would forget something, and what it would touch."""

    kind: str
    value: str
    command: str
    counts: list[tuple[str, int]]
    troubles: list[Trouble]


def item(source: Source, query: Query) -> Item:
    """What is known of a URL or key.

    Raises:
        QueryError: it is neither.
    """
    name = query.text("name").strip()
    is_key = _KEY.fullmatch(name) is not None
    if not is_key and not _ADDRESS.fullmatch(name):
        raise QueryError(f"{name[:80]!r} is neither an address nor the key of a sample; write https://example.org/page")
    troubles: list[Trouble] = []
    facts = _story(source, name, is_key, troubles)
    picture, document = _kept_rows(source, name, is_key, troubles)
    row = picture or document or {}
    sample = {} if row or not is_key else _sample(source, name)
    if sample:  # the story knows of no dataset that came without tables
        facts = [fact for fact in facts if fact.about != "never met"]
    url = str(row.get("url", "")) or next((fact.said for fact in facts if fact.about in ("URL", "known as")), "")
    return Item(
        name,
        url,
        [_told(fact) for fact in facts],
        str(picture["key"]) if picture else "",
        str(document["key"]) if document else "",
        _is_picture(source, url),
        str(row.get("split", "")),
        [(field.replace("_", " "), str(row[field])) for field in LICENCE if row.get(field)],
        _cluster(source, picture) if picture else _instead(source, url),
        sample,
        document is not None and _num_windows(source) > MOST_LOOKED_THROUGH,
        troubles,
    )


def record(source: Source, query: Query) -> Stored:
    """What the crawl stored of a URL, as text.

    Raises:
        QueryError: nothing is stored of it, or it is damaged.
    """
    from crawl.warc import WarcError  # noqa: PLC0415 - a dataset alone is shown without the crawler

    try:
        return Stored(read_page(source, query.text("url")), [])
    except (StageError, WarcError, OSError) as error:
        raise QueryError(str(error)) from error


def forget(source: Source, query: Query) -> Forget:
    """The command that would forget what a URL, a host or a file's hash names; nothing is done.

    Raises:
        QueryError: nothing is named.
    """
    kind = query.choice("kind", ("url", "host", "sha256"))
    value = query.text("value").strip()
    if not value or "\n" in value or "\0" in value:
        raise QueryError(f"name the {kind} that is to be forgotten")
    command = shlex.join(["seedbed", "forget", str(source.out), f"--{kind}", value])
    troubles: list[Trouble] = []
    return Forget(kind, value, command, list(_touched(source, kind, value, troubles)), troubles)


def _touched(source: Source, kind: str, value: str, troubles: list[Trouble]) -> Iterator[tuple[str, int]]:
    """How many rows of each table name it."""
    for stage, prefix in (("crawl", "ledger-"), ("images", "images-"), ("text", "documents-")):
        state = source.stage(stage)
        if state is None:
            continue
        if kind == "host":
            columns = source.columns(state, prefix, ("url",))
            troubles += columns.troubles
            yield stage, pc.sum(pc.equal(hosts_of(columns.table["url"]), value.lower())).as_py() or 0
        else:
            rows, wrong = source.rows(state, prefix, kind, {value}, (kind,))
            troubles += wrong
            yield stage, len(rows)


def _story(source: Source, name: str, is_key: bool, troubles: list[Trouble]) -> list[Fact]:
    try:
        from pipelines.story import key_story, story  # noqa: PLC0415 - a dataset alone is shown without the crawler
        from pipelines.window_story import windows_told  # noqa: PLC0415

        told = key_story if is_key else story
        windows = windows_told if _num_windows(source) <= MOST_LOOKED_THROUGH else _left_out
        return list(told(source.out, name[:PICTURE_KEY_LETTERS] if is_key else name, windows=windows))
    except (StageError, *READING) as error:
        troubles.append(Trouble("story", str(error)))
    except TypeError as error:  # a story takes its tables as they are
        troubles.append(Trouble("story", f"a table is not what a build writes ({error}); build again"))
    return []


def document_windows(source: Source, query: Query) -> list[Fact]:
    """Which windows hold a document: all windows are looked through for it."""
    from pipelines.window_story import windows_told  # noqa: PLC0415

    return list(windows_told(source.out, query.text("key"), MOST_IN_A_CLUSTER))


def _num_windows(source: Source) -> int:
    state = source.stage("windows")
    return sum(state.manifest.splits.values()) if state and state.manifest else 0


def _left_out(*_: object) -> Iterator[Fact]:
    """Tells of no windows: they come later."""
    return iter(())


def _told(fact: Fact) -> Told:
    found = _WEB.search(fact.said) if fact.about in ("URL", "known as", "found on", "redirect", "instead") else None
    if found is None:
        return Told(fact.about, fact.said, "", "")
    return Told(fact.about, fact.said[: found.start()], found[0], fact.said[found.end() :])


def _kept_rows(source: Source, name: str, is_key: bool, troubles: list[Trouble]) -> tuple[Row | None, Row | None]:
    """The rows of the clean picture and of the document with a key or of a URL."""
    found: list[Row | None] = []
    column, value = ("key", name[:PICTURE_KEY_LETTERS]) if is_key else ("url", name)
    for stage, prefix, more in (("images", "images-", ("licence_method",)), ("text", "documents-", ())):
        state = source.stage(stage)
        names = ("key", "url", "split", "licence", "licence_url", "author", "cluster", *more)
        rows, wrong = source.rows(state, prefix, column, {value}, names) if state else ([], [])
        troubles += wrong
        found.append(rows[0] if rows else None)
    return found[0], found[1]


def _is_picture(source: Source, url: str) -> bool:
    """Whether a URL was asked for as a picture."""
    state = source.stage("crawl")
    rows, _ = source.rows(state, "ledger-", "url", {url}, ("url", "kind", "warc_offset")) if state and url else ([], [])
    return any(row["kind"] == "image" and row["warc_offset"] >= 0 for row in rows)


def _cluster(source: Source, picture: Row) -> list[Twin]:
    """Pictures of a picture's near-duplicate cluster: those kept too, and those turned away for it."""
    state = source.stage("images")
    assert state is not None
    rows, _ = source.rows(state, "images-", "cluster", {str(picture["cluster"])}, ("key", "url"))
    twins = [Twin(row["key"], row["url"], "kept too") for row in rows if row["key"] != picture["key"]]
    return (twins + _turned_away(source, state, str(picture["key"]), str(picture["url"])))[:MOST_IN_A_CLUSTER]


def _instead(source: Source, url: str) -> list[Twin]:
    """The picture that was kept in the place of one turned away as its like, and the others of its cluster."""
    state = source.stage("images")
    rows, _ = source.rows(state, "rejects-", "key", {url}, COLUMNS) if state and url else ([], [])
    name = next((twin_of(row) for row in rows if twin_of(row)), "")
    if not name:
        return []
    kept, _ = _kept_rows(source, name, _KEY.fullmatch(name) is not None, [])
    if kept is None:
        return []
    others = [twin for twin in _cluster(source, kept) if twin.url != url]
    return [Twin(str(kept["key"]), str(kept["url"]), "kept in its place"), *others]


def _turned_away(source: Source, state: StageState, key: str, url: str) -> list[Twin]:
    table = source.columns(state, "rejects-", ("key", "reason", "detail")).table
    if not len(table):
        return []
    named = pc.or_(pc.starts_with(table["detail"], key), pc.starts_with(table["detail"], url))
    rows = table.filter(named).slice(0, MOST_IN_A_CLUSTER).to_pylist()
    return [
        Twin("", row["key"], row["reason"].replace("_", " "))
        for row in rows
        if row["detail"].partition(",")[0] in (key, url)
    ]


def _sample(source: Source, key: str) -> dict[str, object]:
    """The record of a sample with a key, in any split of any dataset."""
    for stage, opened in (("triplets", source.triplets), ("windows", source.windows)):
        for split in source.splits(stage):
            try:
                dataset = opened(split)
                number = find_sample(dataset, key)
                if number is not None:
                    return record_of(dataset, number)
            except READING:
                continue
    return {}
