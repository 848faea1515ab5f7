"""The contact sheet of the pictures: a fair draw of what was kept, and of what was turned away, by reason.

Where they were scored, what the score turned away is among the latter. It is read back from the WARC files of the
crawl, through its ledger.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from PIL import Image

from crawl.image_settings import ImageSettings
from crawl.images import draw_clean
from crawl.picture_filters.settings import NO_FILTERS
from crawl.warc import read_payload
from pipelines.drawn import GONE, draw, draw_by_reason, stage_rows, warc_places
from pipelines.errors import StageError
from pipelines.facts import Row
from pipelines.folders import current_manifest
from pipelines.open_files import OpenFiles
from pipelines.pictures import read_picture
from pipelines.sheet_drawing import TILE, Section, Tile, draw_sheet
from shards.manifest import Manifest

ANYTHING = ImageSettings(size=TILE, min_side=1, max_aspect=1e6, resize="fit", filters=NO_FILTERS, look=False)
"""Shows what can be shown at all; the limits on pixels and memory stand."""


def save_sheet(out: Path, path: Path, count: int) -> None:
    """Writes the contact sheet of the pictures in `out` as a PNG, up to `count` in each of its sections.

    Raises:
        StageError: no pictures were cleaned there.
    """
    sections = sheet_sections(out, count)
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(out.resolve().name, sections).save(path, format="PNG")


def sheet_sections(out: Path, count: int) -> list[Section]:
    """What the contact sheet of the pictures in `out` shows: what was kept, then what was turned away.

    Raises:
        StageError: no pictures were cleaned there.
    """
    manifest = current_manifest(out, "images")
    if manifest is None:
        raise StageError(f"{out}: no pictures were cleaned there; run 'seedbed build RECIPE --out {out}'")
    scored = _scored(out, manifest)
    return [_kept(out, manifest, scored, count), *_turned_away(out, manifest, scored, count)]


def _scored(out: Path, images: Manifest) -> Manifest | None:
    """The scores of these pictures, where there are any, and the triplets made of these pictures heeded them."""
    scored, triplets = current_manifest(out, "score"), current_manifest(out, "triplets")
    read, heeded = _inputs(scored), _inputs(triplets)
    is_left_out = heeded.get("images") == images.fingerprint and "score" not in heeded
    return scored if read.get("images") == images.fingerprint and not is_left_out else None


def _inputs(manifest: Manifest | None) -> dict[str, str]:
    return {entry.stage: entry.fingerprint for entry in manifest.inputs} if manifest else {}


def _kept(out: Path, manifest: Manifest, scored: Manifest | None, count: int) -> Section:
    folder = out / "images" / manifest.fingerprint
    found = stage_rows(folder, manifest, "images-", ("key", "url", "part", "offset", "length"))
    if scored is not None:
        keys = {row["key"] for row in stage_rows(out / "score" / scored.fingerprint, scored, "scores-", ("key",))}
        found = (row for row in found if row["key"] in keys)
    rows = draw(found, count)
    tiles = []
    with OpenFiles() as files:
        for row in rows:
            picture = read_picture(files, folder / row["part"], row["offset"], row["length"])
            pixels = picture.pixels if picture.pixels.shape[2] == 3 else picture.pixels[:, :, 0]
            tiles.append(Tile(Image.fromarray(pixels), picture.caption or _name(row["url"]), ""))
    return Section("kept", (scored or manifest).counts.kept, tiles)


def _turned_away(out: Path, manifest: Manifest, scored: Manifest | None, count: int) -> Iterator[Section]:
    """A section for each reason, the most frequent first."""
    numbers: Counter[str] = Counter()

    def counted() -> Iterator[Row]:
        for stage in filter(None, (manifest, scored)):
            folder = out / stage.stage / stage.fingerprint
            for row in stage_rows(folder, stage, "rejects-", ("key", "reason", "detail")):
                numbers[row["reason"]] += 1
                yield row

    drawn = draw_by_reason(counted(), count)
    if GONE in drawn:
        drawn[GONE] = []
    crawl = out / "crawl" / _inputs(manifest)["crawl"]
    places = warc_places(crawl, [row["key"] for rows in drawn.values() for row in rows])
    copied = _urls(out, manifest, {row["detail"] for row in drawn.get("near_duplicate", [])})
    for reason in sorted(drawn, key=lambda reason: (-numbers[reason], reason)):
        tiles = [_turned_away_tile(crawl, places.get(row["key"]), row, copied) for row in drawn[reason]]
        yield Section(reason, numbers[reason], tiles)


def _urls(out: Path, manifest: Manifest, keys: set[str]) -> dict[str, str]:
    """The URLs of some of the pictures that were kept."""
    rows = stage_rows(out / "images" / manifest.fingerprint, manifest, "images-", ("key", "url")) if keys else ()
    return {row["key"]: row["url"] for row in rows if row["key"] in keys}


def _turned_away_tile(crawl: Path, place: tuple[str, int] | None, row: Row, copied: dict[str, str]) -> Tile:
    """The picture, what it is called, and why it is here, or which it is a copy of."""
    detail: str = copied.get(row["detail"]) or row["detail"]
    return Tile(look(crawl, place), _name(row["key"]), f"as {_name(detail)}" if "://" in detail else detail)


def look(crawl: Path, place: tuple[str, int] | None, side: int = TILE) -> Image.Image | None:
    """The picture as it was fetched, its longer side no more than so many pixels, if it can be drawn."""
    found = draw_clean(read_payload(crawl / place[0], place[1]), replace(ANYTHING, size=side)) if place else None
    return found if isinstance(found, Image.Image) else None


def _name(url: str) -> str:
    """The last part of a URL's path."""
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2]) or url
