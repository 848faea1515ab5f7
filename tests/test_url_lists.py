"""Lists of URLs: every format read alike, what is no URL counted, and what cannot be read told in one line."""

import csv
import datetime
import functools
import gzip
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.damage import Damage
from crawl.list_text import MAX_ROW_BYTES, ListError
from crawl.settings import FetchSettings
from crawl.stored_file import open_stored
from crawl.url_lists import (
    ENDINGS,
    ListedUrl,
    ListSettings,
    read_url_list,
)
from tests.file_server import serve_files

MD5 = hashlib.md5(b"oak").hexdigest()
ROWS = [
    {"link": "HTTP://trees.example:80/Oak 1.jpg#x", "alt": "An old\n oak", "hash": MD5.upper(), "width": "640"},
    {"link": "https://trees.example/elm", "alt": 'said "elm", twice', "hash": "", "width": "007"},
    {"link": "ftp://trees.example/ash", "alt": "ash", "hash": "", "width": "1"},
    {"link": "", "alt": "none", "hash": "", "width": "2"},
    {"link": "http://trees.example/beech", "alt": "", "hash": "12", "width": ""},
]
SETTINGS = ListSettings("link", "alt", "hash", "md5", ("width",))
OPEN = functools.partial(open_stored, settings=FetchSettings(contact="x", allow_hosts=("127.0.0.1",), delay_s=0))
FOUND = [
    ListedUrl("http://trees.example/Oak%201.jpg", "An old oak", '{"width": "640"}', f"md5:{MD5}", 1),
    ListedUrl("https://trees.example/elm", 'said "elm", twice', '{"width": "007"}', "", 2),
    ("bad_url", 3, "ftp://trees.example/ash"),
    ("no_url", 4, ""),
    ("bad_hash", 5, "12"),
]


def _separated(rows: list[dict[str, Any]], delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=2)
    return file.getvalue()


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n\n".join(json.dumps(row) for row in rows).encode()


FORMATS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "csv": functools.partial(_separated, delimiter=","),
    "tsv": functools.partial(_separated, delimiter="\t"),
    "json": lambda rows: json.dumps(rows, indent=1).encode(),
    "jsonl": _lines,
    "parquet": _parquet,
}


def _read(path: Path, settings: ListSettings = SETTINGS) -> list[Any]:
    """Gives the rows, damage as (reason, row, text)."""
    found = []
    for item in read_url_list(str(path), settings, OPEN):
        assert not isinstance(item, Damage) or item.source == str(path)
        found.append((item.reason, item.row, item.text) if isinstance(item, Damage) else item)
    return found


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_brings_the_same_rows(tmp_path: Path, ending: str):
    data = FORMATS[ending](ROWS)
    assert _read(_write(tmp_path, f"list.{ending}", data)) == FOUND
    if ending != "parquet":
        assert _read(_write(tmp_path, f"list.{ending}.gz", data)) == FOUND
        assert _read(_write(tmp_path, f"MARKED.{ending.upper()}", b"\xef\xbb\xbf" + data)) == FOUND


def test_plain_text_has_one_url_a_line(tmp_path: Path):
    text = b"\xef\xbb\xbfhttp://trees.example/a\r\n\n  http://trees.example/b,c \nno url\rhttp://trees.example/d"
    for name in ("list.txt", "list.txt.gz"):
        assert _read(_write(tmp_path, name, text), ListSettings()) == [
            ListedUrl("http://trees.example/a", "", "{}", "", 1),
            ListedUrl("http://trees.example/b,c", "", "{}", "", 2),
            ("bad_url", 3, "no url"),
            ListedUrl("http://trees.example/d", "", "{}", "", 4),
        ]


@pytest.mark.parametrize("as_rows", [list, lambda values: {str(place): value for place, value in enumerate(values)}])
def test_json_may_be_an_object_of_columns(tmp_path: Path, as_rows: Any):
    columns = {name: as_rows([row[name] for row in ROWS]) for name in ROWS[0]}
    assert _read(_write(tmp_path, "list.json", json.dumps(columns).encode())) == FOUND


def test_columns_carried_along_keep_their_types(tmp_path: Path):
    values = {"none": None, "n": 7, "x": 0.5, "yes": True, "list": [{"a": "é"}], "text": "\u2028"}
    expected = '{"list": [{"a": "é"}], "n": 7, "none": null, "text": "\u2028", "x": 0.5, "yes": true}'
    settings = ListSettings(extra_columns=tuple(values))
    for ending in ("json", "jsonl", "parquet"):
        path = _write(tmp_path, f"list.{ending}", FORMATS[ending]([{"url": "http://trees.example/", **values}]))
        assert [item.extra for item in _read(path, settings)] == [expected]


