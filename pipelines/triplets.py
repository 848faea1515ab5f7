"""The triplets stage: from clean pictures to noisy / clean / noise samples in shards.

One step over references: each picture becomes its samples' references, and whoever writes a shard reads the picture,
makes its static and mixes it in, as `shards.triplet` defines.
"""

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import apache_beam as beam

from pipelines.attribution import write_attribution
from pipelines.datasets import count_kept, dataset_outcome
from pipelines.engine import run_pipeline
from pipelines.fates import Fates
from pipelines.open_files import OpenFiles
from pipelines.pictures import provenance, read_picture
from pipelines.receipts import Receipt
from pipelines.sink import WriteShards
from pipelines.sorting import SampleRef
from pipelines.stages import Job, Outcome
from pipelines.tables import read_table
from shards.object_path import AnyPath
from shards.triplet import (
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

KEPT_BYTES = 64 << 20
"""Of decoded pictures: each is wanted once for every step, at places that chance decides."""

PLANNED_PICTURES = 1_000
"""Pictures whose samples are planned, and handed on, together."""


def run(job: Job) -> Outcome:
    """Runs the stage; see the module."""
    for source in job.inputs:
        pictures = count_kept(job, source, "pictures")
    run_pipeline(functools.partial(build, job=job), job.workers, job.runner)
    outcome = dataset_outcome(job, pictures, triplet_spec(job).to_json())
    attribution = write_attribution(job.folder, [job.input_folder("images") / table for table in picture_tables(job)])
    return replace(outcome, files=(*outcome.files, attribution))


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the stage's graph to `pipeline`."""
    assert job.recipe.triplets is not None
    config = job.recipe.triplets
    spec = triplet_spec(job)
    write = functools.partial(write_triplets, job.folder, job.input_folder("images"), spec)
    scores = job.input_folder("score") if "score" in job.inputs else None
    (
        pipeline
        | "Tables" >> beam.Create(picture_tables(job))
        | "PlanSamples" >> beam.FlatMap(plan_samples, job.input_folder("images"), spec, scores)
        # [SampleRef]
        | "WriteShards" >> WriteShards(job.folder, config.buckets, config.max_shard_bytes, write)
    )


def picture_tables(job: Job) -> list[str]:
    """The tables of the clean pictures, relative to the folder of the images stage."""
    return [file.path for file in job.inputs["images"].files if file.path.startswith("images-")]


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


def plan_samples(
    table: str, images: AnyPath, spec: TripletSpec, scores: AnyPath | None = None
) -> Iterator[list[SampleRef]]:
    """The samples that the pictures of one table become, with their exact sizes; no picture is opened.

    Args:
        table: of the images stage.
        images: its folder.
        spec: what the triplets are.
        scores: folder of the score stage, whose pictures alone are taken; all of them where there is none.
    """
    kept = None if scores is None else _scores(f"{scores}/{table.replace('images-', 'scores-')}")
    for batch in read_table(f"{images}/{table}").to_batches(PLANNED_PICTURES):
        rows = batch.to_pylist()
        if kept is not None:
            rows = [row | {"tree_score": kept[row["key"]]} for row in rows if row["key"] in kept]
        yield [sample for row in rows for sample in _plan_picture(row, spec)]


def _scores(table: str) -> dict[str, float]:
    """The score of each picture that the score stage kept, by key."""
    columns = read_table(table, ("key", "score")).to_pydict()
    return dict(zip(columns["key"], columns["score"], strict=True))


def _plan_picture(row: dict[str, Any], spec: TripletSpec) -> Iterator[SampleRef]:
    known: dict[str, Any] = {"caption": row["caption"], "provenance": provenance(row)}
    place = (row["part"], row["offset"], row["length"])
    if spec.mode == "virtual":
        size = virtual_bytes(spec, row["key"], **known)
        yield SampleRef(row["split"], row["key"], size, (*place, 0, 0, row["tree_score"]))
        return
    for step, draw in rungs(spec):
        size = triplet_bytes(spec, row["key"], step, draw, **known)
        source = (*place, step, draw, row["tree_score"])
        yield SampleRef(row["split"], triplet_key(row["key"], step, draw), size, source)


def write_triplets(
    folder: AnyPath, images: AnyPath, spec: TripletSpec, name: str, samples: Iterable[SampleRef]
) -> Receipt:
    """Writes one shard; a picture counts as kept where its first sample is written."""
    fates = Fates()
    with OpenFiles() as files:
        written = write_shard(folder / f"{name}.tar", _encode(files, images, spec, samples, fates), extensions(spec))
    return Receipt(tuple(written), fates)


def _encode(
    files: OpenFiles, images: AnyPath, spec: TripletSpec, samples: Iterable[SampleRef], fates: Fates
) -> Iterator[tuple[str, dict[str, bytes]]]:
    first = (0, 0) if spec.mode == "virtual" else (1, 0)
    read = functools.lru_cache(KEPT_BYTES // math.prod(spec.shape))(functools.partial(read_picture, files))
    for sample in samples:
        part, offset, length, step, draw, score = sample.source
        fates.kept += (step, draw) == first
        picture = read(images / part, offset, length)
        known: dict[str, Any] = {"caption": picture.caption, "provenance": picture.provenance | {"tree_score": score}}
        if spec.mode == "virtual":
            yield encode_virtual(spec, picture.key, picture.pixels, **known)
        else:
            yield encode_triplet(spec, picture.key, picture.pixels, step, draw, **known)
