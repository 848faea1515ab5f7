"""The triplets stage: from clean pictures to noisy / clean / noise samples in shards.

One step over references: each picture becomes its samples' references, and whoever writes a shard reads the picture,
makes its static and mixes it in, as `shards.triplet` defines.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam

from pipelines.datasets import count_kept, dataset_outcome
from pipelines.engine import run_pipeline
from pipelines.fates import Fates
from pipelines.pictures import read_picture
from pipelines.receipts import Receipt
from pipelines.sink import SampleRef, WriteShards
from pipelines.stages import Job, Outcome
from pipelines.tables import read_table
from shards.triplet import (
    PROVENANCE,
    TripletSpec,
    encode_triplet,
    encode_virtual,
    extensions,
    rungs,
    triplet_bytes,
    triplet_key,
    virtual_bytes,
)
from shards.writer import write_shard


def run(job: Job) -> Outcome:
    """Runs the stage; see the module."""
    for source in job.inputs:
        pictures = count_kept(job, source, "pictures")
    run_pipeline(functools.partial(build, job=job), job.workers)
    return dataset_outcome(job, pictures, triplet_spec(job).to_json())


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the stage's graph to `pipeline`."""
    assert job.recipe.triplets is not None
    config = job.recipe.triplets
    spec = triplet_spec(job)
    write = functools.partial(write_triplets, job.folder, job.input_folder("images"), spec)
    scores = job.input_folder("score") if "score" in job.inputs else None
    tables = [file.path for file in job.inputs["images"].files if file.path.startswith("images-")]
    (
        pipeline
        | "Tables" >> beam.Create(tables)
        | "PlanSamples" >> beam.Map(plan_samples, job.input_folder("images"), spec, scores)
        # [SampleRef]
        | "WriteShards" >> WriteShards(job.folder, config.buckets, config.max_shard_bytes, write)
    )


def triplet_spec(job: Job) -> TripletSpec:
    """What the recipe's triplets are."""
    assert job.recipe.triplets is not None
    assert job.recipe.images is not None
    config, images = job.recipe.triplets, job.recipe.images
    return TripletSpec(
        size=images.size,
        channels=images.channels,
        steps=config.steps,
        draws=config.draws,
        schedule=config.schedule,
        sigma=config.sigma,
        variances=tuple(config.variances),
        corruption=config.corruption,
        seed=config.seed,
        mode=config.mode,
    )


def plan_samples(table: str, images: Path, spec: TripletSpec, scores: Path | None = None) -> list[SampleRef]:
    """The samples that the pictures of one table become, with their exact sizes; no picture is opened.

    Args:
        table: of the images stage.
        images: its folder.
        spec: what the triplets are.
        scores: folder of the score stage, whose pictures alone are taken; all of them where there is none.
    """
    samples = []
    for row in scored_rows(table, images, scores):
        caption, provenance = row["caption"], {name: row[name] for name in PROVENANCE}
        place = (row["part"], row["offset"], row["length"])
        if spec.mode == "virtual":
            size = virtual_bytes(spec, row["key"], caption=caption, provenance=provenance)
            samples.append(SampleRef(row["split"], row["key"], size, (*place, 0, 0, row["tree_score"])))
            continue
        for step, draw in rungs(spec):
            size = triplet_bytes(spec, row["key"], step, draw, caption=caption, provenance=provenance)
            samples.append(
                SampleRef(
                    row["split"], triplet_key(row["key"], step, draw), size, (*place, step, draw, row["tree_score"])
                )
            )
    return samples


def scored_rows(table: str, images: Path, scores: Path | None) -> list[dict[str, Any]]:
    """The rows of a table of the images stage that the score stage kept, with their scores."""
    rows: list[dict[str, Any]] = read_table(f"{images}/{table}").to_pylist()
    if scores is None:
        return rows
    kept = read_table(f"{scores}/{table.replace('images-', 'scores-')}", ("key", "score")).to_pydict()
    found = dict(zip(kept["key"], kept["score"], strict=True))
    return [row | {"tree_score": found[row["key"]]} for row in rows if row["key"] in found]


def write_triplets(folder: Path, images: Path, spec: TripletSpec, name: str, samples: list[SampleRef]) -> Receipt:
    """Writes one shard; a picture counts as kept where its first sample is written."""
    files = write_shard(folder / f"{name}.tar", _encode(images, spec, samples), extensions(spec))
    first = (0, 0) if spec.mode == "virtual" else (1, 0)
    return Receipt(tuple(files), Fates(kept=sum(sample.source[3:5] == first for sample in samples)))


def _encode(images: Path, spec: TripletSpec, samples: list[SampleRef]) -> Iterator[tuple[str, dict[str, bytes]]]:
    for sample in samples:
        part, offset, length, step, draw, score = sample.source
        picture = read_picture(images / part, offset, length)
        known: dict[str, Any] = {"caption": picture.caption, "provenance": picture.provenance | {"tree_score": score}}
        if spec.mode == "virtual":
            yield encode_virtual(spec, picture.key, picture.pixels, **known)
        else:
            yield encode_triplet(spec, picture.key, picture.pixels, step, draw, **known)
