"""The processes that a process has started itself, found at a small part of the cost of looking at all that run.

Source: proc_pid_children(5): a process's children stand in `/proc/PID/task/TID/children`, under the thread that
started each.
"""

from contextlib import suppress
from pathlib import Path

import psutil

_HAS_CHILDREN = Path("/proc/thread-self/children").exists()
"""Whether the system is a Linux that keeps such files."""


def children(pid: int) -> list[int]:
    """The numbers of the children of a process; those that end meanwhile may be missing."""
    if not _HAS_CHILDREN:
        with suppress(psutil.NoSuchProcess):
            return [process.pid for process in psutil.Process(pid).children()]
        return []
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # a process or thread that has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, (task / "children").read_text("ascii").split())
    return found
