"""A trial of a cluster's workers, before they get any work: do they see what they are to read, and may they write?

Whether they run this Seedbed shows as they load the trial's steps, as with all steps: see `pipelines.guarded`.
"""

import functools
import platform
import secrets
import time
from collections.abc import Callable, Mapping

import apache_beam as beam

from pipelines.errors import StageError
from pipelines.receipts import WORK
from pipelines.source_files import file_digests, read_by_workers
from pipelines.stages import Job
from shards.asking import RefusalError, StoreError
from shards.object_path import AnyPath

LOOKS_PER_SLOT = 4
"""Elements of the trial for each slot, dealt out in turn, so that each slot gets some."""

STORE_AWAY_S = 60.0
"""How long a worker goes on asking a store that gives no answer: it may be away for a while."""

Run = Callable[[Callable[[beam.Pipeline], None]], object]
"""Runs a pipeline on the cluster."""


def try_workers(job: Job, run: Run) -> None:
    """Has each slot look for a file in the stage's folder, write one, and look for what the recipe names of its disk.

    What a trial that is killed leaves lies where the stage works, and goes when that is committed.

    Raises:
        RuntimeError: a worker runs something else, or does not see the same; a `StageError` says which in its text.
    """
    files = file_digests(read_by_workers(job.stage, job.recipe))
    marker = job.folder / WORK / f"trial-{secrets.token_hex(8)}"
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_bytes(b"seen")

    def build(pipeline: beam.Pipeline) -> None:
        numbers = range(LOOKS_PER_SLOT * job.workers)
        looks = pipeline | "Looks" >> beam.Create(numbers) | "Deal" >> beam.Reshuffle()
        looks | "Look" >> beam.Map(functools.partial(look, out=job.out, marker=marker, files=files))

    try:
        run(build)
    finally:
        marker.unlink(missing_ok=True)


def look(number: int, out: AnyPath, marker: AnyPath, files: Mapping[str, str]) -> None:
    """What a worker does at its trial.

    Args:
        number: of the look, which no other has.
        out: the build's folder.
        marker: a file there, which whoever began the build has written.
        files: what the worker must find on its own disk, as `file_digests` tells it.

    Raises:
        StageError: it does not see a file, or may not write where it does.
    """
    worker = platform.node()
    see(out, marker, worker)
    write(out, marker.with_name(f"{marker.name}-{number}"), worker)
    see_files(files, worker)


def see(out: AnyPath, marker: AnyPath, worker: str) -> None:
    """Looks for the file that whoever began the build has put into its folder.

    Raises:
        StageError: it is not there, or the store gives the worker no answer.
    """
    if not _patiently(marker.exists, worker):
        would_do = "give an --out that every worker sees, such as s3://BUCKET/PATH"
        raise StageError(f"worker {worker} does not see the folder {out}: {would_do}")


def write(out: AnyPath, probe: AnyPath, worker: str) -> None:
    """Writes a file into the build's folder, and removes it.

    Raises:
        StageError: the worker may not, or the store gives it no answer.
    """
    try:
        _patiently(functools.partial(probe.write_bytes, b"written"), worker)
        _patiently(functools.partial(probe.unlink, missing_ok=True), worker)
    except OSError as error:
        told = f"worker {worker} cannot write into the folder {out} ({error.strerror})"
        raise StageError(f"{told}: give an --out that every worker may write to, such as s3://BUCKET/PATH") from error


def _patiently(ask: Callable[[], object], worker: str) -> object:
    """Asks a store that may be away for a while."""
    began = time.monotonic()
    while True:
        try:
            return ask()
        except StoreError as error:
            if isinstance(error, RefusalError) or time.monotonic() - began > STORE_AWAY_S:
                raise StageError(f"worker {worker}: {error}") from error


def see_files(wanted: Mapping[str, str], worker: str) -> None:
    """Looks for files of the user's own on a worker's disk.

    Raises:
        StageError: one is not there, or is another than on the machine that began the build.
    """
    would_do = "put the same on every worker, or name it by the URL of a store"
    for name in wanted:
        try:
            found = file_digests([name])
        except StageError as error:
            raise StageError(f"worker {worker} does not see {name}, which the recipe names; {would_do}") from error
        if found[name] != wanted[name]:
            raise StageError(f"worker {worker}: {name} is another there than on this machine; {would_do}")
