"""What an interpreter runs that decides bytes, and whether it is what whoever asked for its work runs."""

import functools
import hashlib
import importlib.util
import platform
from collections.abc import Mapping
from pathlib import Path

from pipelines.stages import STAGES, library_version

ROOMS = ("crawl", "models", "pipelines", "shards")
DECIDING = frozenset({".json", ".py", ".txt"})
"""Suffixes of the files of ours that come along and decide what is written."""

Identity = Mapping[str, str]
"""Versions of Python, of Seedbed and of libraries, and a hash of Seedbed's files."""


@functools.cache
def identity() -> Identity:
    """What decides bytes here; it takes some 30 ms, once a process."""
    libraries = sorted({"apache-beam", "seedbed"}.union(*(stage.libraries for stage in STAGES.values())))
    versions = {name: library_version(name) for name in libraries}
    return {"Python": platform.python_version().rpartition(".")[0], **versions, "Seedbed's source": _digest()}


def difference(wanted: Identity) -> str:
    """In what this interpreter differs from what is wanted, or nothing."""
    found = identity()
    other = next((name for name in wanted if found.get(name) != wanted[name]), None)
    if other is None:
        return ""
    return f"runs {other} {found.get(other, 'absent')}, and the machine that began the build {wanted[other]}"


def _digest() -> str:
    digest = hashlib.sha256()
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        folder = Path(spec.origin).parent if spec is not None and spec.origin else Path(room)
        for path in sorted(path for path in folder.rglob("*") if path.suffix in DECIDING):
            digest.update(f"{room}/{path.relative_to(folder).as_posix()}".encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
