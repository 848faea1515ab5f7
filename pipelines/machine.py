"""What a machine must have for a build: room on disk, open files, processes, memory, clock, packages, certificates."""

import importlib.metadata
import os
import resource
import shutil
import ssl
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from crawl.tls import tls_context
from pipelines.errors import advice
from pipelines.recipe import Recipe
from pipelines.section import MEBIBYTE
from shards.store import is_url

WORKER_FILES, WORKER_THREADS, WORKER_BYTES = 64, 34, 226 * MEBIBYTE
"""What a worker takes besides its connections. Measured in workers of a crawl: 28 open files, 34 threads, 226 MiB."""

MIN_FREE_INODES = 10_000
"""Files that can still be made: a crawl of 500,000 URLs writes so many, four for each segment of 200 records."""

MAX_SKEW_S = 2.0
"""Seconds that the clock of the disk may be off: leases are judged by the times of files."""


class Finding(NamedTuple):
    """One thing looked at.

    Attributes:
        about: what, in a word.
        is_ok: whether it will do.
        said: what was found.
        advice: what would do, "" where nothing needs to be done.
    """

    about: str
    is_ok: bool
    said: str
    advice: str = ""


def examine_machine(recipe: Recipe | None, out: Path, workers: int) -> Iterator[Finding]:
    """Yields what the machine has and lacks.

    Args:
        recipe: what is to be built, None where that is not known.
        out: folder of the build, which need not be there.
        workers: worker processes.
    """
    folder = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.exists())
    yield from _writing(folder)
    yield _space(folder, recipe, workers)
    yield _inodes(folder)
    num_hosts = recipe.crawl.num_hosts if recipe else 0
    yield _limit("open files", resource.RLIMIT_NOFILE, num_hosts + WORKER_FILES, "n")
    yield _limit("processes", resource.RLIMIT_NPROC, _num_threads() + workers * WORKER_THREADS, "u")
    yield _memory(recipe, workers)
    yield _year()
    yield _authorities()
    yield from _packages(_extras(recipe))


def _writing(folder: Path) -> Iterator[Finding]:
    """Writes, flushes and renames a file, as every stage does, and looks at its time."""
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".seedbed-doctor-") as name:
            path = Path(name) / "a"
            before = time.time()
            with path.open("wb") as file:
                file.write(b"oak")
                os.fsync(file.fileno())
            path.rename(path.with_name("b"))
            written = path.with_name("b").stat().st_mtime
            skew_s = max(before - written, written - time.time())
    except OSError as error:
        told = advice(error.errno) or "choose another folder"
        yield Finding("disk", False, f"{folder} cannot be written: {error.strerror}", told)
        return
    yield Finding("disk", True, f"{folder}: writing, flushing and renaming work")
    told = "set the clocks of this machine and of the one that holds the disk (NTP)"
    if skew_s > MAX_SKEW_S:
        yield Finding("clock", False, f"{folder}: the disk's clock is {skew_s:.0f} s off this machine's", told)
    else:
        yield Finding("clock", True, f"{folder}: the disk's clock agrees with this machine's")


def _space(folder: Path, recipe: Recipe | None, workers: int) -> Finding:
    """Compares what is free with what stands under temporary names at one time, each worker's largest file twice."""
    largest = 64 * MEBIBYTE
    if recipe is not None:
        sections = (recipe.images, recipe.text, recipe.triplets, recipe.windows)
        files = ("max_part_bytes", "max_shard_bytes")
        largest = max([largest, *(getattr(section, name, 0) for section in sections for name in files)])
    free, needed = shutil.disk_usage(folder).free, 2 * workers * largest
    said = f"{_size(free)} free in {folder}; files in the making alone need {_size(needed)}"
    return _judged("space", free >= needed, said, "free some space, or choose a folder on another disk")


def _inodes(folder: Path) -> Finding:
    found = os.statvfs(folder)
    is_ok = found.f_files == 0 or found.f_favail >= MIN_FREE_INODES  # file systems without a fixed number say 0
    free = "no fixed number" if found.f_files == 0 else f"{found.f_favail:,} free"
    return _judged("inodes", is_ok, f"{free} in {folder}", "remove small files, or choose a folder on another disk")


