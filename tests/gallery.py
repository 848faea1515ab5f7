"""A site whose pages all show the same pictures, crawled: what a logo, a banner or a menu is to a whole web."""

from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image
from rich.console import Console

from pipelines.build import build, make_job
from pipelines.load_recipe import check_recipe
from pipelines.stages import Job
from pipelines.tombstones import Tombstones
from tests.builds import manifest_of
from tests.loopback import pages, serve

HOST = "gallery.example"
HOME = f"http://{HOST}"


def crawl_gallery(out: Path, num_pages: int, num_pictures: int, title: str = "") -> Job:
    """Crawls a gallery; returns the images stage to be run on it, by one worker.

    Args:
        out: where.
        num_pages: that show all pictures.
        num_pictures: of them.
        title: begins the names of all files.
    """
    name = quote(title)
    shown = "".join(
        f'<img src="/pictures/{name}{number}.png" alt="Picture {number}">' for number in range(num_pictures)
    )
    rooms = [f"/rooms/{name}{number}.html" for number in range(num_pages)]
    linked = "".join(f'<a href="{room}">another room</a>' for room in rooms)
    files: dict[str, bytes | str] = dict.fromkeys(rooms, f"<p>A room. {linked}{shown}</p>")
    files |= {f"/pictures/{name}{number}.png": _picture(number) for number in range(num_pictures)}
    with serve(pages(files)) as site:
        crawl = {
            "sources": {"gallery": {"source": "site", "seeds": [f"{HOME}{rooms[0]}"]}},
            "allow_hosts": [HOST],
            "connect_to": {HOST: f"127.0.0.1:{site.port}"},
            "delay_s": 0,
        }
        recipe = check_recipe(
            {"name": "gallery", "contact": "gardener@example.org", "crawl": crawl, "images": {"size": 16}}, "gallery"
        )
        build(recipe, out, ("crawl",), 1, Console(quiet=True))
    return make_job("images", recipe, out, {"crawl": manifest_of(out, "crawl")}, Tombstones(), workers=1)


def _picture(number: int) -> bytes:
    file = BytesIO()
    coarse = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
    Image.fromarray(coarse).resize((72, 72), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()
