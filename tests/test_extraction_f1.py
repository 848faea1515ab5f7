"""The main text agrees with what people marked as such on the pages of the article-extraction benchmark."""

import gzip
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from crawl.text import CleanText, clean_page
from crawl.text_rules import RuleSettings
from crawl.text_settings import Extractor, TextSettings

SHARED = Path(__file__).parents[2] / "shared"
ARTICLES = SHARED / "data" / "pages" / "article-extraction.tar.gz"
SCORER = SHARED / "tools" / "extraction_f1.py"
NO_RULES = RuleSettings(min_sentences=0, gopher_quality=None, gopher_repetition=None)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("articles")
    with tarfile.open(ARTICLES) as tar:
        tar.extractall(folder, filter="data")
    return folder / "article-extraction"


@pytest.mark.skipif(not ARTICLES.exists(), reason="needs ../shared/data/pages")
@pytest.mark.parametrize(
    ("extractor", "least"), [("best", 0.960), pytest.param("cascade", 0.955, marks=pytest.mark.slow)]
)
def test_the_main_text_is_that_which_people_marked(pages: Path, extractor: Extractor, least: float) -> None:
    gold = pages / "ground-truth.json"
    settings = TextSettings(extractor, NO_RULES, private_data=())
    found = {name: main_text(pages / "html" / f"{name}.html.gz", settings) for name in json.loads(gold.read_bytes())}
    predicted = pages / f"{extractor}.json"
    predicted.write_text(json.dumps(found), "utf-8")
    scored = subprocess.run([sys.executable, SCORER, gold, predicted], capture_output=True, text=True, check=True)
    f1 = re.search(r"^pages 181 .* F1 ([\d.]+)$", scored.stdout)
    assert f1, scored.stdout
    assert float(f1[1]) >= least, scored.stdout


@pytest.mark.slow
@pytest.mark.skipif(not ARTICLES.exists(), reason="needs ../shared/data/pages")
def test_no_page_whose_main_text_passes_the_rules_is_lost_at_a_quick_look(pages: Path) -> None:
    found = {
        extractor: {page.name: main_text(page, TextSettings(extractor)) for page in (pages / "html").iterdir()}
        for extractor in ("best", "cascade")
    }
    assert found["cascade"] == found["best"]
    assert sum(map(bool, found["best"].values())) >= 170


def main_text(page: Path, settings: TextSettings) -> str:
    found = clean_page(gzip.decompress(page.read_bytes()), "https://articles.example/", None, settings)
    return found.text if isinstance(found, CleanText) else ""
