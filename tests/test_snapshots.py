"""A new snapshot asks again for what the one before it had, and fetches only what has changed."""

import io
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console
from warcio.archiveiterator import ArchiveIterator

from crawl.picture_filters.settings import NO_FILTERS
from crawl.warc import read_record
from pipelines.build import build
from pipelines.forget import forget
from pipelines.load_recipe import check_recipe
from pipelines.verify import print_faults
from tests.builds import manifest_of
from tests.loopback import SITE_FILES, Answer, Site, pages, serve
from tests.tiny_datasets import draw_tree

HOST = "grove.example"
HOME = f"http://{HOST}"
ALL = ("crawl", "images", "text")
HTML = {"Content-Type": "text/html"}
PROSE = "<p>" + "The old oak stands at the edge of the grove and drops its acorns in the autumn wind. " * 8 + "</p>"


def _page(links: str, etag: str = "", text: str = PROSE) -> Answer:
    headers = {**HTML, "ETag": f'"{etag}"'} if etag else HTML
    return Answer(200, headers, f"<html><body>{text}{links}</body></html>".encode())


def _picture(seed: int, changed: str) -> Answer:
    file = io.BytesIO()
    Image.fromarray(draw_tree(seed, 32)).save(file, "PNG")
    return Answer(200, {"Content-Type": "image/png", "Last-Modified": changed}, file.getvalue())


MONDAY, TUESDAY = "Mon, 05 Jan 2026 10:00:00 GMT", "Tue, 06 Jan 2026 10:00:00 GMT"
FIRST: dict[str, Answer] = {
    "/": _page('<a href="/oak">Oak</a> <a href="/elm">Elm</a> <a href="/gone">Gone</a>', "home-1"),
    "/oak": _page('<img src="/oak.png" alt="An oak"><img src="/leaf.png" alt="A leaf">', "oak-1", PROSE + "Oak."),
    "/elm": _page("", "", PROSE + "<p>It is an elm that stands alone, and nobody knows who planted it there.</p>"),
    "/oak.png": _picture(1, MONDAY),
    "/leaf.png": _picture(2, MONDAY),
}


def _build(site: Site, out: Path, snapshot: str, stages: tuple[str, ...] = ("crawl",), **crawl: Any) -> None:
    data = {
        "name": "grove",
        "contact": "gardener@example.org",
        "crawl": {
            "sources": {"grove": {"source": "site", "seeds": [f"{HOME}/"]}},
            "allow_hosts": [HOST],
            "connect_to": {HOST: f"127.0.0.1:{site.port}"},
            "delay_s": 0,
            "snapshot": snapshot,
            **crawl,
        },
        "images": {"size": 16, "filters": asdict(NO_FILTERS), "near_duplicates": "keep"},
        "text": {"gopher_quality": {"min_words": 20}, "gopher_repetition": None, "near_duplicates": "keep"},
        "split": {"train": 1.0, "val": 0.0, "test": 0.0},
    }
    recipe = check_recipe(data, "grove.yaml")
    build(recipe, out, stages, 1, Console(quiet=True))


def _folder(out: Path) -> Path:
    return out / "crawl" / manifest_of(out, "crawl").fingerprint


def _ledger(out: Path) -> dict[str, dict[str, Any]]:
    """Path to ledger row; no URL has two."""
    found = [row for path in _folder(out).glob("ledger-*.parquet") for row in pq.read_table(path).to_pylist()]
    rows = {row["url"].removeprefix(HOME): row for row in found}
    assert len(rows) == len(found)
    return rows


def _snapshots(content: dict[str, Answer], out: Path, **crawl: Any) -> tuple[Site, dict[str, dict[str, Any]]]:
    """Builds the first snapshot, then another of a site that has changed; gives what was asked for the second time."""
    with serve(pages(FIRST)) as site:
        _build(site, out, "first", **crawl)
    with serve(pages(content)) as site:
        _build(site, out, "second", **crawl)
    return site, _ledger(out)


@pytest.fixture
def later() -> dict[str, Answer]:
    """The site as it stands when it is asked again: one picture changed, one page new, one page with other links."""
    return {
        **FIRST,
        "/": _page('<a href="/oak">Oak</a> <a href="/ash">Ash</a>', "home-2"),
        "/ash": _page("", "ash-1", PROSE + "Ash."),
        "/leaf.png": _picture(3, TUESDAY),
    }


