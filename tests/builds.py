"""Builds for tests: the command line as a person runs it, and what stands in a folder afterwards."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.cli import app
from pipelines.failures import exit_status
from pipelines.folders import current_manifest
from pipelines.interruption import Interruption
from pipelines.load_recipe import check_recipe
from pipelines.stages import Job
from pipelines.tables import read_table
from pipelines.tombstones import Tombstones
from shards.manifest import Manifest
from shards.object_path import AnyPath

SEEDBED = str(Path(sys.executable).with_name("seedbed"))
DATASETS = ("images", "score", "text", "triplets", "windows")


def seedbed(*arguments: str | AnyPath) -> subprocess.CompletedProcess[str]:
    """Runs `seedbed …` to its end in this process, which has Beam loaded already; stages run in children as ever."""
    command, out, err = [SEEDBED, *map(str, arguments)], io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", command)
        status = exit_status(app, Interruption())
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


def seedbed_process(*arguments: str | AnyPath, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs `seedbed …` to its end in a process of its own, as where the shell does not find it by its name."""
    command, elsewhere = [SEEDBED, *map(str, arguments)], os.environ | {"PATH": os.defpath}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, env=elsewhere)


def start_seedbed(*arguments: str | AnyPath) -> subprocess.Popen[str]:
    """Starts `seedbed …` and leaves it running."""
    return subprocess.Popen(
        [SEEDBED, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@contextmanager
def started_seedbed(*arguments: str | AnyPath) -> Iterator["subprocess.Popen[str]"]:
    """Starts `seedbed …`, which is killed where the block leaves it running."""
    process = start_seedbed(*arguments)
    try:
        yield process
    finally:
        if process.poll() is None:
            kill_all(process)


def list_job(folder: Path, urls: Sequence[str], workers: int = 1) -> Job:
    """The job of crawling a list of pictures, without any pause."""
    (folder / "list.txt").write_text("\n".join(urls))
    settings: dict[str, Any] = {"delay_s": 0, "response_time_multiple": 0, "site_opt_outs": False}
    sources = {"list": {"source": "urls", "files": [str(folder / "list.txt")]}}
    recipe = {"name": "list", "contact": "gardener@example.org", "crawl": {"sources": sources, **settings}}
    return Job("crawl", check_recipe(recipe, "list.yaml"), folder, "0" * 12, {}, Tombstones(), workers)


def manifest_of(out: AnyPath, stage: str) -> Manifest:
    """The manifest in force."""
    manifest = current_manifest(out, stage)
    assert manifest is not None, f"{stage} is not committed in {out}"
    return manifest


def table_rows(out: AnyPath, stage: str, prefix: str) -> list[dict[str, Any]]:
    """The rows of a stage's tables whose names begin with `prefix`."""
    manifest = manifest_of(out, stage)
    tables = sorted(file.path for file in manifest.files if file.path.startswith(prefix))
    folder = out / stage / manifest.fingerprint
    return [row for table in tables for row in read_table(folder / table).to_pylist()]


def manifest_bytes(out: AnyPath, stages: Sequence[str] = DATASETS) -> dict[str, bytes]:
    """The bytes of the manifests in force: with every file's SHA-256 in them, they stand for all bytes."""
    return {
        stage: (out / stage / manifest_of(out, stage).fingerprint / "manifest.json").read_bytes() for stage in stages
    }


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    """Waits until `condition()` holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)


def workers_of(process: subprocess.Popen[str]) -> Iterator[psutil.Process]:
    """The Beam worker processes below a running build."""
    below = [psutil.Process(process.pid)]
    for _ in ("the server of children", "a stage", "its nursery", "its workers"):
        below = [child for each in below for child in _children(each)]
    yield from below


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children())
    except psutil.NoSuchProcess:
        return []


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended, though nobody may have asked after it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    except psutil.NoSuchProcess:
        return True


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kills a build with everything below it, at once and without a word."""
    below = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    for child in below:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    process.communicate()
