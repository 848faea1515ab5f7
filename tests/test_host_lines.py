"""Boilerplate of a site: which lines count as such, what becomes of texts without them, that order decides nothing."""

import itertools
import random
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from rich.console import Console

from crawl.host_lines import HostLines, Remaining, find_common_lines, line_rows, remove_lines
from crawl.text import CleanText, clean_page
from crawl.text_settings import TextSettings
from pipelines import text
from pipelines.build import build, make_job
from pipelines.load_recipe import check_recipe
from pipelines.receipts import receipt_names, remove_receipt
from pipelines.recipe import Recipe
from pipelines.tombstones import Tombstones
from tests.builds import manifest_of, table_rows

TRAILS = Path(__file__).parents[2] / "shared" / "data" / "sites" / "greeneville-walks.tar.gz"
COOKIES = "We use cookies. By going on you agree."
MENU = "Home\nTrees\nContact us"


class Page(NamedTuple):
    text: str
    url: str = "https://trees.example/page"
    language: str = "en"

    @property
    def key(self) -> str:
        return f"{sum(self.text.encode()) * 2654435761 % 2**64:016x}".ljust(32, "0")


def _pages(count: int, *boilerplate: str, **fields: str) -> list[Page]:
    names = itertools.count(len(boilerplate) * 1000)
    return [Page("\n\n".join((f"Oak {next(names)} stands alone.", *boilerplate)), **fields) for _ in range(count)]


def _removed(pages: Sequence[Page], settings: HostLines | None = None) -> list[Remaining]:
    rows = np.concatenate([line_rows(page.text, page.url, page.language, page.key) for page in pages])
    common = find_common_lines(rows, settings or HostLines())
    return [remove_lines(page.text, page.url, page.key, common) for page in pages]


@pytest.mark.parametrize(
    ("holding", "others", "goes"),
    [(5, 5, True), (5, 6, False), (4, 0, False), (4, 2, False), (6, 6, True), (500, 501, False)],
)
def test_a_line_goes_that_half_of_a_hosts_documents_hold_and_five_at_least(holding: int, others: int, goes: bool):
    removed = _removed([*_pages(holding, COOKIES), *_pages(others)])
    assert [COOKIES in each.text for each in removed] == [not goes] * holding + [False] * others
    assert [each.num_lines for each in removed] == [int(goes)] * holding + [0] * others
    assert all(each.text.startswith("Oak ") for each in removed)


@pytest.mark.parametrize(("min_documents", "min_share", "goes"), [(2, 0.3, True), (3, 0.3, True), (4, 0.3, False)])
def test_the_thresholds_are_the_recipes(min_documents: int, min_share: float, goes: bool):
    removed = _removed([*_pages(3, COOKIES), *_pages(7)], HostLines(min_documents, min_share))
    assert [each.num_lines for each in removed] == [int(goes)] * 3 + [0] * 7


@pytest.mark.parametrize("values", [{"min_documents": 1}, {"min_share": 0.0}, {"min_share": 1.1}])
def test_impossible_thresholds_are_refused(values: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(values))):
        HostLines(**values)


def test_what_one_document_repeats_is_no_boilerplate():
    refrain = "\n\n".join(["Under the greenwood tree"] * 40)
    pages = [Page(f"Song.\n\n{refrain}"), *_pages(8)]
    assert [each.num_lines for each in _removed(pages)] == [0] * 9


def test_copies_of_one_document_count_once():
    copies = [Page(f"An oak.\n\n{COOKIES}", f"https://trees.example/{number}") for number in range(20)]
    assert [each.num_lines for each in _removed(copies)] == [0] * 20


def test_a_line_is_common_on_its_host_alone():
    here, there = _pages(9, COOKIES), _pages(1, f"Elsewhere.\n\n{COOKIES}", url="https://other.example/page")
    assert [each.num_lines for each in _removed([*here, *there])] == [1] * 9 + [0]


def test_case_and_punctuation_do_not_count_but_words_do():
    spellings = ["Share this!", "SHARE THIS", "» share – this", "Share this", "share, this."]
    pages = [*(Page(f"Oak {number}.\n\n{told}") for number, told in enumerate(spellings)), Page("Elm.\n\nShare these")]
    assert [each.num_lines for each in _removed(pages)] == [1] * 5 + [0]


def test_a_line_between_others_of_its_paragraph_stays():
    programs = [Page(f"fn main() {{\n    plant({number});\n}}") for number in range(9)]
    assert [each.text for each in _removed(programs)] == [program.text for program in programs]


