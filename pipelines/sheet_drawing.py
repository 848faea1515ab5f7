"""How a contact sheet looks: sections of tiles on an even grid, each with its heading, count and labels."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

TILE, GAP, COLUMNS = 112, 12, 10
"""Side of a picture, white between two, and pictures in a row."""

MARGIN, HEADING, LABEL = 28, 40, 15
"""White around the sheet, height of a section's heading, and of a line below a picture; in pixels, as all here."""

INK, FAINT, GROUND, KEPT, TURNED_AWAY = "#20242a", "#767c86", "#eef0f2", "#2f8a4c", "#b5482f"
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


class Tile(NamedTuple):
    """One picture with what is written below it; without a picture, an empty field."""

    picture: Image.Image | None
    label: str
    detail: str


class Section(NamedTuple):
    """Some of the pictures that met one fate, and how many met it."""

    title: str
    total: int
    tiles: Sequence[Tile]


def draw_sheet(title: str, sections: Sequence[Section]) -> Image.Image:
    """Return the sheet as RGB; the first section is of what was kept."""
    width = 2 * MARGIN + COLUMNS * (TILE + GAP) - GAP
    height = 2 * MARGIN + HEADING + sum(map(_height, sections))
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    kept, total = sections[0].total, sum(section.total for section in sections)
    draw.text((MARGIN, MARGIN), f"{title}: {kept:,} of {total:,} pictures kept", INK, _font(22))
    top = MARGIN + HEADING
    for number, section in enumerate(sections):
        _draw_section(sheet, draw, section, top, KEPT if number == 0 else TURNED_AWAY)
        top += _height(section)
    return sheet


def _height(section: Section) -> int:
    num_rows = -(-len(section.tiles) // COLUMNS)
    return HEADING + num_rows * (TILE + 2 * LABEL + GAP) + GAP


def _draw_section(sheet: Image.Image, draw: ImageDraw.ImageDraw, section: Section, top: int, colour: str) -> None:
    draw.rectangle((MARGIN, top + 6, MARGIN + 5, top + 27), fill=colour)
    draw.text((MARGIN + 14, top + 6), section.title.replace("_", " "), INK, _font(18))
    part = "" if len(section.tiles) == section.total else f"{len(section.tiles)} of "
    end = MARGIN + 14 + draw.textlength(section.title.replace("_", " "), _font(18))
    draw.text((end + 10, top + 9), f"{part}{section.total:,}", FAINT, _font(15))
    for tile, (left, above) in zip(section.tiles, _places(len(section.tiles), top + HEADING), strict=True):
        _draw_tile(sheet, draw, tile, left, above)


def _places(count: int, top: int) -> Iterator[tuple[int, int]]:
    """The upper left corner of each tile."""
    for number in range(count):
        row, column = divmod(number, COLUMNS)
        yield MARGIN + column * (TILE + GAP), top + row * (TILE + 2 * LABEL + GAP)


def _draw_tile(sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, left: int, top: int) -> None:
    draw.rectangle((left, top, left + TILE - 1, top + TILE - 1), fill=GROUND)
    if tile.picture is None:
        draw.line((left, top, left + TILE - 1, top + TILE - 1), fill="white", width=2)
    else:
        picture = _fit(tile.picture)
        sheet.paste(picture, (left + (TILE - picture.width) // 2, top + (TILE - picture.height) // 2))
    font = _font(11)
    draw.text((left, top + TILE + 2), _cut(draw, tile.label, font), INK, font)
    draw.text((left, top + TILE + LABEL), _cut(draw, tile.detail, font), FAINT, font)


def _fit(picture: Image.Image) -> Image.Image:
    """The picture as large as a tile takes it; small ones are enlarged without smoothing where that is exact."""
    factor = TILE / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS if factor < 4 else Image.Resampling.NEAREST)


def _cut(draw: ImageDraw.ImageDraw, text: str, font: Font) -> str:
    """The text on one line, as much of it as a tile is wide."""
    line = " ".join(text.split())
    if draw.textlength(line, font) <= TILE:
        return line
    while line and draw.textlength(f"{line}…", font) > TILE:
        line = line[:-1]
    return f"{line}…"


def _font(size: int) -> Font:
    return ImageFont.load_default(size=size)