def test_only_what_changed_is_fetched_again(later: dict[str, Answer], tmp_path: Path):
    site, rows = _snapshots(later, tmp_path)
    assert sorted(site.unchanged) == ["/oak", "/oak.png"]
    assert {path: (row["fate"], row["status"], bool(row["unchanged_since"])) for path, row in rows.items()} == {
        "/": ("kept", 200, False),
        "/oak": ("kept", 304, True),
        "/elm": ("kept", 200, True),  # it has no ETag, but the same bytes
        "/ash": ("kept", 200, False),
        "/oak.png": ("kept", 304, True),
        "/leaf.png": ("kept", 200, False),
    }
    assert sorted(path for _, path in site.requests) == sorted([*rows, *SITE_FILES])
    assert manifest_of(tmp_path, "crawl").inputs[0].stage == "crawl"


def test_what_the_last_snapshot_had_is_asked_for_though_no_page_links_to_it(tmp_path: Path):
    alone = {**FIRST, "/": _page("", "home-2"), "/oak": _page("", "oak-2", PROSE + "Oak.")}
    _, rows = _snapshots(alone, tmp_path)
    assert {path for path, row in rows.items() if row["fate"] == "kept"} == {
        "/",
        "/oak",
        "/elm",
        "/oak.png",
        "/leaf.png",
    }
    assert "/gone" not in rows  # it failed for good, and nothing leads there any more
    links = [row for path in _folder(tmp_path).glob("links-*.parquet") for row in pq.read_table(path).to_pylist()]
    captions = {link["to_url"]: (link["caption"], link["from_url"]) for link in links if link["kind"] == "image"}
    assert captions == {f"{HOME}/oak.png": ("An oak", f"{HOME}/oak"), f"{HOME}/leaf.png": ("A leaf", f"{HOME}/oak")}


def test_every_reference_returns_its_record_and_the_files_are_valid(later: dict[str, Answer], tmp_path: Path):
    _, rows = _snapshots(later, tmp_path)
    for path, row in rows.items():
        record = read_record(_folder(tmp_path) / row["warc_file"], row["warc_offset"])
        assert (record.url, record.payload) == (f"{HOME}{path}", later[path].body)
    revisits = {}
    for file in _folder(tmp_path).glob("*.warc.gz"):
        check = [sys.executable, "-m", "warcio.cli", "check", "-v", str(file)]
        subprocess.run(check, check=True, capture_output=True)
        with file.open("rb") as opened:
            for record in ArchiveIterator(opened):
                if record.rec_type == "revisit":
                    profile = record.rec_headers.get_header("WARC-Profile").rpartition("/")[2]
                    revisits[record.rec_headers.get_header("WARC-Target-URI").removeprefix(HOME)] = profile
    profiles = {"/oak": "server-not-modified", "/oak.png": "server-not-modified", "/elm": "identical-payload-digest"}
    assert revisits == profiles
    assert print_faults(str(tmp_path), True, Console(quiet=True)) == 0


def test_later_stages_read_what_an_earlier_snapshot_holds(later: dict[str, Answer], tmp_path: Path):
    _snapshots(later, tmp_path, stages=ALL)
    assert manifest_of(tmp_path, "images").counts.kept == 2
    documents = tmp_path / "text" / manifest_of(tmp_path, "text").fingerprint
    found = {row["url"] for path in documents.glob("documents-*.parquet") for row in pq.read_table(path).to_pylist()}
    assert found == {f"{HOME}/oak", f"{HOME}/elm", f"{HOME}/ash", f"{HOME}/"}


def test_a_snapshot_that_stands_is_up_to_date_whatever_was_built_since(later: dict[str, Answer], tmp_path: Path):
    _snapshots(later, tmp_path)
    with serve(pages(later)) as site:
        _build(site, tmp_path, "third")
        stand = {folder.name for folder in (tmp_path / "crawl").glob("*/")}
        asked = len(site.requests)
        in_force = []
        for snapshot in ("third", "first", "third", "second", "first"):
            _build(site, tmp_path, snapshot)
            in_force.append(manifest_of(tmp_path, "crawl").configuration["snapshot"])
        assert in_force == ["third", "first", "third", "second", "first"]
        assert len(site.requests) == asked
    assert {folder.name for folder in (tmp_path / "crawl").glob("*/")} == stand


