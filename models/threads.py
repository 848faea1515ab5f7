"""How many threads a CPU trains with: all, or one where other work on the machine makes threads wait for each other."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

TRIAL_STEPS = 5
"""Training steps with each number of threads, to compare their medians."""

KEPT_STEPS = 60
"""Training steps with the faster number, before both are tried again."""


class Threads:
    """Tries all threads and one alone during training itself, and keeps to the faster for a while.

    Several threads wait for the slowest at every layer. Two on an idle machine with two cores trained 1.8 times as fast
    as one, but several times slower than one where other programs wanted the same cores. Another number of threads
    changes the last digits of sums, so this is for training by the clock, which is never the same twice.
    """

    def __init__(self) -> None:
        self._choices = (torch.get_num_threads(), 1)
        self._seconds: dict[int, list[float]] = {}
        self._num_kept = 0
        self._started = time.perf_counter()

    def next_step(self) -> None:
        """Take note of how long the step just done took, and set the number of threads of the next one."""
        now = time.perf_counter()
        self._seconds.setdefault(torch.get_num_threads(), []).append(now - self._started)
        torch.set_num_threads(self._choose())
        self._started = time.perf_counter()

    def _choose(self) -> int:
        for threads in self._choices:
            if len(self._seconds.get(threads, ())) < TRIAL_STEPS:
                return threads
        self._num_kept += 1
        if self._num_kept > KEPT_STEPS:
            self._num_kept = 0
            self._seconds.clear()
            return self._choices[0]
        return min(self._choices, key=lambda threads: statistics.median(self._seconds[threads][:TRIAL_STEPS]))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread for a while: its sums are then the same wherever there are more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
