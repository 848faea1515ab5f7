"""Our side of cleaning prose: from WARC to documents by Gopher's, C4's and FineWeb's rules, and the rules alone."""

import sys
from pathlib import Path

from crawl.archived_answer import read_answer
from crawl.text import CleanText, clean_page
from crawl.text_rules import C4, FineWeb, RuleSettings, judge_text
from crawl.text_settings import TextSettings
from crawl.warc_reader import ArchiveRecord, scan

RULES = RuleSettings(min_sentences=0, c4=C4.common(), fineweb=FineWeb())
SETTINGS = {
    "articles": TextSettings("cascade", RULES, private_data=()),
    "mixed": TextSettings("cascade", RULES, private_data=(), languages=("fr",)),
}
MAX_BYTES = 1 << 24


def main() -> None:
    """Does what the command line names, so many times: `… rules|articles|mixed DATA TIMES`."""
    name, data, times = sys.argv[1:]
    for _ in range(int(times)):
        if name == "rules":
            judge_all(Path(data) / "texts")
        else:
            clean_all(Path(data) / f"{name}.warc.gz", SETTINGS[name])


def judge_all(path: Path) -> None:
    """Judges the texts of the news pages."""
    for text in path.read_text("utf-8").split("\0"):
        judge_text(text, "en", RULES)


def clean_all(path: Path, settings: TextSettings) -> int:
    """Cleans the pages of an archive; returns how many are kept."""
    kept = 0
    with path.open("rb") as file, path.open("rb") as again:
        for found in scan(file, 0, path.stat().st_size):
            if isinstance(found, ArchiveRecord) and found.kind == "response":
                answer = read_answer(again, found.place, MAX_BYTES, gzipped=True)
                found_text = clean_page(answer.body or b"", found.url, answer.charset, settings)
                kept += isinstance(found_text, CleanText)
    return kept


if __name__ == "__main__":
    main()