def test_a_third_snapshot_refers_to_the_first_where_nothing_changed(tmp_path: Path):
    _snapshots(FIRST, tmp_path)
    first = _ledger(tmp_path)["/oak"]["warc_file"]
    with serve(pages(FIRST)) as site:
        _build(site, tmp_path, "third")
    assert _ledger(tmp_path)["/oak"]["warc_file"] == first
    assert sorted(site.unchanged) == ["/", "/leaf.png", "/oak", "/oak.png"]


def test_what_a_budget_left_out_is_asked_for_by_the_next_snapshot(tmp_path: Path):
    with serve(pages(FIRST)) as site:
        _build(site, tmp_path, "first", max_pages_per_host=2)
        left_out = {path for path, row in _ledger(tmp_path).items() if row["reason"] == "budget"}
        assert len(left_out) == 2
        _build(site, tmp_path, "second", max_pages_per_host=9)
    assert {path: _ledger(tmp_path)[path]["fate"] for path in left_out} == {"/elm": "kept", "/gone": "failed"}


def test_what_failed_is_asked_for_again_by_the_next_snapshot_and_not_before(tmp_path: Path):
    unwell = {**FIRST, "/elm": Answer(503, {"Content-Type": "text/plain"}, b"later")}
    with serve(pages(unwell)) as site:
        _build(site, tmp_path, "first", max_attempts=1)
    assert _ledger(tmp_path)["/elm"]["reason"] == "http_503"
    with serve(pages({**FIRST, "/": _page("", "home-2")})) as site:
        _build(site, tmp_path, "first", max_attempts=1)
        assert site.requests == []  # it is committed, and stays as it is
        _build(site, tmp_path, "second", max_attempts=1)
    assert _ledger(tmp_path)["/elm"]["fate"] == "kept"  # though no page leads there any more


def test_what_is_forgotten_goes_from_all_snapshots_and_the_rest_still_reads(later: dict[str, Answer], tmp_path: Path):
    _snapshots(later, tmp_path, stages=ALL)
    forget(tmp_path, [("url", f"{HOME}/oak")])
    rows = _ledger(tmp_path)
    assert (rows["/oak"]["reason"], rows["/oak"]["warc_file"]) == ("forgotten", "")
    for path in ("/elm", "/oak.png"):
        assert read_record(_folder(tmp_path) / rows[path]["warc_file"], rows[path]["warc_offset"]).payload
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*.warc.gz"))
    assert everything
    assert print_faults(str(tmp_path), True, Console(quiet=True)) == 0
    with serve(pages(later)) as site:
        _build(site, tmp_path, "second", ALL)
    assert site.requests == []


def _damage(out: Path, path: str) -> None:
    row = _ledger(out)[path]
    archive = _folder(out) / row["warc_file"]
    damaged = bytearray(archive.read_bytes())
    damaged[row["warc_offset"] + 60] ^= 0x55
    archive.write_bytes(damaged)


def test_what_has_not_changed_from_a_damaged_record_is_fetched_anew(tmp_path: Path):
    with serve(pages(FIRST)) as site:
        _build(site, tmp_path, "first")
        _damage(tmp_path, "/oak")
        _damage(tmp_path, "/elm")  # it has no ETag: fetched anyhow, the same bytes as before
        _build(site, tmp_path, "second")
    rows = _ledger(tmp_path)
    found = {path: (rows[path]["status"], bool(rows[path]["unchanged_since"])) for path in ("/", "/oak", "/elm")}
    assert found == {"/": (304, True), "/oak": (200, False), "/elm": (200, False)}
    assert (rows["/oak"]["attempts"], rows["/elm"]["attempts"]) == (2, 1)
    for path in ("/oak", "/elm"):
        stored = read_record(_folder(tmp_path) / rows[path]["warc_file"], rows[path]["warc_offset"])
        assert stored.payload == FIRST[path].body
