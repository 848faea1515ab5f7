"""Running the stages of a recipe: those out of date, in order, each watched, checked and committed."""

import functools
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from pipelines.errors import StageError
from pipelines.flink.ready import check_job_server, ready
from pipelines.folders import RUN_NAME, is_committed, manifest_sha256
from pipelines.inputs import check_files, check_inputs, committed_manifest
from pipelines.ledger import count_fetched
from pipelines.locks import locked
from pipelines.metrics import committed_standing, write_metrics
from pipelines.progress import StageResult, stage_line, stage_progress
from pipelines.recipe import Recipe
from pipelines.runners import EMBEDDED, Runner
from pipelines.snapshots import snapshot_before
from pipelines.source_files import identities
from pipelines.stages import STAGES, Job, fingerprint, inputs_of, tidy
from pipelines.tombstones import Tombstones, read_tombstones
from pipelines.watch import run_watched
from shards.asking import RefusalError, StoreError
from shards.manifest import CURRENT_NAME, Manifest, atomic_write, write_current
from shards.object_path import AnyPath, ObjectPath

SMALL_STAGE = 2_000
"""Records up to which one worker is quicker: starting worker processes costs 5 to 8 seconds of CPU time."""

STORE_DELAYS_S = (5.0, 10.0, 20.0)
"""Before each further try of what stands around a stage on a cluster, and the store gave no answer to."""

logger = logging.getLogger(__name__)

_Done = TypeVar("_Done")


def build(
    recipe: Recipe, out: AnyPath, stages: Sequence[str], workers: int, console: Console, runner: Runner = EMBEDDED
) -> list[StageResult]:
    """Brings `stages` of `recipe` up to date in `out`; inputs of theirs must be among them or committed.

    Args:
        recipe: what to make.
        out: the build's folder, made if need be.
        stages: names of stages, in their order.
        workers: worker processes; 0 chooses by the size of the work.
        console: where progress goes.
        runner: where pipelines run.

    Raises:
        StageError: a stage cannot do its work; those before it stay committed.
        OSError: `out` cannot be written.
    """
    if runner.is_flink and isinstance(out, Path):
        out = out.resolve()  # workers stand elsewhere
    with locked(out):
        tombstones = read_tombstones(out)
        manifests: dict[str, Manifest] = {}
        results = []
        for stage in stages:
            prepare = functools.partial(_prepared, stage, recipe, out, manifests, tombstones, workers)
            job = patiently(runner, functools.partial(_placed, patiently(runner, prepare), runner, workers))
            if job.runner != runner:  # the cluster has told how much room it has
                runner, workers = job.runner, job.workers
            result = build_stage(job, console)
            runner = replace(runner, is_tried=runner.is_tried or not result.up_to_date)
            manifests[stage] = result.manifest
            results.append(result)
            console.print(stage_line(result), highlight=False)
        return results


def patiently(runner: Runner, do: Callable[[], _Done]) -> _Done:
    """Does what may be done again, and does it where the store of a build on a cluster is away for a while."""
    for delay_s in STORE_DELAYS_S if runner.is_flink else ():
        try:
            return do()
        except RefusalError:
            raise
        except StoreError as error:
            logger.warning("%s; asking again in %g s", error, delay_s)
            time.sleep(delay_s)
    return do()


def _prepared(
    stage: str, recipe: Recipe, out: AnyPath, manifests: dict[str, Manifest], tombstones: Tombstones, workers: int
) -> Job:
    """The job of a stage; adds the manifests of its inputs to those that are known."""
    for needed in inputs_of(stage, recipe):
        if needed not in manifests:
            manifests[needed] = _committed_input(needed, stage, out, recipe, tombstones)
    return make_job(stage, recipe, out, manifests, tombstones, workers)


def _placed(job: Job, runner: Runner, workers: int) -> Job:
    """The job with where it runs, which is asked whether it can take it, the first that is to be done there."""
    if not (runner.is_embedded or runner.is_tried or is_committed(job.folder)):
        check_job_server(runner)
        if runner.is_flink:
            runner, workers = ready(runner, job.out, workers)
            return replace(job, runner=runner, workers=workers)
    return replace(job, runner=runner)


