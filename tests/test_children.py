"""Processes that a process has started, and which of them a watchdog takes for its workers."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe, Process

import psutil
import pytest

from pipelines import watch
from pipelines.children import children
from tests.builds import wait_for


@contextmanager
def shell(script: str) -> Iterator[psutil.Process]:
    """A running shell, ended with all below it."""
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            os.killpg(process.pid, 9)


def test_the_processes_that_one_has_started_itself_are_found_and_none_below_them():
    with shell("sh -c 'sleep 30 & wait' & sleep 30 & wait") as mine:
        wait_for(lambda: len(mine.children(recursive=True)) == 3, "three processes")
        found, expected = children(mine.pid), {process.pid for process in mine.children()}
    assert len(found) == 2
    assert set(found) == expected
    assert children(mine.pid) == []


def test_a_worker_that_ends_is_missed_and_what_a_worker_has_started_is_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watch, "GRACE_S", 0.0)
    with shell("sh -c 'sleep 31 & wait; sleep 30' & wait") as nursery:
        wait_for(lambda: len(nursery.children(recursive=True)) == 2, "a worker, and what it has started")
        ends = Pipe()
        child = watch._Watched(Process(), *ends, threading.Thread())
        assert not watch._lost_a_worker(child), "no pipeline runs"
        watch._note_pipeline(child, nursery=nursery.pid)
        assert not watch._lost_a_worker(child)
        (worker,) = nursery.children()
        (started,) = worker.children()
        started.kill()
        wait_for(lambda: started.pid not in children(worker.pid), "its end")
        time.sleep(0.01)
        assert [watch._lost_a_worker(child), watch._lost_a_worker(child)] == [False, False]
        worker.kill()
        wait_for(lambda: watch._lost_a_worker(child), "the worker's end")
