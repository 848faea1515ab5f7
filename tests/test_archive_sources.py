"""Web archives as sources of a crawl: what they hold is judged as answers are, by many workers, and nothing is lost."""

import gzip
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.build import build
from pipelines.errors import RecipeError, StageError
from pipelines.load_recipe import check_recipe
from pipelines.verify import print_faults
from tests.builds import manifest_of, table_rows
from tests.cdx_server import CommonCrawl, Said, serve_common_crawl
from tests.loopback import Site, pages, serve
from tests.test_list_sources import HOME, HOST, PICTURES
from tests.test_warc_reader import archive_of, response
from tests.warc_samples import real_archives

REAL = (
    *("sample-0000.warc.gz", "sample-0001.warc.gz", "warcfile.warc", "whirlwind.warc.gz", "example.arc.gz"),
    "clueweb-quirk.warc.gz",
)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, samples = tmp_path_factory.mktemp("archives"), real_archives()
    for name in REAL:
        (folder / name).write_bytes(samples[name])
    return folder


def crawl(
    out: Path,
    source: dict[str, Any],
    site: Site | None = None,
    workers: int = 1,
    settings: dict[str, Any] | None = None,
    **more: Any,
) -> None:
    settings = {"delay_s": 0, "response_time_multiple": 0, "allow_hosts": [HOST, "127.0.0.1"], **(settings or {})}
    if site is not None:
        settings["connect_to"] = {HOST: f"127.0.0.1:{site.port}"}
    data = {
        "name": "archived",
        "contact": "gardener@example.org",
        "crawl": {"sources": {"archive": source, **more}, **settings},
        "text": {"gopher_quality": {"min_words": 5}, "min_sentences": 1},
    }
    recipe = check_recipe(data, "archived.yaml")
    build(recipe, out, ("crawl", "text"), workers, Console(quiet=True))


def facts(out: Path) -> list[tuple[Any, ...]]:
    names = ("url", "kind", "fate", "reason", "sha256", "fetched_at", "robots_rule")
    return sorted(tuple(row[name] for name in names) for row in table_rows(out, "crawl", "ledger-"))


def test_real_archives_become_documents(archives: Path, tmp_path: Path):
    crawl(tmp_path, {"source": "warc", "files": [f"{archives}/*arc*"]})
    ledger = table_rows(tmp_path, "crawl", "ledger-")
    assert len({row["url"] for row in ledger}) == len(ledger) == manifest_of(tmp_path, "crawl").counts.records_in > 50
    assert {row["robots_rule"] for row in ledger} == {"not_asked"}
    fates = Counter(row["fate"] for row in ledger)
    assert fates["kept"] > 40
    documents = table_rows(tmp_path, "text", "documents-")
    assert any("Semantic Scholar" in row["title"] and "Semantic Scholar" in row["text"] for row in documents)
    assert {row["reason"] for row in ledger} <= {"", "opted_out_noindex"}
    assert print_faults(str(tmp_path), True, Console(quiet=True)) == 0


def test_one_file_split_over_workers_gives_the_same(archives: Path, tmp_path: Path):
    for name in ("warcfile.warc", "sample-0000.warc.gz"):
        source = {"source": "warc", "files": [str(archives / name)]}
        crawl(tmp_path / name / "whole", source)
        crawl(tmp_path / name / "split", {**source, "split_bytes": 8192}, workers=2)
        assert facts(tmp_path / name / "split") == facts(tmp_path / name / "whole")


def test_parts_that_begin_inside_a_record_are_listed_again(tmp_path: Path):
    page = b"<p>The old oak stands at the edge of the grove.</p>"
    inner = archive_of([page + b" " * 3000] * 9, None)
    data = archive_of([page, inner, page], None)
    (tmp_path / "nested.warc").write_bytes(data)
    source = {"source": "warc", "files": [str(tmp_path / "nested.warc")], "split_bytes": 4096}
    crawl(tmp_path / "out", source)
    assert [fact[0][-1] for fact in facts(tmp_path / "out")] == ["0", "1", "2"]


