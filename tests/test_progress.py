"""What a build shows: numbers from receipts, a line a stage, and the closing table."""

import io
from collections import Counter
from pathlib import Path

from rich.console import Console

from pipelines.fates import Fates
from pipelines.progress import StageProgress, StageResult, closing_table, stage_line
from pipelines.receipts import Receipt, finish_part, note_open
from shards.manifest import Counts, Manifest

COUNTS = Counts(10, 6, {"too_small": 2, "exact_duplicate": 1}, {"broken_image": 1})
IMAGES = Manifest("images", "0" * 12, {}, (), COUNTS, {}, ())
TRIPLETS = Manifest("triplets", "1" * 12, {}, (), Counts(6, 6), {"train": 25, "val": 5}, ())


def _printed(renderable: object, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_closing_table_names_every_reason_with_its_number():
    table = _printed(closing_table([StageResult(IMAGES, 1.25, False), StageResult(TRIPLETS, 0.5, True)]))
    for words in ("images", "2 too_small", "1 exact_duplicate", "1 broken_image", "25 train", "5 val", "up to date"):
        assert words in table
    assert table.index("2 too_small") < table.index("1 exact_duplicate")


def test_eighty_columns_hold_each_reason_with_its_number_on_one_line():
    counts = Counts(1289, 1281, {"redirected": 3, "robots_disallowed": 2, "unwanted_type": 1}, {"connection_failed": 2})
    crawl = Manifest("crawl", "2" * 12, {}, (), counts, {}, ())
    triplets = Manifest("triplets", "1" * 12, {}, (), Counts(1281, 1281), {"train": 5120, "val": 225}, ())
    lines = _printed(closing_table([StageResult(crawl, 51.2, False), StageResult(triplets, 0, True)]), 80).splitlines()
    assert [line.split() for line in lines[3:]] == [
        ["crawl", "1289", "1281", "3", "redirected", "2", "connection_failed", "51.2"],
        ["2", "robots_disallowed"],
        ["1", "unwanted_type"],
        ["triplets", "1281", "1281", "–", "–", "up", "to", "date"],
        ["5120", "train"],
        ["225", "val"],
    ]


def test_the_live_line_tells_of_parts_that_are_not_finished_yet(tmp_path: Path):
    progress = StageProgress(Console(file=io.StringIO()), "crawl", tmp_path, expected=0)
    note_open(tmp_path, "001-00-00000", Fates(kept=7, failed=Counter(timeout=1)))
    progress.look()
    assert progress.line(2.0) == "crawl     8 done: 7 kept, 0 rejected, 1 failed; 4.0/s, 2 s"
    finish_part(tmp_path, "001-00-00000", lambda: Receipt(fates=Fates(kept=9)))
    progress.look()
    assert progress.line(3.0) == "crawl     9 done: 9 kept, 0 rejected, 0 failed; 3.0/s, 3 s"


def test_a_finished_stage_leaves_one_line():
    assert stage_line(StageResult(IMAGES, 1.25, False)) == "images    10 in, 6 kept, 3 rejected, 1 failed in 1.2 s"
    assert stage_line(StageResult(TRIPLETS, 0.5, True)) == "triplets  up to date (6 kept)"


def test_the_live_line_counts_receipts_once_and_guesses_what_is_left(tmp_path: Path):
    progress = StageProgress(Console(file=io.StringIO()), "images", tmp_path, expected=40)
    finish_part(tmp_path, "clean-1", lambda: Receipt(fates=Fates(rejected=Counter(too_small=2)), handled=10))
    progress.look()
    progress.look()
    assert progress.line(5.0) == ("images    10 of 40 done: 0 kept, 2 rejected, 0 failed; 2.0/s, 5 s, about 15 s left")
    finish_part(tmp_path, "part-0", lambda: Receipt(fates=Fates(kept=38)))
    progress.look()
    assert progress.line(10.0) == (
        "images    40 of 40 done: 38 kept, 2 rejected, 0 failed; 4.0/s, 10 s, about 0 s left"
    )
