"""The report as files, and what `explain` says of prose: of a folder of texts some of which are hostile."""

import hashlib
import html
import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.build import build
from pipelines.inspect.rendering import POLICY
from pipelines.load_recipe import check_recipe
from pipelines.turned_away import MAX_CHARACTERS
from shards import open_dataset
from tests.builds import manifest_of, seedbed, table_rows
from tests.hostile_texts import HOSTILE_TEXTS
from tests.parsed_page import Page

PHRASES = (
    "the oak and the ash",
    "stand in a meadow",
    "of tall grass",
    "that birds have crossed",
    "with seeds to be trees",
)
NAMED = "<img src=x onerror=alert(1)>.txt"
"""A file whose name is hostile; its address is spelt otherwise, as addresses are."""
LONG = "Sauerstoffaufnahmefähigkeit"

TAGS = re.compile(
    "html|head|meta|title|link|script|body|header|main|nav|section|article|a|h[1-3]|p|div|span|strong|em|details|summary|"
    "table|thead|tbody|tr|t[dh]|fig(ure|caption)|blockquote|bdi|code|br|mark|img|ul|ol|li|d[ldt]|svg|rect|polyline|g|text|"
    "input|label|output|datalist|option|button"
)
ATTRIBUTES = re.compile(
    "lang|charset|http-equiv|content|name|class|open|scope|dir|id|href|src|rel|type|alt|title|tabindex|role|aria-.*|"
    "width|height|x|y|viewbox|preserveaspectratio|points|loading|defer|start|data-.*|for|min|max|step|value|list|autocomplete"
)


FILE = re.compile(r"(static/|pictures/)?[A-Za-z0-9_.#\-]+")


def _prose(seed: int, num_lines: int = 10) -> str:
    draw = random.Random(seed)
    return "\n".join(f"{' '.join(draw.choices(PHRASES, k=3))} {seed}." for _ in range(num_lines))


def _write_texts(folder: Path) -> None:
    """Ten strings in each of three pages that are turned away, half of them in documents too; a pair of twins."""
    folder.mkdir()
    for number in range(3):
        hostile = HOSTILE_TEXTS[number::6] + HOSTILE_TEXTS[number + 3 :: 6]
        shown = "".join(f"<p>{html.escape(each)}</p>" for each in hostile)
        page = f"<title>{html.escape(hostile[0])}</title><main>{shown}<p>gardener@example.org</p></main>"
        (folder / f"short-{number}.html").write_text(f"<html lang='<script>'>{page}")
        (folder / f"kept-{number}.txt").write_text("\n".join([*hostile[:5], _prose(number)]))
    (folder / "twin-a.txt").write_text(_prose(10, 40))
    (folder / "twin-b.txt").write_text(f"{_prose(10, 40)}\nA word more.")
    (folder / NAMED).write_text(60 * f"{LONG} ")


def _build(root: Path, stages: tuple[str, ...], **text: object) -> Path:
    _write_texts(root / "texts")
    data = {
        "name": "prose",
        "contact": "gardener@example.org",
        "crawl": {"sources": {"texts": {"source": "folder", "path": str(root / "texts")}}},
        "text": {"min_sentences": 0, "gopher_repetition": None, **text},
        "windows": {"context": 16, "packing": "best_fit"},
        "split": {"train": 0.4, "val": 0.3, "test": 0.3},
    }
    build(check_recipe(data, "prose.yaml"), root / "out", stages, 1, Console(quiet=True))
    return root / "out"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("prose"), ("crawl", "text", "windows"))


def _report(out: Path) -> Path:
    done = seedbed("report", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out / 'report' / 'index.html'}\n"
    return out / "report"


def _pages(report: Path, pattern: str = "*.html") -> list[Page]:
    return [Page(path.read_text("utf-8")) for path in sorted(report.glob(pattern))]


def _text(report: Path, pattern: str) -> str:
    return " ".join(page.text for page in _pages(report, pattern))


@pytest.fixture(scope="module")
def report(out: Path) -> Path:
    """The report of these texts; not to be changed."""
    return _report(out)


def test_hostile_texts_are_shown_as_text_and_nothing_else(report: Path):
    assert len(set(HOSTILE_TEXTS)) == 30
    pages = _pages(report)
    text = " ".join(page.text for page in pages)
    for hostile in HOSTILE_TEXTS:
        assert " ".join(hostile.split()) in text
    for page in pages:
        assert not [tag for tag in page.tags if not TAGS.fullmatch(tag)]
        assert not [name for name, _ in page.attributes if not ATTRIBUTES.fullmatch(name)]
        leading = [value for name, value in page.attributes if name in ("href", "src")]
        assert not [
            value for value in leading if not re.fullmatch(r"(static/|pictures/)?[A-Za-z0-9_.#\-]+", value or "")
        ]


def test_every_link_and_picture_of_the_report_is_in_its_folder(report: Path):
    for page in _pages(report):
        for name, value in page.attributes:
            if name in ("href", "src") and value and not value.startswith("#"):
                assert (report / value.partition("#")[0]).is_file(), value