def test_what_is_damaged_is_counted_and_of_a_url_the_newest_counts(tmp_path: Path):
    old = response("http://a.example/", b"<p>Old oak.</p>").replace(b"2026-01-02", b"2025-01-02")
    new, other = response("http://a.example/", b"<p>New oak.</p>"), response("http://a.example/b", b"<p>Elm.</p>")
    torn = bytearray(gzip.compress(response("http://a.example/c", b"x" * 999), mtime=0))
    torn[-20] ^= 0xFF
    digest = response("http://a.example/d", b"x", more="WARC-Payload-Digest: sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n")
    records = [new, other, old, digest]
    whole = b"".join(gzip.compress(record, mtime=0) for record in records)
    (tmp_path / "a.warc.gz").write_bytes(whole + bytes(torn) + gzip.compress(old, mtime=0)[:-30])
    crawl(tmp_path / "out", {"source": "warc", "files": [f"{tmp_path}/*.gz"]})
    found = {row["url"].partition("#")[0]: row for row in table_rows(tmp_path / "out", "crawl", "ledger-")}
    assert found["http://a.example/"]["fetched_at"] == "2026-01-02T03:04:05Z"
    assert found["http://a.example/d"]["reason"] == "digest_mismatch"
    reasons = Counter(row["reason"] for row in table_rows(tmp_path / "out", "crawl", "ledger-"))
    assert reasons == {"": 2, "digest_mismatch": 1, "bad_gzip": 1, "truncated_record": 1}


@pytest.mark.parametrize(("follow", "expected"), [("nothing", None), ("links", "kept")])
def test_an_archived_redirect_is_followed_where_links_are(follow: str, expected: str | None, tmp_path: Path):
    moved = response(f"{HOME}/old", b"", "Location: /new?utm_source=x").replace(b"200 OK", b"301 Go")
    page = response(f"{HOME}/", b"<p>The old oak stands at the edge of the grove.</p>")
    (tmp_path / "a.warc").write_bytes(moved + page)
    with serve(pages({"/new": "<p>The elm stands at the edge of the grove.</p>"})) as site:
        crawl(tmp_path / "out", {"source": "warc", "files": [f"{tmp_path}/a.warc"], "follow": follow}, site)
    rows = {row["url"]: row for row in table_rows(tmp_path / "out", "crawl", "ledger-")}
    old, new = rows[f"{HOME}/old"], rows.get(f"{HOME}/new")
    assert (old["fate"], old["reason"], old["final_url"]) == ("rejected", "redirected", f"{HOME}/new")
    assert (new and new["fate"]) == expected


def test_an_archived_url_is_known_without_its_tracking_parameters(tmp_path: Path):
    records = [
        response(f"http://a.example/{query}", b"<p>Oak.</p>") for query in ("?utm_source=x&n=1", "?n=1&fbclid=2")
    ]
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    source = {"source": "warc", "files": [f"{tmp_path}/a.warc"]}
    crawl(tmp_path / "out", source)
    assert [row["url"] for row in table_rows(tmp_path / "out", "crawl", "ledger-")] == ["http://a.example/?n=1"]
    crawl(tmp_path / "kept", source, settings={"drop_parameters": []})
    assert len(table_rows(tmp_path / "kept", "crawl", "ledger-")) == 2


def test_how_far_an_archived_body_may_expand_is_the_recipes_to_say(tmp_path: Path):
    page = b"<p>The old oak stands at the edge of the grove.</p>" + b" " * 2**21
    packed = response("http://a.example/", gzip.compress(page), "Content-Type: text/html\r\nContent-Encoding: gzip")
    other = response("http://a.example/elm", b"<p>The elm stands at the edge of the grove.</p>")
    (tmp_path / "a.warc").write_bytes(packed + other)
    source = {"source": "warc", "files": [f"{tmp_path}/a.warc"]}
    crawl(tmp_path / "out", source)
    crawl(tmp_path / "wide", source, settings={"max_expansion": 1100})
    reasons = [[fact[3] for fact in facts(tmp_path / out)] for out in ("out", "wide")]
    assert reasons == [["expands_too_much", ""], ["", ""]]


def test_pictures_of_archived_pages_are_fetched_where_the_recipe_says_so(tmp_path: Path):
    page = b'<p>The old oak stands at the edge of the grove.</p><img src="/0.png" alt="An oak">'
    (tmp_path / "a.warc").write_bytes(response(f"{HOME}/", page))
    with serve(pages(PICTURES)) as site:
        crawl(tmp_path / "out", {"source": "warc", "files": [f"{tmp_path}/*.warc"], "follow": "pictures"}, site)
    assert (HOST, "/0.png") in site.requests
    assert (HOST, "/") not in site.requests
    assert {row["url"]: row["fate"] for row in table_rows(tmp_path / "out", "crawl", "ledger-")} == {
        f"{HOME}/": "kept",
        f"{HOME}/0.png": "kept",
    }