def test_what_json_cannot_say_is_written_in_words(tmp_path: Path):
    values = {
        "bytes": b"\x00\xff",
        "nan": float("nan"),
        "time": pa.scalar(1_700_000_000_123_456_789, pa.timestamp("ns")),
        "day": datetime.date(2024, 5, 1),
        "span": datetime.timedelta(seconds=1.5),
        "price": Decimal("1.10"),
    }
    table = pa.table({"url": ["http://trees.example/"], **{name: pa.array([value]) for name, value in values.items()}})
    pq.write_table(table, tmp_path / "list.parquet")
    (row,) = _read(tmp_path / "list.parquet", ListSettings(extra_columns=tuple(values)))
    assert json.loads(row.extra) == {
        "bytes": "AP8=",
        "nan": None,
        "time": "2023-11-14T22:13:20.123456",
        "day": "2024-05-01",
        "span": 1.5,
        "price": "1.10",
    }
    (row,) = _read(
        _write(tmp_path, "list.jsonl", b'{"url": "http://a/", "x": NaN, "alt": "\\ud800"}'),
        ListSettings(caption_column="alt", extra_columns=("x", "alt")),
    )
    assert (row.caption, row.extra) == ("\ufffd", '{"alt": "\ufffd", "x": null}')


def test_hashes_may_be_bytes(tmp_path: Path):
    digest = hashlib.sha256(b"oak").digest()
    pq.write_table(pa.table({"url": ["http://a/"], "h": pa.array([digest])}), tmp_path / "list.parquet")
    (row,) = _read(tmp_path / "list.parquet", ListSettings(hash_column="h"))
    assert row.expected_hash == f"sha256:{digest.hex()}"