def make_job(
    stage: str, recipe: Recipe, out: AnyPath, manifests: Mapping[str, Manifest], tombstones: Tombstones, workers: int
) -> Job:
    """The job of one stage whose inputs are committed."""
    inputs = {name: manifests[name] for name in inputs_of(stage, recipe)}
    before = snapshot_before(out, recipe.crawl.snapshot) if stage == "crawl" else None
    if before is not None:
        inputs["crawl"] = before
    hashes = {name: manifest_sha256(out / name / manifest.fingerprint) for name, manifest in inputs.items()}
    files = identities(stage, recipe)
    job = Job(stage, recipe, out, "", inputs, tombstones, workers or _suitable_workers(stage, inputs), files)
    return replace(job, fingerprint=fingerprint(STAGES[stage], job.configuration, hashes, tombstones))


def build_stage(job: Job, console: Console) -> StageResult:
    """Runs one stage unless it is committed already, and puts it in force."""
    started = time.monotonic()
    up_to_date = is_committed(job.folder)
    if up_to_date:
        manifest = committed_manifest(job.folder)
        check_files(job.stage, job.folder, manifest)
        tidy(job.folder, manifest)
    else:
        check_inputs(job)
        job.folder.mkdir(parents=True, exist_ok=True)
        with stage_progress(console, job.stage, job.folder, _expected(job)) as progress:
            tell = functools.partial(console.print, highlight=False, soft_wrap=True)
            cpu_seconds = run_watched(job, progress.tick, tell)
        conclude = functools.partial(_concluded, job, time.monotonic() - started, cpu_seconds)
        manifest = patiently(job.runner, conclude)
    patiently(job.runner, functools.partial(_put_in_force, job))
    return StageResult(manifest, time.monotonic() - started, up_to_date)


def _concluded(job: Job, seconds: float, cpu_seconds: float) -> Manifest:
    """The manifest of a stage that has just been committed; notes how that went."""
    manifest = committed_manifest(job.folder)
    _write_run(job, seconds, cpu_seconds)
    write_metrics(job.out / job.stage, committed_standing(manifest, seconds))
    return manifest


def _committed_input(needed: str, stage: str, out: AnyPath, recipe: Recipe, tombstones: Tombstones) -> Manifest:
    """The committed manifest of a stage that this run does not bring up to date itself.

    Raises:
        StageError: it is not committed for this recipe.
    """
    manifests: dict[str, Manifest] = {}
    for before in inputs_of(needed, recipe):
        manifests[before] = _committed_input(before, needed, out, recipe, tombstones)
    job = make_job(needed, recipe, out, manifests, tombstones, workers=1)
    if not is_committed(job.folder):
        raise StageError(
            f"{stage}: its input '{needed}' is not there for this recipe ({job.folder} is not committed); "
            f"run 'seedbed {needed}' or 'seedbed build' first"
        )
    return committed_manifest(job.folder)


def _put_in_force(job: Job) -> None:
    """Makes `current` name the stage's folder, unless it does: a build with nothing to do writes nothing."""
    current = job.out / job.stage / CURRENT_NAME
    if isinstance(current, ObjectPath):
        _replace(current, job.fingerprint)
    elif not current.is_file() or current.read_bytes() != f"{job.fingerprint}\n".encode():
        write_current(job.out / job.stage, job.fingerprint)


def _replace(current: ObjectPath, fingerprint: str) -> None:
    """Writes a `current` in a store, if nobody else does.

    Raises:
        StageError: another build put its own in force at the same time.
    """
    seen, data = current.look(), f"{fingerprint}\n".encode()
    if seen is not None and current.read_bytes() == data:
        return
    try:
        current.replace_seen(data, seen)
    except FileExistsError as error:
        told = "another build puts its own in force at this moment; run again when it is done"
        raise StageError(f"{current}: {told}") from error


def _expected(job: Job) -> int:
    """Records that will go into a stage; 0 for a crawl, which finds out on the way."""
    if job.stage in ("images", "text"):
        return count_fetched(job, "image" if job.stage == "images" else "page")
    return min((manifest.counts.kept for manifest in job.inputs.values() if job.stage != "crawl"), default=0)


def _suitable_workers(stage: str, inputs: Mapping[str, Manifest]) -> int:
    """One worker for little work and for a crawl, which waits rather than works; one a core for more."""
    if stage == "crawl":
        return 1
    records = max((manifest.counts.kept for manifest in inputs.values()), default=0)
    return 1 if records <= SMALL_STAGE else os.cpu_count() or 1


def _write_run(job: Job, seconds: float, cpu_seconds: float) -> None:
    """Notes when, where and how the stage ran: what the manifest must not say."""
    notes = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 2),
        "workers": job.workers,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "seedbed": metadata.version("seedbed"),
        "contact": job.recipe.contact,
    }
    atomic_write(job.folder / RUN_NAME, json.dumps(notes, indent=1).encode())