def test_a_file_that_is_not_there_is_said_in_one_line(tmp_path: Path):
    with pytest.raises(StageError, match="no such file"):
        crawl(tmp_path / "out", {"source": "warc", "files": [f"{tmp_path}/missing.warc"]})


@pytest.fixture
def common_crawl(archives: Path) -> Iterator[CommonCrawl]:
    names = ("sample-0000.warc.gz", "sample-0001.warc.gz", "whirlwind.warc.gz")
    prefix = "crawl-data/CC-MAIN-2024-22/segments/1715971057216.39/warc"
    with serve_common_crawl({f"{prefix}/{name}": archives / name for name in names}) as running:
        yield running


def test_common_crawl_is_looked_up_and_only_its_records_are_read(common_crawl: CommonCrawl, tmp_path: Path):
    common_crawl.fault = lambda path, times: Said(503, b"slow down", {"Retry-After": "0"}) if times == 0 else None
    source = {
        "source": "commoncrawl",
        "urls": ["semanticscholar.org"],
        "crawls": ["CC-MAIN-2024-22"],
        "index": f"{common_crawl.url}/collinfo.json",
        "data": f"{common_crawl.url}/data/",
    }
    crawl(tmp_path, source)
    ledger = table_rows(tmp_path, "crawl", "ledger-")
    assert ledger
    assert all("semanticscholar.org/" in row["url"] and row["fate"] == "kept" for row in ledger)
    assert table_rows(tmp_path, "text", "documents-")
    read = sum("/data/" in path for path in common_crawl.requests)
    assert read == 2 * len(ledger)  # each once refused, and then a range of its own


def test_common_crawl_is_left_alone_for_as_long_as_it_says_and_read_on_from_there(
    common_crawl: CommonCrawl, tmp_path: Path
):
    asked: list[float] = []

    def fault(path: str, times: int) -> Said | None:
        if "/data/" not in path:
            return None
        asked.append(time.monotonic())
        return Said(429, b"no", {"Retry-After": "10"}) if len(asked) == 5 else None

    common_crawl.fault = fault
    source = {
        "source": "commoncrawl",
        "urls": ["org"],
        "crawls": ["CC-MAIN-2024-22"],
        "media_types": [],
        "index": f"{common_crawl.url}/collinfo.json",
        "data": f"{common_crawl.url}/data/",
    }
    for _ in range(2):  # the second run is not told again: it remembers
        with pytest.raises(
            StageError, match=r"Common Crawl's data: retry_after_too_long: .* the longest accepted is 1 s"
        ):
            crawl(tmp_path, source, settings={"max_delay_s": 1})
        assert len(asked) == 5
    time.sleep(max(0.0, asked[-1] + 10.1 - time.monotonic()))
    crawl(tmp_path, source, settings={"max_delay_s": 1})
    ledger = table_rows(tmp_path, "crawl", "ledger-")
    assert len(ledger) == len({row["url"] for row in ledger}) > 5
    assert {row["fate"] for row in ledger} <= {"kept", "rejected"}
    assert len(asked) == len(ledger) + 1


def test_an_index_that_cannot_be_had_is_said_in_one_line(common_crawl: CommonCrawl, tmp_path: Path):
    source = {"source": "commoncrawl", "urls": ["wikipedia.org"], "index": f"{common_crawl.url}/none.json"}
    with pytest.raises(StageError, match=r"Common Crawl's index: http_404.*; check the address"):
        crawl(tmp_path, {**source, "data": f"{common_crawl.url}/data/"})
    with pytest.raises(RecipeError, match=r"crawl\.sources\.archive"):
        crawl(tmp_path, {**source, "match": "everything"})


@pytest.mark.parametrize(
    ("host", "detail"),
    [("127.0.0.1", "127.0.0.1 is at 127.0.0.1 (loopback)"), ("index.example:8080", "port 8080 of index.example")],
)
def test_an_index_that_must_not_be_asked_names_the_setting_that_would_allow_it(host: str, detail: str, tmp_path: Path):
    source = {"source": "commoncrawl", "urls": ["wikipedia.org"], "index": f"http://{host}/list.json"}
    with pytest.raises(StageError) as error:
        crawl(tmp_path, source, settings={"allow_hosts": []})
    assert f"Common Crawl's index: address_refused: {detail}" in str(error.value)
    assert str(error.value).endswith("if that machine is yours, name the host under crawl.allow_hosts")