def test_the_pages_forbid_themselves_whatever_they_do_not_need(report: Path):
    for path in report.glob("*.html"):
        head = path.read_text("utf-8").partition("<title>")[0]
        assert f'http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}"' in head.replace(
            "&#39;", "&#x27;"
        )
    assert "unsafe" not in POLICY


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_runs_none_of_them(report: Path, tmp_path: Path):
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom")
    page = next(report.glob("rejects-*.html"))
    dumped = subprocess.run(
        ["chromium", *options, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    assert "<title>Turned away · out · Seedbed</title>" in dumped
    assert not [tag for tag in Page(dumped).tags if not TAGS.fullmatch(tag)]


def test_the_funnel_and_the_sums_are_those_of_the_tables(out: Path, report: Path):
    rows = table_rows(out, "text", "documents-")
    words, text = sum(row["num_words"] for row in rows), _text(report, "prose.html")
    assert len(rows) == 4
    assert f"4 documents of 9 pages: {words:,} words in 1 language, from 1 host." in text
    assert "What became of the pages kept 4 too few words 2 words too long 2 near duplicate 1 Words a document" in text
    assert f"Languages en 4 {words:,} words" in text
    assert f"Hosts no host 4 + 5 {words:,} words" in text
    assert sorted(row["num_words"] for row in rows)[2] < 256 <= _twin(out)["num_words"] / 2
    assert "Words a document 128 – 255 3 256 – 511 0 512 – 1,023 1 Languages" in text
    funnel = _text(report, "funnel.html")
    assert "9 in = 4 kept + 5 rejected + 0 failed" in funnel
    assert "2 too few words rejected 2 words too long rejected 1 near duplicate rejected" in funnel


def test_tokens_are_counted_as_the_windows_hold_them(out: Path, report: Path):
    text = _text(report, "prose.html")
    for split, number in manifest_of(out, "windows").splits.items():
        rows = [row for row in table_rows(out, "text", "documents-") if row["split"] == split]
        dataset = open_dataset(out / "windows", split)
        tokens = sum(dataset[each]["length"] for each in range(len(dataset)))
        words = sum(row["num_words"] for row in rows)
        unknown = manifest_of(out, "windows").configuration["unknown_rate"][split]
        shares = f"{tokens / words:.2f} {100 * tokens / (17 * number):.1f} % {100 * unknown:.2f} %"
        assert f"{split} {len(rows)} {words:,} {number:,} {tokens:,} {shares}" in text


def test_what_was_turned_away_stands_beside_what_was_kept(out: Path, report: Path):
    text = _text(report, "rejects-*.html")
    kept = _twin(out)
    away = "b" if "twin-a" in kept["url"] else "a"
    assert text.count(" ".join(kept["text"][:MAX_CHARACTERS].split())) >= 2, "the twins begin alike"
    assert f"file:///texts/twin-{away}.txt" in text
    assert f"rejected 27 > 10 {LONG} {LONG}" in text
    assert "kept in its place" in text
    assert "<email>" in text
    assert "gardener@example.org" not in text


def test_explain_names_the_document_that_was_kept_for_a_near_duplicate(out: Path):
    kept = _twin(out)["url"]
    (away,) = (row["key"] for row in table_rows(out, "text", "rejects-") if row["reason"] == "near_duplicate")
    assert f"    instead  {kept}\n" in seedbed("explain", out, away).stdout


def test_the_same_build_gives_the_same_report(out: Path, report: Path):
    first = {path.relative_to(report): path.read_bytes() for path in report.rglob("*") if path.is_file()}
    _report(out)
    assert {path.relative_to(report): path.read_bytes() for path in report.rglob("*") if path.is_file()} == first


def test_without_the_crawl_the_rest_is_shown(out: Path, tmp_path: Path):
    for stage in ("text", "windows"):
        shutil.copytree(out / stage, tmp_path / stage)
    report = _report(tmp_path)
    assert "4 documents of 9 pages" in _text(report, "prose.html")
    assert "rejected 27 > 10 (its record is gone) no text" in _text(report, "rejects-*.html")


def test_where_nothing_was_kept_the_report_says_so(tmp_path: Path):
    report = _report(_build(tmp_path, ("crawl", "text"), gopher_quality={"min_words": 5000}))
    assert "0 documents of 9 pages: 0 words in 0 languages, from 1 host." in _text(report, "prose.html")
    assert _text(report, "rejects-*.html").count("nothing was kept") == 9


def test_a_forgotten_page_is_shown_no_more(out: Path, tmp_path: Path):
    shutil.copytree(out, tmp_path / "out")
    before = _text(_report(tmp_path / "out"), "*.html")
    assert LONG in before
    assert "onerror%3D" in before
    sha256 = hashlib.sha256((out.parent / "texts" / NAMED).read_bytes()).hexdigest()
    assert seedbed("forget", tmp_path / "out", "--sha256", sha256).returncode == 0
    text = _text(_report(tmp_path / "out"), "*.html")
    assert LONG not in text
    assert "onerror%3D" not in text


def _twin(out: Path) -> dict[str, Any]:
    (twin,) = (row for row in table_rows(out, "text", "documents-") if "twin" in row["url"])
    return twin


def test_the_report_escapes_what_the_web_said_and_tells_a_run_that_has_not_finished(built: Path, tmp_path: Path):
    out = tmp_path / "out"
    for stage in ("crawl", "images", "text"):
        shutil.copytree(built / stage, out / stage)
    run = out / "runs" / "<b>bold"
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    page = (_report(out) / "index.html").read_text()
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold" in page
    assert "This run has not finished." in page
    assert len(list((out / "report" / "pictures").glob("clean-*.png"))) >= 36
    results = {"model": "language", "losses": {"model": 1.0, "bigram": 0.9, "unigram": 2.0}, "beats": False}
    (run / "results.json").write_text(json.dumps(results))
    page = (_report(out) / "index.html").read_text()
    assert '<td class="number">2.7</td>' in page
    assert "It does not beat what stands beside it: 1.00 nats a word, beside 0.90 of counts of pairs" in page
    (run / "results.json").write_text("{")
    said = seedbed("report", out)
    assert (said.returncode, said.stdout) == (1, f"{out / 'report' / 'index.html'}\n")
    assert "results.json: not JSON" in said.stderr
    assert "results.json: not JSON" in (out / "report" / "index.html").read_text(), "the rest is shown"
