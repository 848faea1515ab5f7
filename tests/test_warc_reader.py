"""Web archives read whole and in parts, real ones and hostile ones: nothing lost, nothing doubled, nothing silent."""

import gc
import gzip
import io
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from hypothesis import given
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from crawl.archive_stream import ArchiveError, Place
from crawl.archived_answer import read_answer
from crawl.warc_reader import ArchiveRecord, Flaw, Span, scan
from tests.warc_samples import real_archives

WHOLE = (
    "sample-0000.warc.gz",
    "sample-0001.warc.gz",
    "block-sized-records.warc",
    "block-sized-records.warc.gz",
    "clueweb-quirk.warc.gz",
    "warcfile.warc",
    "warcfile.warc.gz",
    "example-digest.warc",
    "example-iana.org-chunked.warc",
    "example-resource.warc.gz",
    "example-wget-bad-target-uri.warc.gz",
    "example.warc",
    "example.warc.gz",
    "post-test.warc.gz",
    "whirlwind.warc",
    "whirlwind.warc.gz",
    "whirlwind.warc.wat.gz",
    "whirlwind.warc.wet",
)


@pytest.fixture(scope="module")
def samples() -> dict[str, bytes]:
    return real_archives()


def read_all(data: bytes) -> tuple[list[ArchiveRecord], list[Flaw]]:
    found = list(scan(io.BytesIO(data), 0, len(data)))
    assert isinstance(found[-1], Span)
    return [each for each in found if isinstance(each, ArchiveRecord)], [e for e in found if isinstance(e, Flaw)]


def read_in_parts(data: bytes, cuts: Sequence[int]) -> tuple[list[ArchiveRecord], list[Flaw], int]:
    """Records, flaws, and how many parts had to be read again since they did not join."""
    file, after, again = io.BytesIO(data), 0, 0
    everything: list[ArchiveRecord | Flaw | Span] = []
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        found = list(scan(file, start, end))
        span = found[-1]
        assert isinstance(span, Span)
        if start and span.first != after:
            found, again = list(scan(file, after, end, is_exact=True)), again + 1
            span = found[-1]
            assert isinstance(span, Span)
        everything += found[:-1]
        after = span.after
    assert after == len(data)
    return (
        [each for each in everything if isinstance(each, ArchiveRecord)],
        [each for each in everything if isinstance(each, Flaw)],
        again,
    )


def cuts_of(data: bytes) -> Iterator[int]:
    """64 places to cut at, the last bytes among them."""
    yield from (1 + number * (len(data) - 2) // 63 for number in range(64))


def response(url: str, body: bytes, headers: str = "Content-Type: text/html", more: str = "") -> bytes:
    block = f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + body
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2026-01-02T03:04:05Z\r\n{more}"
    return head.encode() + f"Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def archive_of(bodies: Sequence[bytes], level: int | None) -> bytes:
    records = [response(f"http://a.example/{number}", body) for number, body in enumerate(bodies)]
    return b"".join(record if level is None else gzip.compress(record, level, mtime=0) for record in records)


@pytest.mark.parametrize("name", WHOLE)
def test_real_archives_hold_what_other_readers_find(samples: dict[str, bytes], name: str):
    records, flaws = read_all(samples[name])
    expected = Counter(
        (record.rec_type, record.rec_headers.get_header("WARC-Target-URI") or "", record.length)
        for record in ArchiveIterator(io.BytesIO(samples[name]))
    )
    assert Counter((record.kind, record.url, record.num_bytes) for record in records) == expected
    assert flaws == []
    offsets = [record.stream_pos for record in FastIterator(io.BytesIO(samples[name]), parse_http=False)]
    assert [record.place.offset for record in records] == offsets


@pytest.mark.parametrize("name", WHOLE)
def test_cut_anywhere_nothing_is_lost_or_doubled(samples: dict[str, bytes], name: str):
    data = samples[name]
    whole = read_all(data)
    for cut in cuts_of(data):
        assert read_in_parts(data, [cut])[:2] == whole
    assert read_in_parts(data, sorted(set(cuts_of(data))))[:2] == whole


@pytest.mark.parametrize("level", [None, 0, 6])
@pytest.mark.parametrize("inner_level", [None, 0, 6])
def test_archives_within_archives_are_not_taken_apart(level: int | None, inner_level: int | None):
    inner = archive_of([bytes([65 + number]) * 700 for number in range(8)], inner_level)
    data = archive_of([b"first", inner, b"WARC/1.0\r\nWARC-Type: response\r\n" * 40, inner * 3, b"last"], level)
    whole = read_all(data)
    assert [record.url[-1] for record in whole[0]] == ["0", "1", "2", "3", "4"]
    assert whole[1] == []
    again = 0
    for cut in cuts_of(data):
        *found, repeated = read_in_parts(data, [cut])
        assert tuple(found) == whole
        again += repeated
    if (level, inner_level) in ((None, None), (0, 0), (0, 6)):
        assert again > 0, "some cuts fell where an inner record looks like an outer one"


@given(
    st.lists(st.binary(max_size=200) | st.just(archive_of([b"x"], None)) | st.just(archive_of([b"x"], 6)), max_size=6),
    st.sampled_from([None, 0, 6]),
    st.lists(st.integers(0, 2000), max_size=5),
)
def test_any_cuts_through_any_bodies(bodies: list[bytes], level: int | None, cuts: list[int]):
    data = archive_of([*bodies, b"last"], level)
    inside = sorted({cut % len(data) for cut in cuts} - {0})
    assert read_in_parts(data, inside)[:2] == read_all(data)


@pytest.mark.parametrize("level", [None, 6])
def test_what_stands_before_a_cut_off_record_is_read_and_the_record_counted(level: int | None):
    bodies = [bytes([65 + number]) * 300 for number in range(5)]
    data = archive_of(bodies, level)
    starts = [record.place.offset for record in read_all(data)[0]]
    for length in range(1, len(data) - 4, 7):
        records, flaws = read_all(data[:length])
        begun = [start for start in starts if start < length]
        assert [record.place.offset for record in records] == begun[: len(records)]
        assert len(records) + len(flaws) == len(begun) or length - begun[-1] < 12  # less than a record's first line
        assert len(records) >= len(begun) - 1


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (response("http://a.example/x", b"x").replace(b"Content-Length: ", b"Content-Length: 9"), "wrong_length"),
        (response("http://a.example/x", b"x").replace(b"Content-Length: ", b"Content-Length: -"), "bad_header"),
        (response("http://a.example/x", b"x").replace(b"Content-Length", b"Content-Width"), "bad_header"),
        (b"garbage between records\r\n\r\n", "wrong_length"),
    ],
)
def test_damage_in_a_plain_archive_costs_what_is_damaged_alone(damaged: bytes, reason: str):
    data = archive_of([b"first"], None) + damaged + response("http://a.example/last", b"last")
    records, flaws = read_all(data)
    assert records[-1].url == "http://a.example/last"
    assert {flaw.reason for flaw in flaws} <= {reason, "bad_header", "wrong_length", "truncated_record"}
    assert flaws


