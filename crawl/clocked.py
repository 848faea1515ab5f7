"""A call under a clock: in a process of its own, which ends when it has used its share of processor time.

Alarms interrupt main threads only, and no C code; Beam works in other threads, which also forbid a fork. So the process
is a fresh Python. Processor time, unlike a clock on the wall, does not depend on what else the machine does.
"""

import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

COMMAND = (sys.executable, "-c", "from crawl.clocked import answer; answer()")


class TookTooLongError(Exception):
    """The call has used up its processor time."""


def call_within(cpu_s: int, function: Callable[..., T], *args: object) -> T:
    """Return what `function`, which must stand in a module, returns in a process of its own.

    Args:
        cpu_s: most processor time, in seconds; starting the process takes about one of them.
        function: is called there.
        args: what it is given.

    Raises:
        TookTooLongError: it has used more.
        RuntimeError: the process ended otherwise without an answer.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    question = pickle.dumps((cpu_s, function, args))
    ended = subprocess.run(COMMAND, input=question, capture_output=True, env=environment, check=False)
    if ended.returncode == -signal.SIGXCPU:
        raise TookTooLongError(f"more than {cpu_s} s of processor time")
    if ended.returncode != 0:
        last_words = ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise RuntimeError(f"{function.__name__} ended with status {ended.returncode}: {last_words}")
    found: T = pickle.loads(ended.stdout)
    return found


def answer() -> None:
    """Read a question of `call_within` and write the answer; the main function of its process."""
    cpu_s, function, args = _read_question()
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = function(*args)
    sys.stdout.buffer.write(pickle.dumps(found))


def _read_question() -> tuple[int, Callable[..., Any], tuple[object, ...]]:
    question: tuple[int, Callable[..., Any], tuple[object, ...]] = pickle.load(sys.stdin.buffer)
    return question
