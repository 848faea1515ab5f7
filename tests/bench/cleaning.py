"""The images stage beside a bare Pillow over the same photographs: `python -m tests.bench.cleaning SIDE DATA`.

Ours is the whole stage but for Beam's moving of references: WARC records read and checked, headers judged, pictures
decoded, filtered, resized, written, hashed, packed into parts with their index and table, and committed to disk. The
peer opens each file, drafts, decodes, crops and resizes it, and encodes it as PNG into memory.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from tests.bench.timing import run_side


def stage(data: Path, size: int) -> Iterator[int]:
    """Photographs as the stage cleans and writes them, a ledger table at a time."""
    from pipelines.cleaning import finish_clean_part  # noqa: PLC0415 - Beam takes its time
    from pipelines.images import clean_picture, place_samples, write_part  # noqa: PLC0415
    from pipelines.near_duplicates import Distinct  # noqa: PLC0415

    planned = _plan(data, size)
    while True:
        with tempfile.TemporaryDirectory(dir=data) as out:
            job = replace(planned, out=Path(out))
            (Path(out) / "crawl").symlink_to(planned.out / "crawl")
            for table, found in found_by_table(planned).items():
                cleaned = list(finish_clean_part((table, found), job, clean_picture))
                kept = {each.key: each for each in cleaned}
                distinct = [
                    Distinct(key, key, kept[key].part, kept[key].offset, kept[key].lengths) for key in sorted(kept)
                ]
                samples = place_samples(distinct, job.recipe.split)
                write_part(job, "png", f"part-{table[7:-8]}", samples)
                yield len(found)


def bare(data: Path, size: int) -> Iterator[int]:
    """The same files with nothing around the decoder."""
    paths = sorted((data / "photo-files").glob("*.jpg"))
    while True:
        for path in paths:
            with Image.open(BytesIO(path.read_bytes())) as image:
                image.draft("RGB", (2 * size, 2 * size))
                square = ImageOps.fit(image, (size, size), Image.Resampling.HAMMING)
                square.save(BytesIO(), "PNG")
        yield len(paths)


def _plan(data: Path, size: int) -> Any:
    """The job of an images stage over the photographs, which are crawled from their folder once."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.build import build, make_job  # noqa: PLC0415
    from pipelines.folders import current_manifest  # noqa: PLC0415
    from pipelines.load_recipe import check_recipe  # noqa: PLC0415
    from pipelines.tombstones import Tombstones  # noqa: PLC0415

    out = data / "photo-crawl"
    source = {"photos": {"source": "folder", "path": str(data / "photo-files")}}
    contact = "https://seedbed.example/about"
    recipe = check_recipe(
        {"name": "bench", "contact": contact, "images": {"size": size}, "crawl": {"sources": source}}, "bench"
    )
    if current_manifest(out, "crawl") is None:
        build(recipe, out, ("crawl",), 1, Console(quiet=True))
    manifest = current_manifest(out, "crawl")
    assert manifest is not None
    return make_job("images", recipe, out, {"crawl": manifest}, Tombstones(), 1)


def found_by_table(job: Any) -> dict[str, list[Any]]:
    """What the stage's join finds in each ledger table."""
    from pipelines.found_pictures import best_place, join, key_of, pack_fetched, pack_seen, picture_settings  # noqa: PLC0415
    from pipelines.ledger import crawl_tables, read_fetched  # noqa: PLC0415
    from pipelines.seen_places import read_places  # noqa: PLC0415

    crawl, filters = job.input_folder("crawl"), picture_settings(job).filters
    known: dict[str, list[Any]] = {}
    for table in crawl_tables(job, "links-"):
        for url, seen in read_places(table, crawl, filters):
            known.setdefault(url, []).append(pack_seen(seen))
    found: dict[str, list[Any]] = {}
    for table in crawl_tables(job, "ledger-"):
        for fetched in read_fetched(table, job, "image"):
            joined = join([pack_fetched(fetched), *known[fetched.url]], filters)
            found.setdefault(table, []).extend(best_place(key_of(fetched.url), joined))
    return found


if __name__ == "__main__":
    run_side({f"{side.__name__}_{size}": partial(side, size=size) for side in (stage, bare) for size in (64, 256)})
