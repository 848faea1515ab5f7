"""What came of the ideas, as a table and as a sheet of pictures with their names."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from models.lecture.shelf import Entry, Facts
from models.runs import RunFolder
from models.sheets import contact_sheet
from shards.manifest import canonical_json

COLUMNS = 8
"""Pictures in a row of the sheet."""

LABEL_HEIGHT, LABEL_SIZE = 26, 17
"""Pixels above a row, and of its letters."""

SAMPLE = "sample"
"""The heading above texts."""

Column = tuple[str, Callable[[Facts], str]]


def number(name: str, digits: int) -> Callable[[Facts], str]:
    """Return what writes a fact with so many digits behind the point; an en dash where there is none."""
    return lambda facts: "–" if facts.get(name) is None else f"{facts[name]:,.{digits}f}"


def write_table(run: RunFolder, name: str, title: str, entries: Sequence[Entry], columns: Sequence[Column]) -> None:
    """Write the entries as NAME.json and NAME.md into the run's folder, and print the latter.

    Args:
        run: the folder.
        name: of the files.
        title: above the table.
        entries: a row each.
        columns: what stands in a row, behind the name.
    """
    rows = [["", *(heading for heading, _ in columns)]]
    rows += [[entry.name, *(told(entry.facts) for _, told in columns)] for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    is_text = [heading in ("", SAMPLE) for heading in rows[0]]
    lines = ["| " + " | ".join(map(_padded, row, widths, is_text)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("---" if left else "---:" for left in is_text) + "|")
    said = [f"* **{names}**: {says}" for names, says in _said(entries)]
    text = "\n".join([title, "", *lines, "", *said, ""])
    plain = [{"name": entry.name, "says": entry.says, **entry.facts} for entry in entries]
    run.write(f"{name}.json", canonical_json({"title": title, "rows": plain}).encode())
    run.write(f"{name}.md", text.encode())
    print(f"\n{text}\n{run.path / name}.json, .md: the same", flush=True)


def _said(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """What ideas show, once for all in a row that show the same."""
    for says, alike in itertools.groupby(entries, key=lambda entry: entry.says):
        names = [entry.name for entry in alike]
        yield names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}", says


def _padded(cell: str, width: int, is_text: bool) -> str:
    return cell.ljust(width) if is_text else cell.rjust(width)


def save_labelled_sheet(entries: Sequence[Entry], path: Path) -> None:
    """Write the first pictures of each entry as a row of one PNG, its name and Fréchet distance above."""
    strips = []
    for entry in entries:
        assert entry.pictures is not None
        strips.append((_label(entry), contact_sheet(entry.pictures[:COLUMNS], COLUMNS)))
    width, height = strips[0][1].size
    sheet = Image.new("RGB", (width, len(strips) * (height + LABEL_HEIGHT)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(LABEL_SIZE)
    for place, (label, strip) in enumerate(strips):
        top = place * (height + LABEL_HEIGHT)
        draw.text((6, top + 4), label, "black", font)
        sheet.paste(strip, (0, top + LABEL_HEIGHT))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG")


def _label(entry: Entry) -> str:
    frechet = entry.facts.get("frechet")
    return entry.name if frechet is None else f"{entry.name}: distance {frechet:.0f}"
