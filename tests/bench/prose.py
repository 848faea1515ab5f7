"""Our side of cleaning prose: from WARC to documents by Gopher's, C4's and FineWeb's rules, and the rules alone."""

from collections.abc import Iterator
from pathlib import Path

from crawl.archived_answer import read_answer
from crawl.text import clean_page
from crawl.text_rules import C4, FineWeb, RuleSettings, judge_text
from crawl.text_settings import TextSettings
from crawl.warc_reader import ArchiveRecord, scan
from tests.bench.timing import run_side

RULES = RuleSettings(min_sentences=0, c4=C4.common(), fineweb=FineWeb())
SETTINGS = TextSettings("cascade", RULES, private_data=())
MAX_BYTES = 1 << 24


def articles(data: Path) -> Iterator[int]:
    """Cleans the news pages, over and over."""
    return _clean(data / "articles.warc.gz")


def mixed(data: Path) -> Iterator[int]:
    """Cleans the mixed pages, over and over."""
    return _clean(data / "mixed.warc.gz")


def rules(data: Path) -> Iterator[int]:
    """Judges the texts of the news pages, over and over."""
    texts = [text for text in (data / "texts").read_text("utf-8").split("\0") if text]
    while True:
        for text in texts:
            judge_text(text, "en", RULES)
            yield 1


def _clean(path: Path) -> Iterator[int]:
    while True:
        with path.open("rb") as file:
            for found in scan(file, 0, path.stat().st_size):
                if isinstance(found, ArchiveRecord) and found.kind == "response":
                    with path.open("rb") as again:
                        answer = read_answer(again, found.place, MAX_BYTES, gzipped=True)
                    clean_page(answer.body or b"", found.url, answer.charset, SETTINGS)
                    yield 1


if __name__ == "__main__":
    run_side({"articles": articles, "mixed": mixed, "rules": rules})
