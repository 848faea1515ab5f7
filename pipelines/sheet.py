"""The contact sheet of the pictures: a fair draw of what was kept, and of what was turned away, by reason.

Where they were scored, what the score turned away is among the latter. It is read back from the WARC files of the
crawl, through its ledger.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from PIL import Image

from crawl.image_settings import ImageSettings
from crawl.images import clean_image
from crawl.picture_filters.settings import NO_FILTERS
from crawl.verdict import Verdict
from crawl.warc import read_payload
from pipelines.drawn import GONE, draw, stage_rows, warc_places
from pipelines.errors import StageError
from pipelines.facts import Row
from pipelines.folders import current_manifest
from pipelines.open_files import OpenFiles
from pipelines.pictures import read_picture
from pipelines.sheet_drawing import TILE, Section, Tile, draw_sheet
from shards.manifest import Manifest

ANYTHING = ImageSettings(size=TILE, min_side=1, max_aspect=1e6, resize="fit", filters=NO_FILTERS)
"""Shows what can be shown at all; the limits on pixels and memory stand."""


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
    by_reason: defaultdict[str, list[Row]] = defaultdict(list)
    for stage in filter(None, (manifest, scored)):
        for row in stage_rows(out / stage.stage / stage.fingerprint, stage, "rejects-", ("key", "reason", "detail")):
            by_reason[row["reason"]].append(row)
    drawn = {reason: draw(rows, count if reason != GONE else 0) for reason, rows in by_reason.items()}
    crawl = out / "crawl" / next(entry.fingerprint for entry in manifest.inputs if entry.stage == "crawl")
    places = warc_places(crawl, [row["key"] for rows in drawn.values() for row in rows])
    for reason in sorted(drawn, key=lambda reason: (-len(by_reason[reason]), reason)):
        tiles = [_turned_away_tile(crawl, places.get(row["key"]), row) for row in drawn[reason]]
        yield Section(reason, len(by_reason[reason]), tiles)


def _turned_away_tile(crawl: Path, place: tuple[str, int] | None, row: Row) -> Tile:
    """The picture, what it is called, and why it is here, or which it is a copy of."""
    is_url = "://" in row["detail"]
    detail = f"as {_name(row['detail'])}" if is_url else row["detail"]
    return Tile(_look(crawl, place), _name(row["key"]), detail)


def _look(crawl: Path, place: tuple[str, int] | None) -> Image.Image | None:
    """The picture as it was fetched, if it can be drawn."""
    if place is None:
        return None
    found = clean_image(read_payload(crawl / place[0], place[1]), ANYTHING)
    return None if isinstance(found, Verdict) else Image.fromarray(found.pixels)


def _name(url: str) -> str:
    """The last part of a URL's path."""
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2]) or url
