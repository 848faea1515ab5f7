"""Contact sheets: what was kept and what was turned away, side by side."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from pipelines.sheet import save_sheet
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
