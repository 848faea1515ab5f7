"""What the report and `explain` say of prose, of a folder of texts some of which are hostile."""

import hashlib
import html
import random
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.build import build
from pipelines.load_recipe import check_recipe
from pipelines.prose_samples import MAX_CHARACTERS
from shards import open_dataset
from tests.builds import manifest_of, seedbed, table_rows
from tests.hostile_texts import HOSTILE_TEXTS

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
    "html|head|meta|title|style|body|h[1-3]|p|div|span|strong|details|summary|t(able|body|r|d|h)|fig(ure|caption)|"
    "blockquote|bdi|code|br|mark"
)
ATTRIBUTES = re.compile("lang|charset|http-equiv|content|name|class|style|open|scope|dir")


class Page(HTMLParser):
    """A page, taken apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Notes a tag."""
        self.texts.append(" ")
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        """Parts what stood in it from what follows."""
        self.texts.append(" ")

    def handle_data(self, data: str) -> None:
        """Notes a text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All of it, blanks folded."""
        return " ".join("".join(self.texts).split())


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


def _report(out: Path) -> Page:
    done = seedbed("report", out)
    assert (done.returncode, done.stderr) == (0, "")
    return Page((out / "report" / "index.html").read_text("utf-8"))


def test_hostile_texts_are_shown_as_text_and_nothing_else(out: Path):
    assert len(set(HOSTILE_TEXTS)) == 30
    page = _report(out)
    for hostile in HOSTILE_TEXTS:
        assert " ".join(hostile.split()) in page.text
    assert all(map(TAGS.fullmatch, page.tags))
    assert all(ATTRIBUTES.fullmatch(name) for name, _ in page.attributes)
    assert not [value for _, value in page.attributes if value and re.search(r"://|script:|url\(|taken", value)]


def test_the_page_forbids_itself_whatever_it_does_not_need(out: Path):
    _report(out)
    head = (out / "report" / "index.html").read_text("utf-8").partition("<style>")[0]
    policy = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert f'http-equiv="Content-Security-Policy" content="{policy}"' in head


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_runs_none_of_them(out: Path, tmp_path: Path):
    _report(out)
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom")
    page = (out / "report" / "index.html").as_uri()
    dumped = subprocess.run(
        ["chromium", *options, page], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    assert "<title>Seedbed: what grew</title>" in dumped
    assert "onerror=" in Page(dumped).text
    assert all(map(TAGS.fullmatch, Page(dumped).tags))


def test_the_funnel_and_the_sums_are_those_of_the_tables(out: Path):
    rows = table_rows(out, "text", "documents-")
    words, text = sum(row["num_words"] for row in rows), _report(out).text
    assert len(rows) == 4
    assert f"4 documents of 9 pages: {words:,} words in 1 language, from 1 host." in text
    assert "What became of the pages kept 4 too few words 2 words too long 2 near duplicate 1 Words a document" in text
    assert "Languages en 4" in text
    assert f"Hosts no host 4 + 5 {words:,} words" in text
    assert sorted(row["num_words"] for row in rows)[2] < 256 <= _twin(out)["num_words"] / 2
    assert "Words a document 128 – 255 3 256 – 511 0 512 – 1,023 1 Languages" in text


def test_tokens_are_counted_as_the_windows_hold_them(out: Path):
    text = _report(out).text
    for split, number in manifest_of(out, "windows").splits.items():
        rows = [row for row in table_rows(out, "text", "documents-") if row["split"] == split]
        dataset = open_dataset(out / "windows", split)
        tokens = sum(dataset[each]["length"] for each in range(len(dataset)))
        words = sum(row["num_words"] for row in rows)
        unknown = manifest_of(out, "windows").configuration["unknown_rate"][split]
        shares = f"{tokens / words:.2f} {100 * tokens / (17 * number):.1f} % {100 * unknown:.2f} %"
        assert f"{split} {len(rows)} {words:,} {number:,} {tokens:,} {shares}" in text


def test_what_was_turned_away_stands_beside_what_was_kept(out: Path):
    text = _report(out).text
    kept = _twin(out)
    away = "b" if "twin-a" in kept["url"] else "a"
    assert text.count(" ".join(kept["text"][:MAX_CHARACTERS].split())) == 2, "the twins begin alike"
    assert f"file:///texts/twin-{away}.txt" in text
    assert f"rejected 27 > 10 {LONG} {LONG}" in text
    assert "<email>" in text
    assert "gardener@example.org" not in text


def test_explain_names_the_document_that_was_kept_for_a_near_duplicate(out: Path):
    kept = _twin(out)["url"]
    (away,) = (row["key"] for row in table_rows(out, "text", "rejects-") if row["reason"] == "near_duplicate")
    assert f"    instead  {kept}\n" in seedbed("explain", out, away).stdout


def test_the_same_build_gives_the_same_page(out: Path):
    _report(out)
    first = (out / "report" / "index.html").read_bytes()
    _report(out)
    assert (out / "report" / "index.html").read_bytes() == first


def test_without_the_crawl_the_rest_is_shown(out: Path, tmp_path: Path):
    for stage in ("text", "windows"):
        shutil.copytree(out / stage, tmp_path / stage)
    text = _report(tmp_path).text
    assert "4 documents of 9 pages" in text
    assert "rejected 27 > 10 (its record is gone) no text" in text


def test_where_nothing_was_kept_the_page_says_so(tmp_path: Path):
    text = _report(_build(tmp_path, ("crawl", "text"), gopher_quality={"min_words": 5000})).text
    assert "0 documents of 9 pages: 0 words in 0 languages, from 1 host." in text
    assert text.count("nothing was kept") == 3


def test_a_forgotten_page_is_shown_no_more(out: Path, tmp_path: Path):
    shutil.copytree(out, tmp_path / "out")
    before = _report(tmp_path / "out").text
    assert LONG in before
    assert "onerror%3D" in before
    sha256 = hashlib.sha256((out.parent / "texts" / NAMED).read_bytes()).hexdigest()
    assert seedbed("forget", tmp_path / "out", "--sha256", sha256).returncode == 0
    text = _report(tmp_path / "out").text
    assert LONG not in text
    assert "onerror%3D" not in text


def _twin(out: Path) -> dict[str, Any]:
    (twin,) = (row for row in table_rows(out, "text", "documents-") if "twin" in row["url"])
    return twin
