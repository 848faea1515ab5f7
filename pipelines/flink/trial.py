"""A trial of a cluster's workers, before they get any work: do they run this Seedbed, and see what they are to read?

The function that looks goes to the workers whole, not by its name: on a worker it must do without any of our modules.
"""

import secrets
import time
from collections.abc import Callable, Mapping

import apache_beam as beam

from pipelines.errors import StageError
from pipelines.source_files import file_digests, read_by_workers
from pipelines.stages import STAGES, Job
from shards.asking import StoreError
from shards.object_path import any_path

LOOKS_PER_SLOT = 4
"""Elements of the trial for each slot, dealt out in turn, so that each slot gets some."""

STORE_AWAY_S = 60.0
"""How long a worker goes on asking a store that gives no answer: it may be away for a while."""

Identity = Mapping[str, str]
"""Versions of what decides bytes: of Python, of libraries, and a hash of Seedbed's source."""

Run = Callable[[Callable[[beam.Pipeline], None]], object]
"""Runs a pipeline on the cluster."""


def try_workers(job: Job, run: Run) -> None:
    """Has each slot look at what it runs, for a file in the build's folder, and for what the recipe names of its disk.

    Raises:
        RuntimeError: a worker runs something else, or does not see the same; a `StageError` says which in its text.
    """
    names = sorted({name for stage in STAGES.values() for name in stage.libraries})
    files = file_digests(read_by_workers(job.stage, job.recipe))
    look, num_looks = looker(names, identity_maker()(names), str(job.out), files), LOOKS_PER_SLOT * job.workers
    marker = job.out / f".trial-{secrets.token_hex(8)}"
    marker.write_bytes(b"seen")

    def build(pipeline: beam.Pipeline) -> None:
        looks = pipeline | "Looks" >> beam.Create([marker.name] * num_looks) | "Deal" >> beam.Reshuffle()
        looks | "Look" >> beam.Map(look)

    try:
        run(build)
    finally:
        marker.unlink(missing_ok=True)


def looker(names: list[str], wanted: Identity, out: str, files: Mapping[str, str]) -> Callable[[str], None]:
    """What a worker is to do, as a function that needs nothing of ours until it has shown that it is the same.

    Args:
        names: of the libraries whose versions count.
        wanted: what a worker must run.
        out: the folder that it must see.
        files: what it must find on its own disk, as `file_digests` tells it.
    """
    identity = identity_maker()

    def look(marker: str) -> None:
        import platform  # noqa: PLC0415 - all that it needs, it finds for itself

        found, worker = identity(names), platform.node()
        other = [name for name in wanted if found.get(name) != wanted[name]]
        if other:
            what = f"{other[0]} {found.get(other[0])}, and this machine {wanted[other[0]]}"
            raise type("StageError", (Exception,), {})(
                f"worker {worker} runs {what}; install the same Seedbed, with the same libraries, on every worker"
            )
        from pipelines.flink.trial import see, see_files  # noqa: PLC0415 - it is the same there

        see(out, marker, worker)
        see_files(files, worker)

    return look


def identity_maker() -> Callable[[list[str]], Identity]:
    """The function that tells what an interpreter runs; it goes to the workers whole."""

    def identity(names: list[str]) -> dict[str, str]:
        import hashlib  # noqa: PLC0415 - as in `look`
        import importlib.metadata  # noqa: PLC0415
        import importlib.util  # noqa: PLC0415
        import platform  # noqa: PLC0415
        from pathlib import Path  # noqa: PLC0415

        found = {"Python": ".".join(platform.python_version_tuple()[:2])}
        for name in ("seedbed", "apache-beam", *names):
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = "none"
        digest = hashlib.sha256()
        for room in ("crawl", "models", "pipelines", "shards"):
            spec = importlib.util.find_spec(room)
            folder = Path(spec.origin).parent if spec is not None and spec.origin else Path(room)
            for path in sorted(folder.rglob("*.py")):
                digest.update(f"{room}/{path.relative_to(folder).as_posix()}".encode() + b"\0" + path.read_bytes())
        found["Seedbed's source"] = digest.hexdigest()[:12]
        return found

    return identity


def see(out: str, marker: str, worker: str) -> None:
    """Looks for the file that whoever began the build has put into its folder.

    Raises:
        StageError: it is not there, or the store gives the worker no answer.
    """
    began = time.monotonic()
    while True:
        try:
            is_there = (any_path(out) / marker).exists()
            break
        except StoreError as error:
            if isinstance(error.__cause__, PermissionError) or time.monotonic() - began > STORE_AWAY_S:
                raise StageError(f"worker {worker}: {error}") from error
    if not is_there:
        raise StageError(
            f"worker {worker} does not see the folder {out}: "
            "give an --out that every worker sees, such as s3://BUCKET/PATH"
        )


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