@pytest.mark.parametrize("ending", FORMATS)
def test_a_missing_column_is_told_with_those_there_are(tmp_path: Path, ending: str):
    path = _write(tmp_path, f"list.{ending}", FORMATS[ending](ROWS))
    with pytest.raises(ListError, match=r"has no column 'caption'; it has: link, alt, hash, width"):
        _read(path, ListSettings("link", "caption"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("list.xlsx", b"", r"shows in its ending: one of \.txt, \.csv"),
        ("list.parquet.gz", b"", "shows in its ending"),
        ("list.csv", b"", "is empty"),
        ("list.csv", b"url,url\na,b\n", "has 2 columns 'url'"),
        ("list.csv", b"url\nhttp://a/\nhttp://\xe4/\n", "line 3: byte 0xe4 is not UTF-8; save the list as UTF-8"),
        ("list.txt", "http://a/".encode("utf-16"), "line 1: byte 0xff is not UTF-8"),
        ("list.txt", b"x" * (MAX_ROW_BYTES + 1), "line 1: longer than"),
        ("list.csv", b'url,b\nhttp://a/,"x\nhttp://b/,y\nhttp://c/,z', "line 2: a quoted field does not end"),
        ("list.json", b'[{"url": "http://a/"},\n{"url":', "line 2: no JSON value"),
        ("list.json", b'[{"url": "http://a/"}', r"line 1: '\]' should come here; is the file cut off\?"),
        ("list.json", b'[{"url": "http://a/"}] x', "'the end' should come here"),
        ("list.json", b'[{"url": "http://a/"},\n"\xe4"]', "line 2: byte 0xe4 is not UTF-8"),
        ("list.json", b'{"url": "http://a/"}\n{"url": "http://b/"}', r"name a file of one object a line \.jsonl"),
        ("list.json", b'{"url": "http://a/"}', "column 'url' is no array"),
        ("list.json", b'"http://a/"', "an array of objects, or an object of columns"),
        ("list.json", b"[" * 100_000, "no JSON value"),
        ("list.parquet", b"PAR1junk", "cannot be read as Parquet"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_clear_error(tmp_path: Path, name: str, data: bytes, message: str):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ListError, match=message) as caught:
        _read(tmp_path / name, ListSettings())
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_gzip_or_cut_off_is_told(tmp_path: Path):
    (tmp_path / "list.txt.gz").write_bytes(b"http://a/\n")
    with pytest.raises(ListError, match="no whole gzip, as its name says"):
        _read(tmp_path / "list.txt.gz", ListSettings())
    (tmp_path / "list.txt.gz").write_bytes(gzip.compress(b"http://a/\n" * 1_000)[:-12])
    with pytest.raises(ListError, match="no whole gzip"):
        _read(tmp_path / "list.txt.gz", ListSettings())


def test_plain_text_has_no_other_columns(tmp_path: Path):
    with pytest.raises(ListError, match="no column 'alt'; leave it out"):
        _read(_write(tmp_path, "list.txt", b"http://a/"), ListSettings(caption_column="alt"))


def test_a_broken_row_does_not_harm_the_others(tmp_path: Path):
    text = b'url,alt\nhttp://a/,b\nhttp://b/\nhttp://c/,"x"y\n\nhttp://d/,z\n'
    assert [row[0] for row in _read(_write(tmp_path, "list.csv", text), ListSettings())] == [
        "http://a/",
        "wrong_number_of_columns",
        "bad_csv",
        "http://d/",
    ]
    text = b'{"url": "http://a/"}\n{"url": \n[1]\n' + b"[" * 5_000 + b'\n{"url": "http://b/"}'
    assert [row[0] for row in _read(_write(tmp_path, "list.jsonl", text), ListSettings())] == [
        "http://a/",
        "bad_json",
        "not_an_object",
        "bad_json",
        "http://b/",
    ]


def test_an_item_as_long_as_it_may_be_comes_whole(tmp_path: Path):
    rows = [{"url": f"http://a/{number}", "alt": "x" * 100_000} for number in range(20)] + [{"url": "http://b/"}]
    path = _write(tmp_path, "list.json", json.dumps(rows).encode())
    assert [len(row.caption) for row in _read(path, ListSettings(caption_column="alt"))] == [100_000] * 20 + [0]
    with pytest.raises(ListError, match=f"no JSON value of at most {MAX_ROW_BYTES} characters"):
        _read(_write(tmp_path, "list.json", json.dumps(["x" * 4 * MAX_ROW_BYTES]).encode()), ListSettings())


def test_only_the_wanted_columns_of_parquet_are_read(tmp_path: Path):
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": ["http://a/"], "big": pa.array([bytes(1_000)])}), path)
    column = pq.read_metadata(path).row_group(0).column(1)
    data = bytearray(path.read_bytes())
    begin = column.dictionary_page_offset
    data[begin : begin + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    assert [row.url for row in _read(path, ListSettings())] == ["http://a/"]
    with pytest.raises(ListError, match="cannot be read as Parquet"):
        _read(path, ListSettings(extra_columns=("big",)))


def test_lists_are_read_from_other_stores(tmp_path: Path):
    for ending, write in FORMATS.items():
        _write(tmp_path, f"list.{ending}", write(ROWS))
        with serve_files(tmp_path) as server:
            listed = read_url_list(f"{server.url}/list.{ending}", SETTINGS, OPEN)
            found = [item for item in listed if isinstance(item, ListedUrl)]
            assert found == FOUND[:2], ending
            named = list(read_url_list(f"{server.url}/list.{ending}?part=1", SETTINGS, OPEN))
            assert [item for item in named if isinstance(item, ListedUrl)] == FOUND[:2], ending
    memory = fsspec.filesystem("memory")
    memory.pipe({f"/lists/{name}.txt": b"http://a/" for name in "ba"})
    assert [row.row for row in read_url_list("memory:///lists/a.txt", ListSettings(), OPEN)] == [1]
    memory.rm("/lists", recursive=True)


_VALUES = st.one_of(st.none(), st.text(max_size=30), st.sampled_from(["http://trees.example/oak", "https://a/é?x#y"]))


@given(st.lists(st.fixed_dictionaries({"url": _VALUES, "alt": _VALUES}), min_size=1, max_size=8))
def test_no_row_is_lost_and_every_format_agrees(rows: list[dict[str, str | None]]):
    settings = ListSettings(caption_column="alt", extra_columns=("alt",))
    expected = None
    with tempfile.TemporaryDirectory() as name:
        for ending in ("json", "jsonl", "parquet"):
            table = pa.Table.from_pylist(rows, pa.schema([("url", pa.string()), ("alt", pa.string())]))
            path = Path(name) / f"list.{ending}"
            if ending == "parquet":
                pq.write_table(table, path, row_group_size=3)
            else:
                path.write_bytes(FORMATS[ending](rows))
            found = _read(path, settings)
            assert len(found) == len(rows)
            assert [row.row if isinstance(row, ListedUrl) else row[1] for row in found] == list(range(1, len(rows) + 1))
            assert expected is None or found == expected
            expected = found


def _outcome(path: Path) -> list[Any] | str:
    try:
        return _read(path, ListSettings())
    except ListError as error:
        return str(error).replace(str(path), "LIST")


def _hostile() -> Iterator[bytes]:
    yield b"url"
    yield b'{"url":'
    yield b'[{"url": "http://a/"}, '
    yield b"url\n"


@given(st.sampled_from([*_hostile(), b""]), st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_rows_damage_or_one_clear_error(start: bytes, rest: bytes):
    with tempfile.TemporaryDirectory() as name:
        for ending in ENDINGS:
            path = Path(name) / f"list{ending}"
            path.write_bytes(start + rest)
            outcome = _outcome(path)
            assert isinstance(outcome, list) or "\n" not in outcome
            if ending.endswith(".gz"):
                plain = _outcome(Path(name) / f"list{ending}".removesuffix(".gz"))
                path.write_bytes(gzip.compress(start + rest))
                zipped = _outcome(path)
                assert zipped == plain


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_damaged_parquet_is_rows_or_one_clear_error(place: int, change: bytes):
    data = bytearray(_parquet([{"url": f"http://trees.example/{number}"} for number in range(5)]))
    place %= len(data)
    data[place : place + len(change)] = change
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "list.parquet"
        path.write_bytes(data)
        _outcome(path)