def test_a_menu_goes_as_a_whole_and_leaves_the_rest_as_it_was():
    pages = [Page(f"{MENU}\n\nOak {number}.\n\n    indented\n\n* * *\n\nThe end of {number}.") for number in range(9)]
    removed = _removed(pages)
    assert [each.text for each in removed] == [
        f"Oak {number}.\n\n    indented\n\n* * *\n\nThe end of {number}.".replace("    indented\n\n", "")
        for number in range(9)
    ]
    assert {each.num_lines for each in removed} == {4}


def test_a_menu_in_one_of_two_languages_goes_from_all_documents_of_the_host():
    french, english = _pages(6, "Accueil", language="fr"), _pages(30, language="en")
    untold = Page("An oak that nobody translated.\n\nAccueil", language="en-GB")
    assert [each.num_lines for each in _removed([*french, *english, untold])] == [1] * 6 + [0] * 30 + [1]


def test_the_first_of_copies_is_told():
    copies = [Page(f"The whole tale of the oak.\n\nTold to the end.\n\nPrinted {number}") for number in range(8)]
    removed = _removed(copies)
    assert [each.text for each in removed] == [f"Printed {number}" for number in range(8)]
    smallest = min(range(8), key=lambda number: copies[number].key)
    assert [each.is_first for each in removed] == [number == smallest for number in range(8)]


def test_no_order_of_documents_changes_what_is_common():
    pages = [*_pages(9, COOKIES, MENU), *_pages(9, COOKIES), *_pages(9, MENU, url="https://other.example/page")]
    rows = [line_rows(page.text, page.url, page.language, page.key) for page in pages]
    found = set()
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        found.add(find_common_lines(np.concatenate(rows), HostLines()).tobytes())
    assert len(found) == 1
    assert len(found.pop()) == 16 * (1 + 3 + 3)  # cookies and the menu here, the menu there


@pytest.mark.skipif(not TRAILS.exists(), reason="needs ../shared/data/sites")
def test_of_a_real_site_templates_go_and_no_prose():
    with tarfile.open(TRAILS) as tar:
        files = ((member.name, tar.extractfile(member)) for member in tar if member.name.endswith((".php", ".html")))
        found = [(name, clean_page(file.read(), "", None, TextSettings())) for name, file in files if file]
    texts = [(name, page.text, page.language) for name, page in found if isinstance(page, CleanText)]
    pages = [Page(text, f"https://walks.example/{name}", language) for name, text, language in texts]
    gone: Counter[str] = Counter()
    for page, each in zip(pages, _removed(pages), strict=True):
        gone.update(Counter(page.text.split("\n\n")) - Counter(each.text.split("\n\n")))
    assert len(pages) == 15
    assert gone == {"Coming Soon!!! Check back for updates!": 26, "Music": 13, "General": 12, "Literature": 12}


WORDS = [f"{first}{last}" for first in ("alder", "beech", "cedar", "elm", "fir") for last in ("wood", "leaf", "bark")]


