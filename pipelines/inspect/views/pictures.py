"""Pictures: the clean ones that samples are made of, before any noise."""

from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from pipelines.inspect.catalogue import Filter, has_words, hosts_of, picture_facts
from pipelines.inspect.charts import counted
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.sources import Source, Trouble

ON_A_PAGE = 36
NUM_OFFERED = 40
COLUMNS = ("key", "url", "caption", "licence", "split", "original_width", "original_height")


@dataclass(frozen=True)
class Pictures:
    """A page of clean pictures: rows of their table; the rest as for triplets."""

    wanted: Filter
    licences: list[str]
    hosts: list[str]
    rows: list[dict[str, Any]]
    first: int
    total: int
    before: int | None
    after: int | None
    troubles: list[Trouble]


def pictures(source: Source, query: Query) -> Pictures:
    """A page of the clean pictures that a filter lets through.

    Raises:
        QueryError: there are none, or a parameter is impossible.
    """
    state = source.stage("images")
    if state is None:
        raise QueryError("no pictures were cleaned here")
    columns = source.columns(state, "images-", COLUMNS)
    wanted = Filter(query.text("licence"), query.text("host").lower(), query.text("word"))
    table = columns.table
    if wanted.licence:
        table = table.filter(pc.equal(table["licence"], wanted.licence))
    if wanted.host:
        table = table.filter(pc.equal(hosts_of(table["url"]), wanted.host))
    if wanted.word:
        table = table.filter(has_words(table["caption"], wanted.word))
    first = query.whole("first", 0, 0, max(1, len(table)))
    last = first + ON_A_PAGE
    facts = picture_facts(source, state)
    return Pictures(
        wanted,
        [bar.value for bar in counted(facts.licences, most=NUM_OFFERED) if bar.value],
        [bar.value for bar in counted(facts.hosts, most=NUM_OFFERED) if bar.value],
        table.slice(first, ON_A_PAGE).to_pylist(),
        first,
        len(table),
        max(0, first - ON_A_PAGE) if first else None,
        last if last < len(table) else None,
        list(columns.troubles),
    )
