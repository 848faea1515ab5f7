"""What two stages do to their records, without Beam and commits: `python -m tests.bench.plain_stages STAGE FOLDER`.

Over the inputs of a build (FOLDER/recipe.yaml, built in FOLDER/disk) the functions of `images` or `triplets` run one
after the other in this process: ledger rows joined with links, records read, pictures cleaned, set aside, compared, and
packed into parts; samples planned, sorted, made, and packed into shards. Files and their hashes are as the stage writes
them. Nothing crosses a shuffle and nothing is committed. Prints milliseconds of CPU time, and how many were kept.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from crawl.likeness import LIKENESS
from crawl.similar_pairs import search_tasks, similar_pairs, unique_pairs
from pipelines.build import make_job
from pipelines.cleaning import Cleaned, finish_clean_part
from pipelines.folders import current_manifest
from pipelines.images import clean_picture, place_samples, write_part
from pipelines.load_recipe import load_recipe
from pipelines.near_duplicates import Distinct, stand_ins
from pipelines.sink import cut_bucket
from pipelines.sorting import SampleRef
from pipelines.stages import Job, inputs_of
from pipelines.staging import read_staged
from pipelines.tombstones import Tombstones
from pipelines.triplets import picture_tables, plan_samples, triplet_spec, write_triplets
from shards.writer import bucket_of
from tests.bench.cleaning import found_by_table
from tests.bench.timing import run_side_once


def images(folder: Path) -> Iterator[int]:
    """Milliseconds that cleaning takes, and pictures kept."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        job = _job("images", folder, Path(scratch))
        assert job.recipe.images is not None
        since = time.process_time()
        tables = found_by_table(job).items()
        cleaned = {each.key: each for part in tables for each in finish_clean_part(part, job, clean_picture)}
        samples = place_samples(_distinct([cleaned[key] for key in sorted(cleaned)], job), job.recipe.split)
        for name, shard in _shards(samples, job.recipe.images.buckets, job.recipe.images.max_part_bytes):
            write_part(job, "png", f"part-{name}", shard)
        yield round((time.process_time() - since) * 1e3)
        yield len(samples)


def triplets(folder: Path) -> Iterator[int]:
    """Milliseconds that making them takes, and samples made."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        job = _job("triplets", folder, Path(scratch))
        assert job.recipe.triplets is not None
        config, source, spec = job.recipe.triplets, job.input_folder("images"), triplet_spec(job)
        job.folder.mkdir(parents=True)
        since = time.process_time()
        planned = (each for table in picture_tables(job) for each in plan_samples(table, source, spec))
        samples = [sample for some in planned for sample in some]
        for name, shard in _shards(samples, config.buckets, config.max_shard_bytes):
            write_triplets(job.folder, source, spec, name, shard)
        yield round((time.process_time() - since) * 1e3)
        yield len(samples)


def _job(stage: str, folder: Path, out: Path) -> Job:
    """The job that writes a stage into another folder, from inputs that are linked into it."""
    recipe, built = load_recipe(str(folder / "recipe.yaml"), []), folder / "disk"
    manifests = {}
    for name in inputs_of(stage, recipe):
        manifest = current_manifest(built, name)
        assert manifest is not None, f"{name} is built before"
        manifests[name] = manifest
        (out / name).symlink_to(built / name)
    return replace(make_job(stage, recipe, built, manifests, Tombstones(), 1), out=out)


def _distinct(cleaned: list[Cleaned], job: Job) -> list[Distinct]:
    """Of near duplicates one."""
    staged = [read_staged(job.folder, each.part, each.offset, each.lengths)[-1] for each in cleaned]
    looks = np.frombuffer(b"".join(staged), LIKENESS)
    keys = np.array([each.key.encode() for each in cleaned])
    pairs = unique_pairs(np.concatenate([similar_pairs(looks, task) for task in search_tasks(len(looks))]))
    rows, fates = stand_ins(pairs, looks["area"], keys)
    told = dict(zip(rows.tolist(), fates.tolist(), strict=True))
    return [
        Distinct(each.key, keys[named].decode(), each.part, each.offset, each.lengths)
        for row, each in enumerate(cleaned)
        for kept, named in [told.get(row, (row, row))]
        if row == kept
    ]


def _shards(
    samples: Iterable[SampleRef], num_buckets: int, max_bytes: int
) -> Iterator[tuple[str, Iterator[SampleRef]]]:
    """The samples of each file, under a name for it."""
    buckets: defaultdict[str, list[SampleRef]] = defaultdict(list)
    for sample in samples:
        buckets[f"{sample.split}-{bucket_of(sample.key, num_buckets):05d}"].append(sample)
    for name, members in buckets.items():
        for number, shard in enumerate(cut_bucket(name, [members], max_bytes)):
            yield f"{name}-{number:06d}", shard


if __name__ == "__main__":
    run_side_once({side.__name__: side for side in (images, triplets)})