def _prose(number: int, num_words: int = 120) -> str:
    draw = random.Random(number)
    return " ".join(f"the {draw.choice(WORDS)} {draw.randrange(10**6)}" for _ in range(num_words // 3)) + "."


def _texts() -> dict[str, str]:
    """Sixteen texts with boilerplate, one of little else, one without, and one that is another without it."""
    framed = {f"{number:02d}": f"{MENU}\n\n{_prose(number)}\n\n{COOKIES}" for number in range(16)}
    return framed | {"mere": f"{MENU}\n\n{_prose(90, 45)}\n\n{COOKIES}", "bare": _prose(91), "twin": _prose(7)}


def _recipe(root: Path, texts: Mapping[str, str], segment: int = 6, **section: object) -> Recipe:
    folder = root / "texts"
    folder.mkdir(parents=True)
    for name, told in texts.items():
        (folder / f"{name}.txt").write_text(told)
    source = {"source": "folder", "path": str(folder)}
    rules = {"min_sentences": 0, "gopher_repetition": None, "gopher_quality": {"min_alphabetic_word_fraction": 0.1}}
    data = {
        "name": "framed",
        "contact": "gardener@example.org",
        "crawl": {"sources": {"texts": source}, "records_per_segment": segment},
        "text": {**rules, "private_data": [], **section},
    }
    return check_recipe(data, "framed.yaml")


def _build(root: Path, workers: int = 1, segment: int = 6, **section: object) -> Path:
    recipe, out = _recipe(root, _texts(), segment, **section), root / "out"
    build(recipe, out, recipe.stages(), workers, Console(quiet=True))
    return out


def _kept(out: Path) -> dict[str, tuple[str, int]]:
    rows = table_rows(out, "text", "documents-")
    return {Path(row["url"]).stem: (row["text"], row["num_boilerplate_lines"]) for row in rows}


def _rejects(out: Path) -> dict[str, tuple[str, str]]:
    rows = table_rows(out, "text", "rejects-")
    return {Path(row["key"]).stem: (row["reason"], row["detail"]) for row in rows}


def test_a_build_leaves_boilerplate_out_and_tells_how_much(tmp_path: Path):
    out = _build(tmp_path)
    framed = {f"{number:02d}": (_prose(number), 4) for number in range(16)}
    assert _kept(out) == framed | {"bare": (_prose(91), 0)}
    assert _rejects(out) == {
        "mere": ("too_few_words", "45 < 50 without 4 lines of boilerplate"),
        "twin": ("same_text", "file:///texts/07.txt"),
    }
    assert manifest_of(out, "text").counts.rejected == {"same_text": 1, "too_few_words": 1}
    (row,) = (row for row in table_rows(out, "text", "documents-") if row["url"].endswith("/03.txt"))
    assert row["num_words"] == len(row["text"].split())
    assert "host_lines" in row["filters"].split(",")


def test_a_recipe_may_leave_boilerplate_in(tmp_path: Path):
    out = _build(tmp_path, host_lines=None)
    assert _kept(out) == {name: (told, 0) for name, told in _texts().items() if name != "twin"}
    assert {name: reason for name, (reason, _) in _rejects(out).items()} == {"twin": "near_duplicate"}
    assert all("host_lines" not in row["filters"] for row in table_rows(out, "text", "documents-"))


def test_only_boilerplate_is_a_reason_where_no_rule_is_in_force(tmp_path: Path):
    texts = {**{f"{number}": f"{_prose(number)}\n\n{MENU}\n\n{COOKIES}" for number in range(12)}, "empty": MENU}
    recipe, out = _recipe(tmp_path, texts, gopher_quality=None), tmp_path / "out"
    build(recipe, out, recipe.stages(), 1, Console(quiet=True))
    assert _rejects(out) == {"empty": ("only_boilerplate", "3 lines of boilerplate")}


def test_a_copy_with_the_whole_tale_stays_while_its_fellows_go(tmp_path: Path):
    tale = "\n\n".join(_prose(number, 60) for number in range(4))
    texts = {f"{number}": f"{tale}\n\nPrinted {number}." for number in range(9)}
    recipe, out = _recipe(tmp_path, texts), tmp_path / "out"
    build(recipe, out, recipe.stages(), 1, Console(quiet=True))
    ((name, found),) = _kept(out).items()
    assert found == (texts[name], 0)
    assert {reason for reason, _ in _rejects(out).values()} == {"too_few_words"}
    assert len(_rejects(out)) == 8


def test_neither_workers_nor_segments_decide_what_goes(tmp_path: Path):
    one, two = (_build(tmp_path / str(workers), workers, buckets=2) for workers in (1, 2))
    assert manifest_of(one, "text").files == manifest_of(two, "text").files
    cut = _build(tmp_path / "cut", segment=2)
    assert (_kept(cut), _rejects(cut)) == (_kept(one), _rejects(one))


def test_a_stage_that_lost_some_parts_makes_them_again_with_the_same_bytes(tmp_path: Path):
    recipe, out = _recipe(tmp_path, _texts()), tmp_path / "out"
    build(recipe, out, ("crawl",), 1, Console(quiet=True))
    job = make_job("text", recipe, out, {"crawl": manifest_of(out, "crawl")}, Tombstones(), workers=1)
    text.run(job)
    first = {path.name: path.read_bytes() for path in job.folder.glob("*.parquet")}
    parts = receipt_names(job.folder)
    assert len([name for name in parts if name.startswith("text-")]) == 4
    for name in [*parts[::2], *(name for name in parts if name.startswith("text-"))]:
        remove_receipt(job.folder, name)
    for path in job.folder.glob("*.parquet"):
        path.unlink()
    text.run(job)
    assert {path.name: path.read_bytes() for path in job.folder.glob("*.parquet")} == first
