"""WARC files: written once, read by offset, and by other people's tools."""

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import given
from hypothesis import strategies as st

from crawl.records import LedgerRow, Visit
from crawl.warc import WarcError, read_payload, read_record, write_info, write_visit

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=latin1\r\nContent-Encoding: gzip\r\n"
    b"Transfer-Encoding: chunked\r\nX-Name: \xe4\r\n\r\n"
)


def _visit(
    path: str, payload: bytes, media_type: str = "text/html", home: str = "http://trees.example/", head: bytes = HEAD
) -> Visit:
    url = f"{home}{path}"
    row = LedgerRow(
        url=url,
        final_url=url,
        host="trees.example",
        kind="page",
        fate="kept",
        reason="",
        detail="",
        status=200,
        media_type=media_type,
        num_bytes=len(payload),
        sha256=hashlib.sha256(payload).hexdigest(),
        warc_file="",
        warc_offset=-1,
        fetched_at="2024-05-01T12:00:00Z",
        attempts=1,
        robots_rule="none",
        opt_out="none",
        depth=0,
    )
    return Visit(row=row, payload=payload, http_head=head, links=())


def _write(path: Path) -> list[int]:
    with path.open("wb") as file:
        return [
            write_info(file, path.name),
            write_visit(file, _visit("a", b"<p>oak" * 5_000)),
            write_visit(file, _visit("b", bytes(range(256)) * 300, "image/jpeg")),
            write_visit(file, _visit("c", b"")),
            write_visit(file, _visit("d", b"A\r\n\r\ncaption", "text/plain", "file:///trees/")),
        ]


def test_payloads_come_back_by_offset(tmp_path: Path):
    path = tmp_path / "crawl-0.warc.gz"
    offsets = _write(path)
    records = [read_record(path, offset) for offset in offsets[1:]]
    urls = [*(f"http://trees.example/{name}" for name in "abc"), "file:///trees/d"]
    assert [record.url for record in records] == urls
    assert [record.payload for record in records] == [
        b"<p>oak" * 5_000,
        bytes(range(256)) * 300,
        b"",
        b"A\r\n\r\ncaption",
    ]
    assert [record.charset for record in records] == ["latin1"] * 3 + [None]
    with path.open("rb") as file:
        assert read_payload(file, offsets[3]) == b""
        assert read_payload(file, offsets[1]) == b"<p>oak" * 5_000


def test_the_same_visits_give_the_same_bytes(tmp_path: Path):
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    first, second = tmp_path / "1" / "crawl-0.warc.gz", tmp_path / "2" / "crawl-0.warc.gz"
    assert _write(first) == _write(second)
    assert first.read_bytes() == second.read_bytes()


def test_warcio_gzip_and_fastwarc_accept_the_file(tmp_path: Path):
    path = tmp_path / "crawl-0.warc.gz"
    _write(path)
    check = [sys.executable, "-m", "warcio.cli", "check", "-v", str(path)]
    report = subprocess.run(check, capture_output=True, text=True, check=True).stdout
    assert report.count("digest pass") == 4
    subprocess.run(["gzip", "-t", str(path)], check=True)
    with path.open("rb") as file:
        payloads = [record.reader.read() for record in ArchiveIterator(file, verify_digests=True)]
    assert payloads == [b"<p>oak" * 5_000, bytes(range(256)) * 300, b"", b"A\r\n\r\ncaption"]


def test_headers_about_coding_are_kept_under_another_name(tmp_path: Path):
    path = tmp_path / "crawl-0.warc.gz"
    offset = _write(path)[1]
    report = subprocess.run(
        [sys.executable, "-m", "warcio.cli", "extract", "--headers", str(path), str(offset)],
        capture_output=True,
        check=True,
    ).stdout
    assert b"X-Crawl-Content-Encoding: gzip\r\nX-Crawl-Transfer-Encoding: chunked\r\n" in report
    assert b"\r\nContent-Length: 30000\r\n\r\n" in report


def test_records_that_are_not_whole_are_named(tmp_path: Path):
    path = tmp_path / "crawl-0.warc.gz"
    offsets = _write(path)
    with pytest.raises(WarcError, match=rf"crawl-0\.warc\.gz at offset {offsets[1] + 1}: .*; fetch it again"):
        read_record(path, offsets[1] + 1)
    with pytest.raises(WarcError, match="no record with an intact payload"):
        read_record(path, offsets[0])
    with pytest.raises(WarcError, match="the file ends inside a gzip member"):
        read_record(path, 10**9)
    data = bytearray(path.read_bytes())
    data[offsets[2] + 2_000] ^= 1
    with pytest.raises(WarcError, match="at offset"):
        read_record(io.BytesIO(bytes(data)), offsets[2])
    with pytest.raises(WarcError, match="the file ends inside a gzip member"):
        read_record(io.BytesIO(path.read_bytes()[: offsets[3] - 9]), offsets[2])


@given(st.binary(max_size=500), st.sampled_from(["text/html", "image/png"]))
def test_any_payload_makes_a_round_trip(payload: bytes, media_type: str):
    file = io.BytesIO()
    file.write(b"before")
    offset = write_visit(file, _visit("x", payload, media_type))
    assert offset == 6
    assert read_payload(file, offset) == payload


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@given(
    lines=st.lists(st.from_regex(rb"[A-Za-z-]{1,9}: [^\r\n]{0,9}", fullmatch=True), max_size=5),
    payload=st.binary(max_size=50),
    mixed=st.booleans(),
)
def test_any_head_leaves_the_payload_where_readers_look_for_it(
    end: bytes, lines: list[bytes], payload: bytes, mixed: bool
):
    file = io.BytesIO()
    head = end.join([b"HTTP/1.0 200 OK", *lines]) + (b"\r\n\r\n" if mixed else 2 * end)
    offset = write_visit(file, _visit("x", payload, head=head))
    assert read_payload(file, offset) == payload
    records = ArchiveIterator(io.BytesIO(file.getvalue()), parse_http=True)
    assert [record.reader.read() for record in records] == [payload]
