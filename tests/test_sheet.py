"""Contact sheets: what was kept and what was turned away, side by side."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageColor
from rich.console import Console

from crawl.demo.gallery import draw_without_tree
from crawl.demo.trees import draw_picture, survey
from pipelines.build import build
from pipelines.load_recipe import check_recipe
from pipelines.sheet import save_sheet, sheet_sections
from pipelines.sheet_drawing import COLUMNS, GAP, KEPT, MARGIN, TILE, TURNED_AWAY, Section, Tile, draw_sheet
from tests.builds import manifest_of, seedbed


def bars(sheet: Image.Image, colour: str) -> int:
    """How many sections are marked with a colour."""
    column = np.asarray(sheet)[:, MARGIN + 2]
    marked = (column == ImageColor.getrgb(colour)).all(axis=1).astype(int)
    return int((np.diff(marked) == 1).sum())


def test_a_section_stands_for_each_fate_of_the_demo(built: Path, tmp_path: Path):
    images, scored = (manifest_of(built, stage).counts for stage in ("images", "score"))
    assert set(scored.rejected) == {"not_the_topic"}
    done = seedbed("sheet", built, "-o", tmp_path / "sheets" / "sheet.png", "--count", "12")
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(tmp_path / "sheets" / "sheet.png") as sheet:
        assert sheet.width == 2 * MARGIN + COLUMNS * (TILE + GAP) - GAP
        assert bars(sheet, KEPT) == 1
        assert bars(sheet, TURNED_AWAY) == len(images.rejected) + len(images.failed) + 1


def test_the_same_build_gives_the_same_sheet(built: Path, tmp_path: Path):
    for name in ("one.png", "two.png"):
        save_sheet(built, tmp_path / name, count=3)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_where_nothing_was_cleaned_the_command_says_what_would_do(tmp_path: Path):
    done = seedbed("sheet", tmp_path)
    assert done.returncode == 1
    assert "no pictures were cleaned there; run 'seedbed build RECIPE" in done.stderr


def test_tiles_hold_the_whole_picture_and_labels_are_cut_to_their_width():
    wide = Tile(Image.new("RGB", (300, 100), "#ff0000"), "a name far longer than the picture is wide", "3 > 2")
    sheet = np.asarray(draw_sheet("out", [Section("kept", 1_234, [wide, Tile(None, "", "")])]))
    red = (sheet == (255, 0, 0)).all(axis=2)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert (len(rows), len(columns)) == (round(TILE / 3), TILE)
    assert columns[0] == MARGIN
    label = sheet[rows[-1] + (TILE - len(rows)) // 2 + 2 :, MARGIN + TILE + 1 : MARGIN + TILE + GAP]
    assert (label[:14] == 255).all()


def test_a_copy_names_the_picture_that_was_kept_and_scores_that_a_recipe_leaves_out_are_not_shown(tmp_path: Path):
    (tmp_path / "pictures").mkdir()
    oak, bench = draw_picture(survey(0, 1)[0]).convert("RGB"), draw_without_tree(survey(0, 2)[1].scene, 1, bench=True)
    for name, drawn, side in (("oak.png", oak, 300), ("small.png", oak, 150), ("bench.png", bench, 300)):
        drawn.resize((side, side), Image.Resampling.LANCZOS).save(tmp_path / "pictures" / name)
    recipe = {
        "name": "oaks",
        "contact": "gardener@example.org",
        "crawl": {"sources": {"pictures": {"source": "folder", "path": str(tmp_path / "pictures")}}},
        "images": {},
        "score": {"topic": "drawn-tree"},
        "triplets": {"mode": "virtual"},
    }
    shown = {}
    for with_score in (True, False):
        checked = check_recipe(recipe if with_score else recipe | {"score": None}, "oaks.yaml")
        build(checked, tmp_path / "out", checked.stages(), 1, Console(quiet=True))
        sections = sheet_sections(tmp_path / "out", 10)
        shown[with_score] = {section.title: section.total for section in sections}
        copies = next(section.tiles for section in sections if section.title == "near_duplicate")
        assert [(tile.label, tile.detail) for tile in copies] == [("small.png", "as oak.png")]
        assert copies[0].picture is not None
    assert shown == {
        True: {"kept": 1, "near_duplicate": 1, "not_the_topic": 1},
        False: {"kept": 2, "near_duplicate": 1},
    }
