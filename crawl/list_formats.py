"""Tables of any of the formats lists of URLs come in, read row by row in bounded memory.

Every reader takes a binary file and yields one mapping per row, or a `BadRow`; what makes the whole file useless is a
`ListError`.

Source: RFC 4180 (CSV), RFC 8259 (JSON), https://jsonlines.org.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from crawl.list_text import MAX_ROW_BYTES, JsonText, ListError, lines_of, no_number

Row = Mapping[str, Any]

MAX_COLUMNS_CHARS = 2**28
"""Characters of a JSON file that holds one object of columns; it must be in memory as a whole."""

_BATCH_ROWS = 1_000


class BadRow(NamedTuple):
    """A row that is not one: a snake_case reason, and what stands there."""

    reason: str
    text: str


def rows_of_text(file: BinaryIO, columns: Sequence[str], name: str) -> Iterator[Row | BadRow]:
    """Yield each line that is not blank, as the first of the columns.

    Raises:
        ListError: there is more than one column to read, or the text is not UTF-8.
    """
    if len(columns) > 1:
        raise ListError(f"{name}: a list of plain text has one URL a line and no column {columns[1]!r}; leave it out")
    for line in lines_of(file, name):
        for text in line.split("\r"):
            if text.strip():
                yield {columns[0]: text.strip()}


def rows_of_csv(file: BinaryIO, columns: Sequence[str], name: str, delimiter: str) -> Iterator[Row | BadRow]:
    """Yield the columns of each row below the header; rows that are blank do not count.

    Raises:
        ListError: a column is missing or there twice, a quoted field does not end, or the text is not UTF-8.
    """
    reader = csv.reader(lines_of(file, name), delimiter=delimiter, strict=True)
    rows = _csv_rows(reader, name)
    header = next(rows, None)
    if header is None:
        raise ListError(f"{name} is empty; its first row must name the columns")
    if isinstance(header, BadRow):
        raise ListError(f"{name}: the header cannot be read: {header.text}")
    _check_columns(columns, header, name)
    places = [header.index(column) for column in columns]
    for row in rows:
        if isinstance(row, BadRow):
            yield row
        elif len(row) != len(header):
            yield BadRow("wrong_number_of_columns", delimiter.join(row))
        else:
            yield {column: row[place] for column, place in zip(columns, places, strict=True)}


def rows_of_json_lines(file: BinaryIO, columns: Sequence[str], name: str) -> Iterator[Row | BadRow]:
    """Yield the columns of each line's object, None where it lacks one; blank lines do not count.

    Raises:
        ListError: no object has one of the columns, or the text is not UTF-8.
    """
    return _rows_of_objects((_json_line(line) for line in lines_of(file, name) if line.strip()), columns, name)


def rows_of_json(file: BinaryIO, columns: Sequence[str], name: str) -> Iterator[Row | BadRow]:
    """Yield the columns of each object of an array, or row by row those of one object of columns.

    A column is an array of values, or an object from row to value.

    Raises:
        ListError: no object has one of the columns, or the text is neither of these.
    """
    text = JsonText(file, name)
    if text.skip("["):
        return _rows_of_objects(_array_items(text), columns, name)
    table = text.value(MAX_COLUMNS_CHARS)
    if text.next_character():
        raise ListError(f"{name} holds more than one JSON value; name a file of one object a line .jsonl")
    if not isinstance(table, dict):
        raise ListError(f"{name}: a JSON list is an array of objects, or an object of columns")
    return _rows_of_columns(table, columns, name)


def rows_of_parquet(file: BinaryIO, columns: Sequence[str], name: str) -> Iterator[Row | BadRow]:
    """Yield the columns of each row; no other column is read.

    Raises:
        ListError: a column is missing or there twice, or the file is damaged.
    """
    try:
        table = pq.ParquetFile(file, buffer_size=2**20, pre_buffer=False, page_checksum_verification=True)
        _check_columns(columns, table.schema_arrow.names, name)
        for batch in table.iter_batches(_BATCH_ROWS, columns=list(columns)):
            yield from _without_nanoseconds(batch).to_pylist()
    except ListError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ListError(f"{name} cannot be read as Parquet: {_one_line(error)}") from error


def _without_nanoseconds(batch: pa.RecordBatch) -> pa.Table:
    """Return the batch with its times cut to microseconds, all that Python's own times can say."""
    table = pa.Table.from_batches([batch])
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            cut = table.column(place).cast(pa.timestamp("us", field.type.tz), safe=False)
            table = table.set_column(place, field.name, cut)
    return table


def _check_columns(columns: Sequence[str], there: Sequence[str], name: str) -> None:
    for column in columns:
        if there.count(column) > 1:
            raise ListError(f"{name} has {there.count(column)} columns {column!r}; give each its own name")
        if column not in there:
            known = ", ".join(there)
            raise ListError(f"{name} has no column {column!r}; it has: {known[:500]}")


def _csv_rows(reader: Any, name: str) -> Iterator[list[str] | BadRow]:  # noqa: ANN401 - the type has no public name
    """Yield rows that are not blank; one with stray quotes is bad, and the next line begins anew.

    Raises:
        ListError: stray quotes swallowed more than one line.
    """
    while True:
        line = reader.line_num
        try:
            row = next(reader, None)
        except csv.Error as error:
            if reader.line_num > line + 1:
                raise ListError(f"{name}, line {line + 1}: a quoted field does not end: {error}") from error
            yield BadRow("bad_csv", f"line {line + 1}: {error}")
            continue
        if row is None:
            return
        if row:
            yield row


def _json_line(line: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(line, parse_constant=no_number)
    except (ValueError, RecursionError):
        return BadRow("bad_json", line.strip())


def _rows_of_objects(values: Iterator[Any], columns: Sequence[str], name: str) -> Iterator[Row | BadRow]:
    seen: dict[str, None] = {}
    has_rows = False
    for value in values:
        if isinstance(value, dict):
            has_rows = True
            if len(seen) < _BATCH_ROWS:
                seen.update(dict.fromkeys(value))
            else:
                seen.update(dict.fromkeys(column for column in columns if column in value))
            yield {column: value.get(column) for column in columns}
        else:
            yield value if isinstance(value, BadRow) else BadRow("not_an_object", json.dumps(value))
    if has_rows:
        _check_columns(columns, list(seen), name)


def _rows_of_columns(table: dict[str, Any], columns: Sequence[str], name: str) -> Iterator[Row]:
    _check_columns(columns, list(table), name)
    keys = _keys(table[columns[0]], columns[0], name)
    for column in columns:
        if _keys(table[column], column, name) != keys:
            raise ListError(f"{name}: columns {columns[0]!r} and {column!r} have not the same rows")
    return ({column: table[column][key] for column in columns} for key in keys)


def _keys(values: Any, column: str, name: str) -> list[Any]:  # noqa: ANN401 - any JSON value
    if isinstance(values, dict):
        return list(values)
    if isinstance(values, list):
        return list(range(len(values)))
    raise ListError(f"{name}: column {column!r} is no array; a JSON list is an array of objects, or one of columns")


def _array_items(text: "JsonText") -> Iterator[Any]:
    """Yield the items of an array whose bracket was skipped."""
    if not text.skip("]"):
        yield text.value(MAX_ROW_BYTES)
        while text.skip(","):
            yield text.value(MAX_ROW_BYTES)
        text.expect("]")
    text.expect("")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
