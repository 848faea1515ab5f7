"""The processes that a process has started, found at a small part of the cost of looking at all that run.

Source: proc_pid_children(5): a process's children stand in `/proc/PID/task/TID/children`, under the thread that
started each.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_HAS_CHILDREN = Path("/proc/thread-self/children").exists()
"""Whether the system is a Linux that keeps such files."""


def descendants(pid: int) -> list[int]:
    """The numbers of all processes below one, however deep; those that end meanwhile may be missing."""
    if not _HAS_CHILDREN:
        with suppress(psutil.NoSuchProcess):
            return [process.pid for process in psutil.Process(pid).children(recursive=True)]
        return []
    found, waiting = [], [pid]
    while waiting:
        children = list(_children(waiting.pop()))
        found += children
        waiting += children
    return found


def _children(pid: int) -> Iterator[int]:
    with suppress(FileNotFoundError, ProcessLookupError):  # a process or thread that has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                yield from map(int, (task / "children").read_text("ascii").split())
