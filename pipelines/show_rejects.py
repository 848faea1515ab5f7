"""What `seedbed show --rejects` prints: records that were turned away, by reason, as they came from the web.

Pictures are drawn anew from their WARC records, texts taken out of them anew, within the limits of a build.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from crawl.warc import WarcError
from pipelines.drawn import GONE, draw_by_reason, stage_rows, warc_places
from pipelines.errors import StageError
from pipelines.facts import Row
from pipelines.folders import current_manifest
from pipelines.found_samples import Wanted
from pipelines.sheet import look
from pipelines.show import Shown
from pipelines.terminal import Screen
from pipelines.turned_away import turned_away
from shards.manifest import Manifest, ManifestError

STAGES = ("crawl", "images", "score", "text")
"""Those that turn something away, in the order in which they run."""

COLUMNS = 24
"""Of a picture that was turned away, at most."""

MAX_WORDS = 300
"""Characters of a text that was turned away that are shown."""


def show_rejects(out: Path, wanted: Wanted, reason: str | None, screen: Screen, png: Path | None = None) -> Shown:
    """Prints what the stages in `out` turned away: each reason with its number and a few examples, drawn by a hash.

    Args:
        out: folder of a build.
        wanted: which examples, and how many of each reason.
        reason: the only one, all of them if None.
        screen: where they are shown.
        png: a folder where the pictures are written instead of drawn.

    Raises:
        StageError: nothing was built there, or nothing turned away that is asked for.
    """
    manifests = [manifest for stage in STAGES if (manifest := current_manifest(out, stage)) is not None]
    if not manifests:
        raise StageError(f"{out}: no stage was built there that turns anything away; give the folder of a build")
    known = sorted({name for each in manifests for name in (*each.counts.rejected, *each.counts.failed)})
    if reason is not None and reason not in known:
        raise StageError(
            f"{out}: nothing was turned away as {reason!r}; there is {', '.join(known) or 'nothing at all'}"
        )
    shown = Shown()
    for manifest in manifests:
        drawn = draw_by_reason(_rows(out, manifest, wanted, reason), wanted.count)
        for fate, name, number in _numbers(manifest):
            rows = [row for row in drawn.get(name, ()) if row["fate"] == fate]
            if rows:
                screen.say(f"{manifest.stage}: {name}, {number:,} {fate}", "bold cyan")
                _show(out, manifest, rows, screen, png)
                shown.count += len(rows)
    if not shown.count:
        raise StageError(f"{out}: nothing that was turned away has {wanted.told}; ask for less")
    return shown


def _numbers(manifest: Manifest) -> Iterator[tuple[str, str, int]]:
    """Fate, reason and number, the commonest first."""
    for fate, counts in (("rejected", manifest.counts.rejected), ("failed", manifest.counts.failed)):
        for name, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            yield fate, name, number


def _rows(out: Path, manifest: Manifest, wanted: Wanted, reason: str | None) -> Iterator[Row]:
    """The rows that are wanted, whatever their table calls the address; what was forgotten is not seen again."""
    prefix, key = ("ledger-", "url") if manifest.stage == "crawl" else ("rejects-", "key")
    columns = (key, "fate", "reason", "detail")
    for row in stage_rows(out / manifest.stage / manifest.fingerprint, manifest, prefix, columns):
        is_meant = row["reason"] == reason if reason else row["reason"] not in ("", GONE)
        if is_meant and row["reason"] != GONE and wanted.is_met((row[key],), (row["detail"],)):
            yield row | {"key": row[key]}


def _show(out: Path, manifest: Manifest, rows: Sequence[Row], screen: Screen, png: Path | None) -> None:
    texts = turned_away(out, manifest, rows) if manifest.stage == "text" else {}
    if manifest.stage in ("images", "score"):
        _show_pictures(out, manifest, rows, screen, png)
    for number, row in enumerate(rows, 1):
        screen.say_address(f"{number}  {row['key']}")
        screen.say(row["detail"], indent=2)
        if row["key"] in texts and (text := texts[row["key"]].text):
            screen.say(text, "italic", MAX_WORDS, indent=2)
    screen.console.print()


def _show_pictures(out: Path, manifest: Manifest, rows: Sequence[Row], screen: Screen, png: Path | None) -> None:
    """Draws or writes the pictures that can still be had, under the numbers that stand before their addresses."""
    pictures = []
    for number, (row, picture) in enumerate(zip(rows, _pictures(out, manifest, rows), strict=True), 1):
        if picture is None:
            continue
        if png is not None:
            screen.say_address(str(_save(picture, row, png)))
        pictures.append((str(number), np.asarray(picture.convert("RGB"))))
    if png is None:
        screen.draw(pictures, COLUMNS)


def _pictures(out: Path, manifest: Manifest, rows: Sequence[Row]) -> list[Image.Image | None]:
    """The pictures as they were fetched; None where one cannot be drawn, or its record is gone."""
    images = manifest if manifest.stage == "images" else current_manifest(out, "images")
    crawl = next((entry.fingerprint for entry in (images.inputs if images else ()) if entry.stage == "crawl"), "")
    try:
        places = warc_places(out / "crawl" / crawl, [row["key"] for row in rows])
    except ManifestError:
        return [None] * len(rows)
    return [_picture(out / "crawl" / crawl, places.get(row["key"])) for row in rows]


def _picture(crawl: Path, place: tuple[str, int] | None) -> Image.Image | None:
    try:
        return look(crawl, place)
    except (WarcError, OSError):
        return None


def _save(picture: Image.Image, row: Row, folder: Path) -> Path:
    """Writes a picture as PNG, under a name that nothing crawled stands in."""
    folder.mkdir(parents=True, exist_ok=True)
    reason = row["reason"] if re.fullmatch("[a-z0-9_]{1,64}", row["reason"]) else "rejected"
    path = folder / f"{reason}-{hashlib.sha256(row['key'].encode()).hexdigest()[:16]}.png"
    picture.save(path, format="PNG")
    return path
