"""Common Crawl's index and files, played on loopback over real records."""

import functools
import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import given
from hypothesis import strategies as st

from crawl.api import ApiAnswer, request_bytes
from crawl.commoncrawl import CommonCrawlSettings, IndexedRecord, fetch_record, find_records
from crawl.damage import Damage
from crawl.http import FetchError
from crawl.ranges import request_range
from crawl.settings import FetchSettings
from crawl.urls import canonical_url
from tests.cdx_server import CRAWLS, CommonCrawl, Said, serve_common_crawl
from tests.warc_samples import real_archives

NAMES = (
    "sample-0000.warc.gz",
    "sample-0001.warc.gz",
    "clueweb-quirk.warc.gz",
    "warcfile.warc.gz",
    "post-test.warc.gz",
    "whirlwind.warc.gz",
)
FETCHING = FetchSettings(contact="gardener@trees.example", allow_hosts=("127.0.0.1",), delay_s=0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommonCrawl]:
    folder, samples = tmp_path_factory.mktemp("warc"), real_archives()
    for name in NAMES:
        (folder / name).write_bytes(samples[name])
    prefix = "crawl-data/CC-MAIN-2024-22/segments/1715971057216.39/warc"
    with serve_common_crawl({f"{prefix}/{name}": folder / name for name in NAMES}) as running:
        yield running


@pytest.fixture
def crawl(served: CommonCrawl) -> CommonCrawl:
    """The server as new, which is busy the first time it is asked for anything."""
    served.requests.clear()
    served.fault = lambda path, times: Said(503, b"slow down", {"Retry-After": "0"}) if times == 0 else None
    return served


def _settings(crawl: CommonCrawl, *urls: str, **changes: Any) -> CommonCrawlSettings:
    settings = CommonCrawlSettings(
        urls, crawls=(CRAWLS[1],), index=f"{crawl.url}/collinfo.json", data=f"{crawl.url}/data/"
    )
    return replace(settings, **changes)


def _find(settings: CommonCrawlSettings, fetching: FetchSettings = FETCHING) -> list[IndexedRecord]:
    found = list(find_records(settings, functools.partial(request_bytes, settings=fetching)))
    assert all(isinstance(item, IndexedRecord) for item in found)
    return [item for item in found if isinstance(item, IndexedRecord)]


def _fetch(record: IndexedRecord, settings: CommonCrawlSettings) -> bytes:
    return fetch_record(record, settings, functools.partial(request_range, settings=FETCHING))


def _wanted(crawl: CommonCrawl, **fields: str) -> list[str]:
    return [item["url"] for item in crawl.captures if fields.items() <= item.items()]


def test_every_page_of_a_domain_is_found_and_its_records_come_whole(crawl: CommonCrawl):
    for domain in ("wikipedia.org", "semanticscholar.org"):
        settings = _settings(crawl, domain, media_types=())
        records = _find(settings)
        expected = [item for item in crawl.captures if f"{domain}/" in item["url"] and item["status"] == "200"]
        assert [record.url for record in records] == [canonical_url(item["url"]) for item in expected]
        assert records
        for record, item in zip(records, expected, strict=True):
            member = _fetch(record, settings)
            file = crawl.files[record.filename]
            assert member == file[record.offset : record.offset + record.length]
            (read,) = ArchiveIterator(io.BytesIO(member))
            assert canonical_url(read.headers["WARC-Target-URI"].strip("<>")) == record.url
            assert (record.status, record.timestamp, record.digest) == (200, item["timestamp"], item["digest"])


def test_all_captures_are_listed_once_over_all_pages(crawl: CommonCrawl):
    settings = _settings(crawl, *{item["url"].split("/")[2].rpartition(".")[2] for item in crawl.captures})
    records = _find(replace(settings, media_types=()))
    assert sorted(record.url for record in records) == sorted(
        filter(None, map(canonical_url, _wanted(crawl, status="200")))
    )
    assert len({(record.filename, record.offset) for record in records}) == len(records) > 20
    assert any("page=3" in path for path in crawl.requests)


def test_media_type_status_and_language_are_filters(crawl: CommonCrawl):
    tops = {item["url"].split("/")[2].rpartition(".")[2] for item in crawl.captures}
    settings = _settings(crawl, *sorted(tops))
    for mime in {item["mime"] for item in crawl.captures}:
        found = _find(replace(settings, media_types=(mime,)))
        assert sorted(record.url for record in found) == sorted(
            filter(None, map(canonical_url, _wanted(crawl, status="200", mime=mime)))
        )
        assert {record.mime for record in found} <= {mime}
    assert _find(replace(settings, media_types=(), status=404)) == []
    german = _find(replace(settings, media_types=(), languages=("deu", "ita")))
    assert len(german) == len(_wanted(crawl, status="200", languages="eng,deu"))


