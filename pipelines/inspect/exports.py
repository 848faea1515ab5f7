"""What a view lists, as a table to take along: CSV, or Parquet with the columns of the build."""

import io
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from pipelines.errors import StageError
from pipelines.inspect.catalogue import Filter, chosen_keys, hosts_of, learned_pictures, learned_scores
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.sources import Source, StageState

FORMATS = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}

PICTURE_COLUMNS = (
    "key", "url", "page_url", "caption", "licence", "licence_url", "author", "split", "cluster", "original_width",
    "original_height", "sha256", "warc_file", "warc_offset", "fetched_at", "robots_rule", "opt_out",
)  # fmt: skip
DOCUMENT_COLUMNS = (
    "key", "url", "title", "num_words", "language", "licence", "licence_url", "author", "split", "cluster", "sha256",
    "warc_file", "warc_offset", "fetched_at", "robots_rule", "opt_out",
)  # fmt: skip

_FORMULA = r"^[=+\-@\t\r]"
"""Begins of what a spreadsheet would compute. Source: OWASP, "CSV Injection"."""


def pictures(source: Source, query: Query) -> pa.Table:
    """The clean pictures that a filter lets through."""
    table = _whole(source, _stage(source, "images"), "images-", PICTURE_COLUMNS)
    for name in ("split", "licence"):
        if value := query.text(name):
            table = table.filter(pc.equal(table[name], value))
    if host := query.text("host"):
        table = table.filter(pc.equal(hosts_of(table["url"]), host.lower()))
    if word := query.text("word"):
        table = table.filter(pc.match_substring(table["caption"], word, ignore_case=True))
    return table


def triplets(source: Source, query: Query) -> pa.Table:
    """The clean pictures whose triplets stand in a split, as far as a filter lets them through."""
    state, scored = learned_pictures(source), learned_scores(source)
    if state is None:
        raise QueryError("the tables of the pictures that these triplets were made from are not here")
    table = _whole(source, state, "images-", PICTURE_COLUMNS)
    if scored is not None:
        _whole(source, scored, "scores-", ("key",))
    wanted = Filter(query.text("licence"), query.text("host").lower(), query.text("word"))
    keys = chosen_keys(source, query.choice("split", source.splits("triplets")), wanted)
    return table.filter(pc.is_in(table["key"], value_set=pa.array(keys, pa.string())))


def documents(source: Source, query: Query) -> pa.Table:
    """The documents, without their texts."""
    return _whole(source, _stage(source, "text"), "documents-", DOCUMENT_COLUMNS)


def rejects(source: Source, query: Query) -> pa.Table:
    """What a stage turned away, for one reason or all."""
    stage = query.choice("stage", ("images", "score", "text", "crawl"))
    fate, _, reason = query.text("reason").partition(":")
    prefix, key = ("ledger-", "url") if stage == "crawl" else ("rejects-", "key")
    table = _whole(source, _stage(source, stage), prefix, (key, "fate", "reason", "detail"))
    if not fate:
        return table.filter(pc.not_equal(table["fate"], "kept"))
    return table.filter(pc.and_(pc.equal(table["fate"], fate), pc.equal(table["reason"], reason)))


EXPORTS: Mapping[str, Callable[[Source, Query], pa.Table]] = {
    "pictures": pictures,
    "triplets": triplets,
    "documents": documents,
    "rejects": rejects,
}


def export(source: Source, query: Query) -> tuple[bytes, str, str]:
    """A table as bytes, with its media type and the name of its file.

    Raises:
        QueryError: there is no such table or format.
    """
    of, form = query.choice("of", tuple(EXPORTS)), query.choice("format", tuple(FORMATS))
    table = EXPORTS[of](source, query)
    sink = io.BytesIO()
    if form == "parquet":
        pq.write_table(table, sink, compression="zstd")
    else:
        pyarrow.csv.write_csv(harmless(table), sink)
    return sink.getvalue(), FORMATS[form], f"{of}.{form}"


def harmless(table: pa.Table) -> pa.Table:
    """A table whose texts no spreadsheet takes for formulas: such begin with an apostrophe."""
    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table[field.name]
            quoted = pc.binary_join_element_wise("'", column, "")
            table = table.set_column(
                number, field.name, pc.if_else(pc.match_substring_regex(column, _FORMULA), quoted, column)
            )
    return table


def _whole(source: Source, state: StageState, prefix: str, names: tuple[str, ...]) -> pa.Table:
    """Columns of all tables of a stage: nobody takes along a part for the whole.

    Raises:
        StageError: a table cannot be read.
    """
    columns = source.columns(state, prefix, names)
    for where, what in columns.troubles:
        raise StageError(f"{state.stage}: {where} {what}")
    return columns.table


def _stage(source: Source, name: str) -> StageState:
    state = source.stage(name)
    if state is None:
        raise QueryError(f"{name} was not built here")
    return state
