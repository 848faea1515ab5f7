"""The contact sheet of the pictures: a fair draw of what was kept, and of what was turned away, by reason.

Where they were scored, what the score turned away is among the latter. It is read back from the WARC files of the
crawl, through its ledger.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from crawl.image_settings import ImageSettings
from crawl.images import clean_image
from crawl.picture_filters.settings import NO_FILTERS
from crawl.verdict import Verdict
from crawl.warc import read_payload
from pipelines.errors import StageError
from pipelines.folders import current_manifest
from pipelines.open_files import OpenFiles
from pipelines.pictures import read_picture
from pipelines.sheet_drawing import TILE, Section, Tile, draw_sheet
from pipelines.tables import read_table
from shards.manifest import Manifest, read_manifest

ANYTHING = ImageSettings(size=TILE, min_side=1, max_aspect=1e6, resize="fit", filters=NO_FILTERS)
"""Shows what can be shown at all; the limits on pixels and memory stand."""

GONE = "forgotten"
"""The reason of what must not be seen again."""

Row = dict[str, Any]


def save_sheet(out: Path, path: Path, count: int) -> None:
    """Writes the contact sheet of the pictures in `out` as a PNG, up to `count` in each of its sections.

    Raises:
        StageError: no pictures were cleaned there.
    """
    manifest = current_manifest(out, "images")
    if manifest is None:
        raise StageError(f"{out}: no pictures were cleaned there; run 'seedbed build RECIPE --out {out}'")
    scored = _scored(out, manifest)
    sections = [_kept(out, manifest, scored, count), *_turned_away(out, manifest, scored, count)]
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(out.resolve().name, sections).save(path, format="PNG")


def _scored(out: Path, images: Manifest) -> Manifest | None:
    """The scores of these pictures, where there are any."""
    scored = current_manifest(out, "score")
    inputs = {entry.stage: entry.fingerprint for entry in scored.inputs} if scored else {}
    return scored if inputs.get("images") == images.fingerprint else None


def _kept(out: Path, manifest: Manifest, scored: Manifest | None, count: int) -> Section:
    folder = out / "images" / manifest.fingerprint
    found = _rows(folder, manifest, "images-", ("key", "url", "part", "offset", "length"))
    if scored is not None:
        keys = {row["key"] for row in _rows(out / "score" / scored.fingerprint, scored, "scores-", ("key",))}
        found = (row for row in found if row["key"] in keys)
    rows = _draw(found, count)
    tiles = []
    with OpenFiles() as files:
        for row in rows:
            picture = read_picture(files, folder / row["part"], row["offset"], row["length"])
            pixels = picture.pixels if picture.pixels.shape[2] == 3 else picture.pixels[:, :, 0]
            tiles.append(Tile(Image.fromarray(pixels), picture.caption or _name(row["url"]), ""))
    return Section("kept", (scored or manifest).counts.kept, tiles)


def _turned_away(out: Path, manifest: Manifest, scored: Manifest | None, count: int) -> Iterator[Section]:
    """A section for each reason, the most frequent first."""
    by_reason: defaultdict[str, list[Row]] = defaultdict(list)
    for stage in filter(None, (manifest, scored)):
        for row in _rows(out / stage.stage / stage.fingerprint, stage, "rejects-", ("key", "reason", "detail")):
            by_reason[row["reason"]].append(row)
    drawn = {reason: _draw(rows, count if reason != GONE else 0) for reason, rows in by_reason.items()}
    crawl = out / "crawl" / next(entry.fingerprint for entry in manifest.inputs if entry.stage == "crawl")
    places = _places(crawl, [row["key"] for rows in drawn.values() for row in rows])
    for reason in sorted(drawn, key=lambda reason: (-len(by_reason[reason]), reason)):
        tiles = [_turned_away_tile(crawl, places.get(row["key"]), row) for row in drawn[reason]]
        yield Section(reason, len(by_reason[reason]), tiles)


def _turned_away_tile(crawl: Path, place: tuple[str, int] | None, row: Row) -> Tile:
    """The picture, what it is called, and why it is here, or which it is a copy of."""
    is_url = "://" in row["detail"]
    detail = f"as {_name(row['detail'])}" if is_url else row["detail"]
    return Tile(_look(crawl, place), _name(row["key"]), detail)


def _places(crawl: Path, urls: Sequence[str]) -> dict[str, tuple[str, int]]:
    """The WARC file and offset of each of some URLs."""
    wanted, places = pa.array(urls, pa.string()), {}
    for file in read_manifest(crawl).files:
        if file.path.startswith("ledger-"):
            table = read_table(f"{crawl}/{file.path}", ("url", "fate", "warc_file", "warc_offset"))
            chosen = pc.and_(pc.is_in(table["url"], wanted), pc.equal(table["fate"], "kept"))
            for row in table.filter(chosen).to_pylist():
                places[row["url"]] = (row["warc_file"], row["warc_offset"])
    return places


def _look(crawl: Path, place: tuple[str, int] | None) -> Image.Image | None:
    """The picture as it was fetched, if it can be drawn."""
    if place is None:
        return None
    found = clean_image(read_payload(crawl / place[0], place[1]), ANYTHING)
    return None if isinstance(found, Verdict) else Image.fromarray(found.pixels)


def _rows(folder: Path, manifest: Manifest, prefix: str, columns: tuple[str, ...]) -> Iterator[Row]:
    for file in manifest.files:
        if file.path.startswith(prefix) and file.path.endswith(".parquet"):
            yield from read_table(f"{folder}/{file.path}", columns).to_pylist()


def _draw(rows: Iterable[Row], count: int) -> list[Row]:
    """As many rows, drawn by the hash of their key: fair, and the same each time."""
    return sorted(rows, key=lambda row: hashlib.sha256(row["key"].encode()).digest())[:count]


def _name(url: str) -> str:
    """The last part of a URL's path."""
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2]) or url