def test_busy_servers_are_asked_again_and_nothing_twice(crawl: CommonCrawl):
    _find(_settings(crawl, "wikipedia.org"))
    asked = crawl.requests
    assert len(asked) == 6
    assert asked[::2] == asked[1::2]
    assert len(set(asked)) == 3


def test_the_pause_a_server_asks_for_is_kept(crawl: CommonCrawl):
    crawl.fault = lambda path, times: Said(429, b"", {"Retry-After": "1"}) if times == 0 else None
    settings = _settings(crawl, "wikipedia.org")
    record = IndexedRecord("http://a/", next(iter(crawl.files)), 0, 10, "", "", 200, "")
    began = time.monotonic()
    with pytest.raises(FetchError, match="bad_record"):
        _fetch(record, settings)
    assert 1 <= time.monotonic() - began < 3
    with pytest.raises(FetchError, match="retry_after_too_long") as caught:
        _find(settings, replace(FETCHING, max_delay_s=0.5))
    assert caught.value.reason == "retry_after_too_long"
    assert len(crawl.requests) == 3


def test_no_captures_are_no_error(crawl: CommonCrawl):
    assert _find(_settings(crawl, "trees.example")) == []
    assert _find(_settings(crawl, "wikipedia.org", crawls=())) == []  # the newest crawl has nothing
    assert any(CRAWLS[0] in path for path in crawl.requests)


def test_a_page_without_captures_does_not_end_the_search(crawl: CommonCrawl):
    said: list[int] = []

    def get(endpoint: str, params: Any, statuses: Any) -> ApiAnswer:
        answer = request_bytes(endpoint, params, statuses, FETCHING)
        said.extend([answer.status] if "page" in params else [])
        return answer

    found = list(find_records(_settings(crawl, "org", media_types=("application/json",)), get))
    assert len(found) == 3
    assert said == [404, 404, 200, 200]


def test_the_search_stops_where_it_is_told_to(crawl: CommonCrawl):
    assert len(_find(_settings(crawl, "com", media_types=(), max_records=3))) == 3
    assert not any("page=1" in path for path in crawl.requests)


def test_urls_may_be_exact_or_prefixes_or_hosts(crawl: CommonCrawl):
    url = "an.wikipedia.org/wiki/Escopete"
    for match, wanted, number in (
        ("exact", url, 1),
        ("prefix", "an.wikipedia.org/wiki/", 1),
        ("host", "an.wikipedia.org", 1),
        ("host", "wikipedia.org", 0),
    ):
        assert len(_find(_settings(crawl, wanted, match=match))) == number


def test_an_unknown_crawl_is_told_with_the_newest(crawl: CommonCrawl):
    with pytest.raises(
        FetchError, match=r"unknown_crawl: .* knows no crawl 'CC-MAIN-1999-01'; the newest are CC-MAIN-2024-26"
    ):
        _find(_settings(crawl, "wikipedia.org", crawls=("CC-MAIN-1999-01",)))


@pytest.mark.parametrize("changes", [{"data": "https://a.example/x"}, {"data": "s3://commoncrawl/"}, {"index": "x"}])
def test_addresses_that_lead_nowhere_are_refused(changes: dict[str, str]):
    with pytest.raises(ValueError, match="; give "):
        CommonCrawlSettings(("x",), **changes)  # type: ignore[arg-type]


def _capture(**changes: str) -> bytes:
    good = {
        "url": "http://trees.example/",
        "filename": "a/b.warc.gz",
        "offset": "1",
        "length": "2",
        "status": "200",
        "digest": "X",
        "mime": "text/html",
        "timestamp": "20240501120000",
    }
    return json.dumps({**good, **changes}).encode()


