"""Lists of URLs with captions and other columns: txt, csv, tsv, json, jsonl and parquet, gzipped or not.

The inputs are those img2dataset takes. A value of csv and tsv stays the text it is; values of json, jsonl and parquet
keep their types.
"""

import base64
import gzip
import io
import json
import math
import posixpath
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO, Literal, NamedTuple, cast
from urllib.parse import urlsplit

from crawl.damage import Damage, damage
from crawl.list_formats import (
    BadRow,
    Row,
    rows_of_csv,
    rows_of_json,
    rows_of_json_lines,
    rows_of_parquet,
    rows_of_text,
)
from crawl.list_text import ListError
from crawl.urls import canonical_url

OpenFile = Callable[[str], AbstractContextManager[BinaryIO]]
"""Opens a file to be read, which can seek; see `crawl.stored_file.open_stored`."""

HashAlgorithm = Literal["md5", "sha1", "sha256", "sha512"]

FORMATS = ("txt", "csv", "tsv", "json", "jsonl", "parquet")
ENDINGS = tuple(f".{name}" for name in FORMATS) + tuple(f".{name}.gz" for name in FORMATS if name != "parquet")

_HEX_DIGITS: dict[str, int] = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


@dataclass(frozen=True, slots=True)
class ListSettings:
    """Which columns of a list mean what.

    Attributes:
        url_column: column of the URLs; a list of plain text has no names and no other column.
        caption_column: column of the captions, None where there is none.
        hash_column: column of what the payloads must hash to, in hexadecimal digits or bytes, None where there is none.
        hash_algorithm: what those hashes are.
        extra_columns: columns carried along.
    """

    url_column: str = "url"
    caption_column: str | None = None
    hash_column: str | None = None
    hash_algorithm: HashAlgorithm = "sha256"
    extra_columns: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read, that of the URLs first."""
        named = (self.url_column, self.caption_column, self.hash_column, *self.extra_columns)
        return tuple(dict.fromkeys(name for name in named if name is not None))


class ListedUrl(NamedTuple):
    """One row of a list.

    Attributes:
        url: canonical URL.
        caption: its caption, white space folded, "" where there is none.
        extra: JSON object of the columns carried along, keys sorted.
        expected_hash: such as "sha256:9f86…", "" where the list has none.
        row: which row of the file, the first being 1; blank lines and the header do not count.
    """

    url: str
    caption: str
    extra: str
    expected_hash: str
    row: int


def read_url_list(path: str, settings: ListSettings, open_file: OpenFile) -> Iterator[ListedUrl | Damage]:
    """Yield each row of a list, in order: its URL with all that stands beside it, or why there is none.

    Args:
        path: of the list; its ending says what it is: one of `ENDINGS`.
        settings: which columns mean what.
        open_file: opens it.

    Raises:
        ListError: the list cannot be read, or has not all the columns; the message says where and what would do.
        OSError: the file cannot be opened.
    """
    with _opened(path, open_file) as file:
        for number, row in enumerate(_rows(file, path, settings.columns), 1):
            yield _listed(row, number, path, settings)


def _format_of(path: str) -> tuple[str, bool]:
    """Return format and whether gzipped, by the ending.

    Raises:
        ListError: it is none we know.
    """
    name = posixpath.basename(urlsplit(path).path if "://" in path else path).lower()
    is_gzipped = name.endswith(".gz")
    ending = name.removesuffix(".gz").rpartition(".")[2]
    if ending not in FORMATS or (is_gzipped and ending == "parquet"):
        raise ListError(f"{path}: what kind of list it is shows in its ending: one of {', '.join(ENDINGS)}")
    return ending, is_gzipped


@contextmanager
def _opened(path: str, open_file: OpenFile) -> Iterator[BinaryIO]:
    """Give the file, its gzip undone.

    Raises:
        ListError: it is not gzip, though its name says so, or damaged.
    """
    ending, is_gzipped = _format_of(path)
    with open_file(path) as stored:
        # Files of fsspec have a readline that cannot be told where to stop; Parquet is read in large pieces anyway.
        file = stored if ending == "parquet" else cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, stored)))
        if not is_gzipped:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as plain:
                yield cast(BinaryIO, plain)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ListError(f"{path}: no whole gzip, as its name says: {error}") from error


def _rows(file: BinaryIO, path: str, columns: Sequence[str]) -> Iterator[Row | BadRow]:
    ending = _format_of(path)[0]
    if ending == "txt":
        return rows_of_text(file, columns, path)
    if ending == "json":
        return rows_of_json(file, columns, path)
    if ending == "jsonl":
        return rows_of_json_lines(file, columns, path)
    if ending == "parquet":
        return rows_of_parquet(file, columns, path)
    return rows_of_csv(file, columns, path, "\t" if ending == "tsv" else ",")


def _listed(row: Row | BadRow, number: int, path: str, settings: ListSettings) -> ListedUrl | Damage:
    if isinstance(row, BadRow):
        return damage(path, number, row.reason, row.text)
    written = _text(row[settings.url_column]).strip()
    if not written:
        return damage(path, number, "no_url", "")
    url = canonical_url(written)
    if url is None:
        return damage(path, number, "bad_url", written)
    expected = "" if settings.hash_column is None else _hash(row[settings.hash_column], settings.hash_algorithm)
    if expected is None:
        return damage(path, number, "bad_hash", _text(row[settings.hash_column or ""]))
    caption = "" if settings.caption_column is None else " ".join(_text(row[settings.caption_column]).split())
    try:
        extra = _json({name: row[name] for name in settings.extra_columns})
    except RecursionError:
        return damage(path, number, "nested_too_deep", written)
    return ListedUrl(url, _LONE_SURROGATE.sub("\ufffd", caption), extra, expected, number)


def _hash(value: Any, algorithm: str) -> str | None:  # noqa: ANN401 - whatever a column holds
    """Return a hash as in `ListedUrl`, None where it is none of this algorithm."""
    digits = value.hex() if isinstance(value, bytes) else _text(value).strip().lower()
    if not digits:
        return ""
    is_hex = re.fullmatch("[0-9a-f]+", digits) is not None
    return f"{algorithm}:{digits}" if is_hex and len(digits) == _HEX_DIGITS[algorithm] else None


def _text(value: Any) -> str:  # noqa: ANN401 - whatever a column holds
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    is_missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if is_missing else str(value)


def _json(values: Mapping[str, Any]) -> str:
    plain = {name: _plain(value) for name, value in values.items()}
    return _LONE_SURROGATE.sub("\ufffd", _encode(plain))


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    """Return a value as JSON can say it: bytes in base64, times as ISO 8601, spans in seconds, no NaN."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)
