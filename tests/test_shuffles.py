"""Bytes never cross a shuffle: what does are references, a few hundred bytes a record."""

import shutil
from pathlib import Path

import pytest

from crawl.demo.server import DemoServer
from pipelines.build import make_job
from pipelines.engine import run_job
from pipelines.load_recipe import load_recipe
from pipelines.stages import STAGES
from pipelines.tombstones import Tombstones
from shards.manifest import Counts, read_manifest
from tests.arboretum import overrides
from tests.builds import DATASETS, manifest_of
from tests.gallery import crawl_gallery
from tests.shuffles import measured_shuffles

# Bytes that cross all shuffles of a stage, for each record that goes in, and the most of a single element (the packed
# references of one table, up to 200 pictures, fall into four buckets: where the crawl was slow, tables are smaller). A
# clean picture of the arboretum takes 3,000 bytes, its triplets 105,000, a page 6,000.
MOST = {
    "images": (1_700, 1_000),
    "score": (5, 100),
    "text": (600, 1_000),
    "triplets": (30, 1_000),
    "windows": (250, 2_000),
}

MOST_SHUFFLED = 500
"""Bytes that may cross one shuffle for each picture or page that goes in."""


@pytest.mark.parametrize("stage", DATASETS)
def test_only_references_cross_a_shuffle(server: DemoServer, built: Path, tmp_path: Path, stage: str) -> None:
    needed = (*STAGES[stage].inputs, *(("crawl",) if stage in ("triplets", "windows") else ()))
    for name in needed:
        shutil.copytree(built / name, tmp_path / name)
    manifests = {name: manifest_of(tmp_path, name) for name in STAGES[stage].inputs}
    job = make_job(stage, load_recipe("demo", overrides(server)), tmp_path, manifests, Tombstones(), workers=1)
    with measured_shuffles() as shuffles:
        run_job(job)
    records = manifest_of(built, stage).counts.records_in
    assert shuffles
    assert max(map(sum, shuffles)) / records <= MOST_SHUFFLED
    assert sum(map(sum, shuffles)) / records <= MOST[stage][0]
    assert max(map(max, shuffles)) <= MOST[stage][1]


LONG_TITLE = "Достопримечательности Санкт-Петербурга и его окрестностей "
"""Of 300 characters in an address."""


@pytest.mark.parametrize(
    ("num_pages", "title", "fates", "most", "in_all"),
    [
        (18, "", {}, MOST_SHUFFLED, MOST["images"][0]),
        (60, "", {"on_many_pages": 40}, MOST_SHUFFLED, MOST["images"][0]),
        (1, LONG_TITLE, {}, MOST_SHUFFLED, 1_850),
        (18, LONG_TITLE, {}, MOST_SHUFFLED + 18 * 7, 2_100),  # seven for each page that shows it
    ],
)
def test_a_picture_crosses_once_however_many_pages_show_it_and_however_long_its_address(
    tmp_path: Path, num_pages: int, title: str, fates: dict[str, int], most: int, in_all: int
):
    job = crawl_gallery(tmp_path, num_pages, num_pictures=40, title=title)
    with measured_shuffles() as shuffles:
        run_job(job)
    assert read_manifest(job.folder).counts == Counts(40, 40 - sum(fates.values()), fates, {})
    assert max(map(sum, shuffles)) <= most * 40
    assert sum(map(sum, shuffles)) <= in_all * 40