def test_damage_in_a_gzipped_archive_costs_one_record():
    records = [gzip.compress(response(f"http://a.example/{number}", b"x" * 500), mtime=0) for number in range(4)]
    torn = bytearray(records[1])
    torn[len(torn) // 2] ^= 0xFF
    found, flaws = read_all(records[0] + bytes(torn) + records[2] + records[3])
    assert [record.url[-1] for record in found] == ["0", "2", "3"]
    assert [flaw.place.offset for flaw in flaws] == [len(records[0])]


def test_one_gzip_member_may_hold_many_records():
    bodies = [b"first", b"second" * 5000, b"third"]
    data = gzip.compress(archive_of(bodies, None), mtime=0)
    records, flaws = read_all(data)
    assert [record.place.offset for record in records] == [0, 0, 0]
    assert flaws == []
    answers = [read_answer(io.BytesIO(data), record.place, 10**6, gzipped=True).body for record in records]
    assert answers == bodies


def answer(data: bytes, max_bytes: int = 10**6) -> bytes | None:
    (record,) = read_all(data)[0]
    return read_answer(io.BytesIO(data), record.place, max_bytes, gzipped=data[:2] == b"\x1f\x8b").body


def test_codings_are_undone_whether_or_not_the_archive_kept_them():
    body = b"<p>An oak.</p>" * 20
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:100], body[100:])) + b"0\r\n\r\n"
    kept = "Content-Type: text/html\r\nTransfer-Encoding: chunked"
    assert answer(response("http://a.example/", chunked, kept)) == body
    assert answer(response("http://a.example/", body, kept)) == body
    coded = "Content-Type: text/html\r\nContent-Encoding: gzip"
    assert answer(response("http://a.example/", gzip.compress(body), coded)) == body
    assert answer(response("http://a.example/", body, coded)) == body


def test_limits_hold_before_and_after_decoding():
    coded = "Content-Encoding: gzip"
    for data in (
        response("http://a.example/", b"x" * 500_000),
        response("http://a.example/", gzip.compress(bytes(10**6)), coded),
    ):
        with pytest.raises(ArchiveError) as error:
            answer(data, 100_000)
        assert error.value.reason == "too_many_bytes"


def test_a_bomb_is_not_taken_for_a_body_that_is_stored_decoded():
    with pytest.raises(ArchiveError) as error:
        answer(response("http://a.example/", gzip.compress(bytes(5 * 10**6)), "Content-Encoding: gzip"), 10**7)
    assert error.value.reason == "expands_too_much"


@pytest.mark.filterwarnings("ignore")  # of warcio's writer, which leaves its files to be closed by chance
@pytest.mark.parametrize("gzipped", [False, True])
def test_records_of_another_writer_pass_their_digests_and_torn_ones_do_not(gzipped: bool):
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=gzipped)
    headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
    record = writer.create_warc_record(
        "http://a.example/", "response", payload=io.BytesIO(b"An oak."), http_headers=headers
    )
    writer.write_record(record)
    del writer, record
    gc.collect()
    assert answer(file.getvalue()) == b"An oak."
    if not gzipped:
        with pytest.raises(ArchiveError) as error:
            answer(file.getvalue().replace(b"An oak.", b"An elm."))
        assert error.value.reason == "digest_mismatch"


def test_arc_files_are_read(samples: dict[str, bytes]):
    for name in ("example.arc", "example.arc.gz"):
        records, flaws = read_all(samples[name])
        assert [(record.kind, record.url) for record in records][1:] == [("response", "http://example.com/")]
        assert records[1].date == "2014-02-16T05:02:21Z"
        assert flaws == []
        found = read_answer(io.BytesIO(samples[name]), records[1].place, 10**6, gzipped=name.endswith("gz"))
        assert found.status == 200
        assert found.body is not None
        assert b"Example Domain" in found.body


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"not an archive\n" * 50, b"\x1f\x8b\x08" + bytes(50), b"WARC/1.0\r\n"]
)
def test_what_is_no_archive_has_no_records(data: bytes):
    records, flaws = read_all(data)
    assert records == []
    assert bool(flaws) == bool(data)


@given(st.binary(max_size=3000))
def test_any_bytes_are_read_to_their_end(data: bytes):
    read_all(data)
    with pytest.raises(ArchiveError):
        read_answer(io.BytesIO(b"x" + data), Place(0), 1000, gzipped=False)
