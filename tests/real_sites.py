"""Real web sites for tests: served on loopback from their archives, built, and looked into."""

import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image
from rich.console import Console

from pipelines.build import build
from pipelines.load_recipe import check_recipe
from shards.manifest import Counts
from tests.builds import manifest_of, table_rows
from tests.loopback import folder, serve

SITES = Path(__file__).parents[2] / "shared" / "data" / "sites"


@dataclass(frozen=True)
class Built:
    """A site after its build: where its files lie, what came out, and what was asked for."""

    root: Path
    out: Path
    host: str
    paths: list[str]

    def counts(self, stage: str) -> Counts:
        return manifest_of(self.out, stage).counts

    def splits(self, stage: str) -> dict[str, int]:
        return dict(manifest_of(self.out, stage).splits)

    def rows(self, stage: str, prefix: str) -> list[dict[str, Any]]:
        return table_rows(self.out, stage, prefix)

    def fates(self) -> Counter[tuple[str, str, str]]:
        return Counter((row["kind"], row["fate"], row["reason"]) for row in self.rows("crawl", "ledger-"))

    def fate(self, path: str) -> tuple[str, str, str]:
        (row,) = (row for row in self.rows("crawl", "ledger-") if row["url"] == f"http://{self.host}{path}")
        return row["kind"], row["fate"], row["reason"]

    def linked_from(self, path: str) -> set[tuple[str, str]]:
        """Pages that link to or show `path`, and how."""
        links = (link for link in self.rows("crawl", "links-") if link["to_url"] == f"http://{self.host}{path}")
        return {(urlsplit(link["from_url"]).path, link["kind"]) for link in links}

    def texts(self) -> dict[str, str]:
        return {urlsplit(row["url"]).path: row["text"] for row in self.rows("text", "documents-")}

    def pictures(self) -> Iterator[Image.Image]:
        """The clean pictures, from the parts."""
        manifest = manifest_of(self.out, "images")
        for part in (file.path for file in manifest.files if file.path.endswith(".tar")):
            with tarfile.open(self.out / "images" / manifest.fingerprint / part) as tar:
                for member in (member for member in tar if member.name.endswith(".png")):
                    png = tar.extractfile(member)
                    assert png is not None
                    yield Image.open(BytesIO(png.read()))

    def captions(self) -> dict[str, str]:
        return {unquote(row["url"].rpartition("/")[2]): row["caption"] for row in self.rows("images", "images-")}


@contextmanager
def built(
    archive: str, root: str, host: str, starts: list[str], stages: dict[str, Any], **crawl: Any
) -> Iterator[Built]:
    """Builds a site served from its archive, in a folder that is gone afterwards."""
    if not (SITES / archive).exists():
        pytest.skip(f"{SITES / archive} is not there")
    with tempfile.TemporaryDirectory() as name:
        files = Path(name) / "files"
        with tarfile.open(SITES / archive) as tar:
            tar.extractall(files, filter="data")
        with serve(folder(files / root)) as site:
            manners = {"allow_hosts": [host], "connect_to": {host: f"127.0.0.1:{site.port}"}, "delay_s": 0}
            seeds = [f"http://{host}{start}" for start in starts]
            data = {"name": "real-site", "contact": "https://seedbed.example/about", **stages}
            sources = {"site": {"source": "site", "seeds": seeds}}
            recipe = check_recipe({**data, "crawl": {"sources": sources, **manners, **crawl}}, archive)
            build(recipe, Path(name) / "out", recipe.stages(), 1, Console(quiet=True))
        yield Built(files / root, Path(name) / "out", host, [path for _, path in site.requests])
