"""Beam's own job service, and an external pool that starts its workers: each a process, as on a cluster of one machine.

Run as a program, it is the job service. Beam's gives each pipeline one worker; this one as many as it is told to.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from pipelines.runners import Runner
from tests.loopback import free_port

ROOT = Path(__file__).parents[1]
START_S = 60.0


@contextmanager
def job_service(folder: Path, num_workers: int, environment: Mapping[str, str] | None = None) -> Iterator[Runner]:
    """Run both, logging into `folder`; workers live in some more environment variables."""
    service, pool = free_port(), free_port()
    programs = {
        "service": ["-m", "tests.job_service", str(num_workers), f"--port={service}"],
        "pool": ["-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={pool}"],
    }
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # the pool starts "python"
    known = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), **(environment or {})}
    with ExitStack() as running:
        for name, program in programs.items():
            running.enter_context(_process([sys.executable, *program], folder / f"{name}.log", known))
        for port in (service, pool):
            _wait_for(port, folder)
        yield Runner(f"localhost:{service}", f"localhost:{pool}")


def worker_ids(folder: Path) -> set[str]:
    """The ids of all workers that the pool has started."""
    return set(re.findall(r'worker_id="([^"]+)"', (folder / "pool.log").read_text()))


def pool_workers(runner: Runner) -> list[psutil.Process]:
    """The workers that the pool of a running job service has started."""
    option = f"--service_port={runner.worker_pool.rpartition(':')[2]}"
    (pool,) = [each for each in psutil.process_iter(["cmdline"]) if option in (each.info["cmdline"] or ())]
    found: list[psutil.Process] = pool.children()
    return found


@contextmanager
def _process(command: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=log.parent, stdout=file, stderr=file, env=environment, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(port: int, folder: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        with socket.socket() as asking:
            if not asking.connect_ex(("localhost", port)):
                return
        assert time.monotonic() < end, "".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
        time.sleep(0.1)


def _serve(num_workers: int, arguments: list[str]) -> None:
    from apache_beam.runners.portability import local_job_service_main  # noqa: PLC0415
    from apache_beam.runners.portability.fn_api_runner import fn_runner  # noqa: PLC0415

    class ManyWorkers(fn_runner.FnApiRunner):  # type: ignore[misc]
        """What the job service runs a pipeline on, with more than one worker."""

        def __init__(self, *known: object, **named: object) -> None:
            super().__init__(*known, **named)
            self._num_workers = num_workers

    fn_runner.FnApiRunner = ManyWorkers
    local_job_service_main.run(arguments)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2:])
