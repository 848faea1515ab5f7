"""Processes that a process has started."""

import os
import subprocess
import time

import psutil

from pipelines.descendants import descendants


def test_all_processes_below_one_are_found_however_deep():
    with subprocess.Popen(["sh", "-c", "sh -c 'sleep 30 & wait' & wait"], start_new_session=True) as shell:
        mine, until = psutil.Process(shell.pid), time.monotonic() + 20
        while len(mine.children(recursive=True)) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        expected = {process.pid for process in mine.children(recursive=True)}
        found = descendants(shell.pid)
        os.killpg(shell.pid, 9)
    assert len(found) == 2
    assert set(found) == expected
    assert descendants(shell.pid) == []
