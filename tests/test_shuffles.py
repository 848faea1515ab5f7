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
from tests.arboretum import overrides
from tests.builds import DATASETS, manifest_of
from tests.shuffles import measured_shuffles

# Bytes that cross all shuffles of a stage, for each record that goes in, and the most of a single element (the packed
# references of one table, up to 200 pictures, fall into four buckets: where the crawl was slow, tables are smaller). A
# clean picture of the arboretum takes 3,000 bytes, its triplets 105,000, a page 6,000.
MOST = {
    "images": (2_600, 1_500),
    "score": (10, 500),
    "text": (600, 1_000),
    "triplets": (300, 5_000),
    "windows": (500, 5_000),
}


@pytest.mark.parametrize("stage", DATASETS)
def test_only_references_cross_a_shuffle(server: DemoServer, built: Path, tmp_path: Path, stage: str) -> None:
    needed = (*STAGES[stage].inputs, *(("crawl",) if stage in ("triplets", "windows") else ()))
    for name in needed:
        shutil.copytree(built / name, tmp_path / name)
    manifests = {name: manifest_of(tmp_path, name) for name in STAGES[stage].inputs}
    job = make_job(stage, load_recipe("demo", overrides(server)), tmp_path, manifests, Tombstones(), workers=1)
    with measured_shuffles() as sizes:
        run_job(job)
    records = manifest_of(built, stage).counts.records_in
    assert sizes
    assert sum(sizes) / records <= MOST[stage][0]
    assert max(sizes) <= MOST[stage][1]
