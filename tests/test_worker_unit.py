"""A worker's TaskManager and its pool of Python workers end and begin together."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, endpoints_pb2

from pipelines.worker_unit import ROLE
from tests.builds import wait_for
from tests.loopback import free_port

ENGINE = ("sleep", "600")


class Unit:
    """A running supervisor, with a command in the place of a TaskManager."""

    def __init__(self, folder: Path) -> None:
        self.port, self.log = free_port(), folder / "log"
        command = [sys.executable, "-m", "pipelines.worker_unit", f"--port={self.port}", "--", *ENGINE]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def pids(self, role: str) -> set[int]:
        """The processes of a role, the pool's Python workers among the pool's."""
        return {each.pid for each in self._living() if _role_of(each) == role}

    def start_python(self) -> None:
        """Ask the pool for a Python worker, as a TaskManager does; it waits for one that never answers."""
        nobody = endpoints_pb2.ApiServiceDescriptor(url=f"localhost:{free_port()}")
        request = beam_fn_api_pb2.StartWorkerRequest(worker_id="1-1", control_endpoint=nobody)
        with grpc.insecure_channel(f"localhost:{self.port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
            answer = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel).StartWorker(request)
        assert not answer.error

    def kill_all(self) -> None:
        below = self._living()
        self.process.kill()
        for each in below:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait()

    def _living(self) -> list[psutil.Process]:
        if self.process.poll() is not None:
            return []
        return psutil.Process(self.process.pid).children(recursive=True)


def _role_of(process: psutil.Process) -> str | None:
    with suppress(psutil.NoSuchProcess):
        return process.environ().get(ROLE)
    return None


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    running = Unit(tmp_path)
    try:
        wait_for(lambda: running.pids("pool") and running.pids("taskmanager"), "the unit")
        yield running
    finally:
        running.kill_all()


def wait_for_another(unit: Unit, before: set[int]) -> None:
    """The supervisor says what happened before it kills what is left of the unit."""
    wait_for(lambda: not before & (unit.pids("pool") | unit.pids("taskmanager")), "the end of the unit before")
    wait_for(lambda: len(unit.pids("pool")) == len(unit.pids("taskmanager")) == 1, "another unit")


@pytest.mark.parametrize("role", ["taskmanager", "pool"])
def test_when_one_is_killed_both_are_started_again(unit: Unit, role: str):
    before = unit.pids("pool") | unit.pids("taskmanager")
    os.kill(unit.pids(role).pop(), signal.SIGKILL)
    wait_for(lambda: "ended with status -9" in unit.log.read_text(), "the supervisor's notice")
    wait_for_another(unit, before)
    assert f"{role} ended with status -9: the unit is killed and started again" in unit.log.read_text()


def test_a_killed_python_worker_takes_the_taskmanager_along(unit: Unit):
    pool = unit.pids("pool")
    unit.start_python()
    python = unit.pids("pool") - pool
    assert len(python) == 1
    before = unit.pids("pool") | unit.pids("taskmanager")
    os.kill(python.pop(), signal.SIGKILL)
    wait_for(lambda: "a Python worker was killed" in unit.log.read_text(), "the supervisor's notice")
    wait_for_another(unit, before)


def test_told_to_end_it_leaves_nothing(unit: Unit):
    unit.start_python()
    before = unit.pids("pool") | unit.pids("taskmanager")
    unit.process.terminate()
    assert unit.process.wait(30) == 0
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in before), "the end of all")
