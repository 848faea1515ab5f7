"""Beam's worker processes, forked from one that has loaded Beam and the stage: 0.05 s where a fresh one takes 3.

Beam's own multi-processing mode starts a Python for each worker of each pipeline, and a crawl runs a pipeline a round.
Processes are forked from a small one that does nothing else, since Beam's threads, once started, forbid it (a fork
copies their locks, held or not, but not the threads).
"""

import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import psutil
from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import GrpcWorkerHandler, WorkerHandler
from apache_beam.runners.worker import sdk_worker_main
from apache_beam.transforms.environments import Environment
from google.protobuf import json_format, text_format

URN = "seedbed:env:forked_worker:v1"
END_WAIT_S = 30.0
"""How long a worker is waited for, whose pipeline has ended."""


class Nursery:
    """A process from which workers are forked; it must be started before Beam has run anything here.

    Attributes:
        pid: its process id; its children are the workers.
    """

    def __init__(self) -> None:
        ours, theirs = Pipe()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _fork_workers(theirs)
        theirs.close()
        self._requests = ours

    def start(self, environment: Mapping[str, str]) -> int:
        """Starts a worker with some more environment variables, and returns its process id."""
        self._requests.send(dict(environment))
        found: int = self._requests.recv()
        return found

    def close(self) -> None:
        """Ends it: the CPU time of all its workers then counts as that of this process's children."""
        self._requests.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


nursery: Nursery | None = None
"""Where this process gets its workers; Beam gives no way to pass it along."""


def open_nursery() -> None:
    """Makes this process one whose pipelines may have forked workers."""
    global nursery  # noqa: PLW0603 - see there
    nursery = Nursery()


def close_nursery() -> None:
    """Ends where this process's workers came from, if it had any."""
    global nursery  # noqa: PLW0603 - see there
    if nursery is not None:
        nursery.close()
        nursery = None


@Environment.register_urn(URN, bytes)
class ForkedWorkers(Environment):
    """Says that what runs in this environment runs in forked workers."""

    def to_runner_api_parameter(self, _: object) -> tuple[str, bytes]:
        """The URN and an empty payload."""
        return URN, b""

    @staticmethod
    def from_runner_api_parameter(
        _: bytes, capabilities: Iterable[str], artifacts: Iterable[Any], resource_hints: Mapping[str, bytes], __: object
    ) -> "ForkedWorkers":
        """The environment that `to_runner_api_parameter` speaks of."""
        return ForkedWorkers(capabilities, artifacts, resource_hints)


@WorkerHandler.register_environment(URN, bytes)
class ForkedWorkerHandler(GrpcWorkerHandler):
    """One worker, forked; what it logs goes where this process prints."""

    def __init__(self, _: bytes, state: object, provision_info: object, grpc_server: object) -> None:
        super().__init__(state, provision_info, grpc_server)

    def start_worker(self) -> None:
        """Starts the worker."""
        assert nursery is not None, "the stage's process opened it"
        address = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        environment = {
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(address),
            "PIPELINE_OPTIONS": json_format.MessageToJson(self.provision_info.provision_info.pipeline_options),
            "WORKER_ID": self.worker_id,
        }
        self._pid = nursery.start(environment)

    def stop_worker(self) -> None:
        """Waits until the worker has ended, which it does when its connection closes."""
        try:
            psutil.Process(self._pid).wait(END_WAIT_S)
        except psutil.NoSuchProcess:
            return


def _fork_workers(requests: Connection) -> None:
    """Forks a worker for each request, until whoever asks is gone; never returns."""
    signal.signal(signal.SIGCHLD, _bury)
    while True:
        try:
            environment = requests.recv()
        except EOFError:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            requests.close()
            _be_worker(environment)
        requests.send(pid)


def _bury(*_: object) -> None:
    """Lets workers that have ended vanish; their CPU time counts as this process's children's."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


def _be_worker(environment: Mapping[str, str]) -> None:
    """Works until the pipeline has ended; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.update(environment)
    status = 1
    try:
        sdk_worker_main.main([])
        status = 0
    finally:
        os._exit(status)
