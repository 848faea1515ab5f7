"""Objects of a store as files of this machine: fetched whole when first wanted, and kept while there is room.

A copy has no name: it goes with the process, however that ends. Pieces of an object for which there is no room are
asked for one by one.
"""

import os
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import BinaryIO, cast
from weakref import WeakValueDictionary

from shards.object_path import AnyPath, Listed, ObjectPath

ROOM_SHARE = 8
"""A copy may take one in so many of the bytes that are free where temporary files lie."""

MAX_COPIES = 256
"""Kept at a time: a process may commonly hold 1,024 files open."""

IDLE_S = 30.0
"""After which a copy goes where there is no room for another."""


@dataclass
class _Copy:
    descriptor: int
    seen: Listed
    used: float = field(default_factory=time.monotonic)


_copies: dict[ObjectPath, _Copy] = {}
_lock = threading.Lock()
"""Held while copies come and go, but not while an object is asked for: others may be wanted meanwhile."""

_asking: WeakValueDictionary[ObjectPath, threading.Lock] = WeakValueDictionary()
"""Held for each object while it is asked for: those who want it, too, wait for its copy."""


def open_file(path: AnyPath, *, is_final: bool = False) -> BinaryIO:
    """A file to be read, wherever it lies.

    Args:
        path: the file's.
        is_final: whether nobody writes another in its place, so that a copy need not be compared with it.

    Raises:
        FileNotFoundError: there is none.
    """
    if not isinstance(path, ObjectPath):
        return path.open("rb")
    with _asking_for(path):
        descriptor = _find(path, is_final=is_final)
        if descriptor is None:
            descriptor = _fetch(path, _looked_at(path))
        return cast("BinaryIO", os.fdopen(descriptor, "rb"))


def open_piecewise(path: AnyPath) -> int | None:
    """A descriptor to read pieces of a finished file by; None where those of an object are better asked for one by one.

    Raises:
        FileNotFoundError: there is none.
    """
    if not isinstance(path, ObjectPath):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with _asking_for(path):
        descriptor = _find(path, is_final=True)
        if descriptor is None:
            seen = _looked_at(path)
            descriptor = _fetch(path, seen) if _has_room(seen.bytes) else None
        return descriptor


def _asking_for(path: ObjectPath) -> threading.Lock:
    with _lock:
        return _asking.setdefault(path, threading.Lock())


def _descriptor(copy: _Copy) -> int:
    """A descriptor of its own, with a position of its own."""
    copy.used = time.monotonic()
    return os.open(f"/dev/fd/{copy.descriptor}", os.O_RDONLY | os.O_CLOEXEC)


def _find(path: ObjectPath, *, is_final: bool) -> int | None:
    """A descriptor of the copy that is kept, if it is one of what is there now."""
    seen = None if is_final or path not in _copies else path.look()
    with _lock:
        copy = _copies.get(path)
        if copy is None or is_final or copy.seen == seen:
            return None if copy is None else _descriptor(copy)
        os.close(_copies.pop(path).descriptor)
    return None


def _looked_at(path: ObjectPath) -> Listed:
    seen = path.look()
    if seen is None:
        raise FileNotFoundError(f"{path} is not there")
    return seen


def _fetch(path: ObjectPath, seen: Listed) -> int:
    """A descriptor of a new copy."""
    with _lock:
        _make_room(seen.bytes)
    with tempfile.TemporaryFile() as file:
        path.fetch(cast("BinaryIO", file), seen.bytes)
        with _lock:
            copy = _copies[path] = _Copy(os.dup(file.fileno()), seen)
            return _descriptor(copy)


def _has_room(num_bytes: int) -> bool:
    with _lock:
        _make_room(num_bytes)
    return _fits(num_bytes)


def _make_room(num_bytes: int) -> None:
    """Lets copies go, those first that were used longest ago, until another fits, or the rest is in use."""
    oldest = sorted(_copies, key=lambda path: _copies[path].used)
    for number, path in enumerate(oldest):
        is_idle = time.monotonic() - _copies[path].used > IDLE_S
        if len(oldest) - number >= MAX_COPIES or (is_idle and not _fits(num_bytes)):
            os.close(_copies.pop(path).descriptor)


def _fits(num_bytes: int) -> bool:
    return num_bytes * ROOM_SHARE <= shutil.disk_usage(tempfile.gettempdir()).free
