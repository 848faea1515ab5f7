"""A worker of a cluster: Beam's pool of Python workers and the engine's own process beside it, ended and begun as one.

    python -m pipelines.worker_unit -- TASKMANAGER-COMMAND …

A TaskManager whose Python worker was killed may fail every later job ("CANCELLED: call already cancelled") until it is
started anew, and two TaskManagers must never share a pool. So whichever of the two ends, or when a Python worker of the
pool was killed, both are killed, and both start again; the engine sees one worker leave and another come.
"""

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)

POOL_PORT = 50000
_POLL_S = 0.5
_PAUSE_S = 1.0
"""Between the end of a unit and the start of the next, so that one which cannot start does not spin."""
ROLE = "SEEDBED_ROLE"
"""The environment variable that tells the processes of a unit apart."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs units, one after the other, until this process is told to end."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.worker_unit", description=__doc__)
    parser.add_argument("--port", type=int, default=POOL_PORT, help="the pool's, on this host")
    parser.add_argument("engine", nargs="+", metavar="COMMAND", help="of the TaskManager")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pool = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={options.port}"]
    while True:
        run_unit({"pool": pool, "taskmanager": options.engine})
        time.sleep(_PAUSE_S)


def run_unit(commands: Mapping[str, Sequence[str]]) -> str:
    """Runs commands, the first of them Beam's pool, until one ends; kills them all, and returns what ended."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for role, command in commands.items():
            running[role] = _start(role, command)
        reason = _watch(running)
        logger.warning("%s: the unit is killed and started again", reason)
        return reason
    finally:
        for process in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def killed_children(pid: int) -> set[int]:
    """Children of a process that a signal ended, and that it has not asked after.

    The pool asks after every Python worker that it ends itself, with SIGTERM; others end on their own when their job
    does, with an error if it was cancelled. What another signal ended was killed by someone else, or for its memory.
    """
    found = set()
    with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
        for child in psutil.Process(pid).children():
            if child.status() == psutil.STATUS_ZOMBIE and _signal_of(child.pid) not in (0, signal.SIGTERM):
                found.add(child.pid)
    return found


def _start(role: str, command: Sequence[str]) -> "subprocess.Popen[bytes]":
    # Beam's pool starts "python" from PATH: it has to be this one.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return subprocess.Popen(command, env=os.environ | {"PATH": path, ROLE: role}, start_new_session=True)


def _watch(running: "Mapping[str, subprocess.Popen[bytes]]") -> str:
    """Waits until a process ends, or a Python worker was killed; returns which."""
    pool, before = next(iter(running.values())), set[int]()
    while True:
        for role, process in running.items():
            if process.poll() is not None:
                return f"{role} ended with status {process.returncode}"
        now = killed_children(pool.pid)
        if now & before:  # seen twice: not one that the pool is just asking after
            return "a Python worker was killed"
        before = now
        time.sleep(_POLL_S)


def _signal_of(pid: int) -> int:
    """The signal that ended a process, 0 if none did. Source: proc_pid_stat(5), field 52, and wait(2)."""
    return int(Path(f"/proc/{pid}/stat").read_text().split()[-1]) & 0x7F


if __name__ == "__main__":
    main()