def _scripted(lines: bytes, crawls: bytes | None = None, pages: bytes = b'{"pages": 1}', status: int = 200) -> Any:
    def get(endpoint: str, params: Any, statuses: Any) -> ApiAnswer:
        del statuses
        if endpoint.endswith("collinfo.json"):
            return ApiAnswer(200, crawls or b'[{"id": "A", "cdx-api": "https://index.commoncrawl.org/A-index"}]')
        return ApiAnswer(200, pages) if "showNumPages" in params else ApiAnswer(status, lines)

    return get


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"<html>", "bad_json"),
        (b"[1]", "not_an_object"),
        (_capture(url="dns:trees.example"), "bad_url"),
        (_capture(filename="../../etc/passwd.gz"), "bad_reference"),
        (_capture(filename="//evil.example/a.gz"), "bad_reference"),
        (_capture(filename="a.gz?x"), "bad_reference"),
        (_capture(offset="-1"), "bad_reference"),
        (_capture(offset=""), "bad_reference"),
        (_capture(status="-"), "bad_reference"),
        (_capture(length="0"), "too_many_bytes"),
        (_capture(length="99999999999"), "too_many_bytes"),
    ],
)
def test_lines_that_tell_of_no_record_are_counted(line: bytes, reason: str):
    found = list(find_records(CommonCrawlSettings(("x",)), _scripted(_capture() + b"\n\n" + line + b"\n" + _capture())))
    assert [item.reason if isinstance(item, Damage) else item.url for item in found] == [
        "http://trees.example/",
        reason,
        "http://trees.example/",
    ]
    assert isinstance(found[1], Damage)
    assert (found[1].source, found[1].row) == ("https://index.commoncrawl.org/A-index?url=x&page=0", 3)


@pytest.mark.parametrize(
    ("get", "reason"),
    [
        (_scripted(b"<html>Not found</html>", status=404), "api_error"),
        (_scripted(b'{"message": "Page 9 invalid"}', status=400), "api_error"),
        (_scripted(b"", crawls=b"[]"), "bad_json"),
        (_scripted(b"", crawls=b"{}"), "bad_json"),
        (_scripted(b"", crawls=b"[" * 100_000), "bad_json"),
        (_scripted(b"", crawls=b'[{"id": "A", "cdx-api": "http://169.254.169.254/"}]'), "bad_json"),
        (_scripted(b"", pages=b'{"pages": "many"}'), "bad_json"),
    ],
)
def test_an_index_that_is_none_is_an_error(get: Any, reason: str):
    with pytest.raises(FetchError) as caught:
        list(find_records(CommonCrawlSettings(("x",)), get))
    assert caught.value.reason == reason


def test_older_servers_say_the_number_of_pages_alone():
    assert len(list(find_records(CommonCrawlSettings(("x",)), _scripted(_capture(), pages=b"2\n")))) == 2


@pytest.mark.parametrize(
    ("offset", "length", "reason"),
    [
        (0, -1, "bad_record"),  # one byte short
        (0, 1, "bad_record"),  # one byte of the next
        (1, 0, "bad_record"),
        (10**9, 0, "bad_range"),
    ],
)
def test_only_exactly_one_member_is_a_record(crawl: CommonCrawl, offset: int, length: int, reason: str):
    settings = _settings(crawl, "wikipedia.org")
    (record,) = _find(settings)
    moved = record._replace(offset=record.offset + offset, length=record.length + length)
    with pytest.raises(FetchError) as caught:
        _fetch(moved, settings)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said(200, b"oak"), "bad_range"),  # the whole file
        (Said(206, b"oak"), "bad_range"),
        (Said(206, b"oak", {"Content-Range": "bytes 1-3/9"}), "bad_range"),
        (Said(206, b"oak", {"Content-Range": "bytes 0-9/10"}), "incomplete_body"),
        (Said(206, b"oak" * 9, {"Content-Range": "bytes 0-9/10"}), "too_many_bytes"),
        (Said(302, b"", {"Location": "http://127.0.0.1/"}), "http_302"),
        (Said(404, b""), "http_404"),
        (Said(403, b""), "http_403"),
        (Said(503, b""), "http_503"),
    ],
)
def test_an_answer_that_is_not_the_range_is_refused(crawl: CommonCrawl, said: Said, reason: str):
    crawl.fault = lambda path, times: said
    with pytest.raises(FetchError) as caught:
        request_range(f"{crawl.url}/data/x", 0, 10, FETCHING)
    assert caught.value.reason == reason
    assert len(crawl.requests) == (3 if reason in ("incomplete_body", "http_503") else 1)


def test_ranges_are_not_asked_of_refused_addresses(crawl: CommonCrawl):
    with pytest.raises(FetchError, match="address_refused"):
        request_range(f"{crawl.url}/data/x", 0, 10, replace(FETCHING, allow_hosts=()))
    assert crawl.requests == []


@given(st.binary(max_size=200) | st.lists(st.sampled_from([_capture(), b"", b"x", b"{}"])).map(b"\n".join))
def test_any_answer_is_records_and_damage_line_by_line(lines: bytes):
    found = list(find_records(CommonCrawlSettings(("x",)), _scripted(lines)))
    assert len(found) == sum(1 for line in lines.splitlines() if line.strip())
