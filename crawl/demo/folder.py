"""The arboretum as files in a folder: pictures, each with its caption and licence beside it, and pages of prose.

python -m crawl.demo.folder FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Final

from crawl.demo.gallery import Picture, encode_picture, plan_gallery
from crawl.demo.prose import KINDS, read_facts, write_page

SEED: Final = 0
COUNT: Final = 96


def write_folder(folder: Path, seed: int = SEED, count: int = COUNT) -> None:
    """Writes the first `count` pictures of the gallery, and every page of prose, into an empty or new folder."""
    for picture in plan_gallery(seed, count):
        path = folder / picture.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_picture(picture))
        path.with_suffix(".json").write_text(json.dumps(_fields(picture)), "utf-8")
    (folder / "pages").mkdir(parents=True)
    for slug in read_facts():
        for kind in KINDS:
            page = write_page(seed, slug, kind)
            text = "\n\n".join([page.title, *page.paragraphs])
            (folder / f"pages/{slug}-{kind}.txt").write_text(text + "\n", "utf-8")


def _fields(picture: Picture) -> dict[str, str]:
    licence = "CC0-1.0" if picture.free else "CC-BY-4.0"
    return {"caption": picture.caption, "licence": licence, "author": "The Seedbed Arboretum"}


if __name__ == "__main__":
    write_folder(Path(sys.argv[1]))