def _limit(about: str, which: int, needed: int, option: str) -> Finding:
    soft, hard = resource.getrlimit(which)
    if soft == resource.RLIM_INFINITY:
        return Finding(about, True, f"no limit (ulimit -{option})")
    said = f"{soft:,} allowed (ulimit -{option}), {needed:,} needed"
    is_ours = hard == resource.RLIM_INFINITY or hard >= needed
    raised = f"ulimit -{option} {needed}" if is_ours else f"have the hard limit raised to {needed}"
    fewer = "lower crawl.num_hosts" if option == "n" else "use fewer --workers"
    return _judged(about, soft >= needed, said, f"{raised}, or {fewer}")


def _num_threads() -> int:
    """Threads of this user, which the limit of processes counts."""
    user, count = os.getuid(), 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        if process.info["uids"] and process.info["uids"].real == user:
            count += process.info["num_threads"] or 0
    return count


def _memory(recipe: Recipe | None, workers: int) -> Finding:
    """Compares what is free, to this container, with what the workers hold and the largest answer each may meet."""
    largest = recipe.crawl.max_picture_bytes if recipe else 0
    available, needed = _available_bytes(), workers * (WORKER_BYTES + 2 * largest)
    said = f"{_size(available)} available; {workers} workers take {_size(needed)}"
    return _judged("memory", available >= needed, said, "use fewer --workers, or lower crawl.max_picture_bytes")


def _available_bytes() -> int:
    available = psutil.virtual_memory().available
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text("ascii").strip() for name in ("max", "current"))
    except OSError:  # no control group of the second version
        return available
    return available if limit == "max" else min(available, int(limit) - int(used))


def _year() -> Finding:
    """Compares the clock with the time when this file was installed, before which it cannot be."""
    now, installed = time.time(), Path(__file__).stat().st_mtime
    said = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    told = "set the clock (NTP): certificates and Retry-After are judged by it"
    return _judged("clock", now >= installed, said, told)


def _authorities() -> Finding:
    paths = ssl.get_default_verify_paths()
    num_files = len(list(Path(paths.capath).iterdir())) if paths.capath else 0
    num_trusted = max(num_files, tls_context().cert_store_stats()["x509_ca"])
    said = f"{num_trusted} certificate authorities are trusted"
    told = "install the system's certificates (ca-certificates), or set SSL_CERT_FILE: no https address can be had"
    return _judged("TLS", num_trusted > 0, said, told)


def _extras(recipe: Recipe | None) -> Collection[str]:
    """The extras of the package that a recipe needs."""
    sources = recipe.crawl.sources.values() if recipe else ()
    is_remote = any(is_url(file) for source in sources for file in getattr(source, "files", []))
    is_scored = recipe is not None and recipe.score is not None and recipe.score.require
    return {"build"} | ({"remote"} if is_remote else set()) | ({"score"} if is_scored else set())


def _packages(extras: Collection[str]) -> Iterator[Finding]:
    from packaging.requirements import Requirement  # noqa: PLC0415  a package of `build` as well, so it may be missing

    try:
        written = importlib.metadata.requires("seedbed") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", False, "seedbed itself is not installed", "pip install '.[all]' in its folder")
        return
    versions, faults = [f"python {sys.version.split()[0]}"], []
    for needed in map(Requirement, written):
        if needed.marker and not any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            continue
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            faults.append(f"{needed.name} is not installed")
            continue
        versions.append(f"{needed.name} {version}")
        if not needed.specifier.contains(version, prereleases=True):
            faults.append(f"{needed.name} is {version}, needed is {needed.specifier}")
    told = f"pip install '.[{','.join(sorted(extras))}]' in Seedbed's folder"
    yield _judged("packages", not faults, "; ".join(faults) or ", ".join(versions), told)


def _judged(about: str, is_ok: bool, said: str, told: str) -> Finding:
    return Finding(about, is_ok, said, "" if is_ok else told)


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.1f} GB"
