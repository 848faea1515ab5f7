"""A command that is told to end, by whichever signal, ends as it does on Ctrl-C: nothing of it stays or is lost."""

import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from crawl.demo.server import DemoServer
from tests.arboretum import arguments, run
from tests.builds import is_gone, manifest_bytes, seedbed, started_seedbed, wait_for, workers_of
from tests.fake_flink import fake_flink, fake_job_server

CARRIES_ON = "seedbed: interrupted; run the same command again and it carries on"
MANY_SHARDS = ("triplets.draws=2", "triplets.max_shard_bytes=1048576", "triplets.buckets=8")


@pytest.fixture(autouse=True)
def hearing() -> Iterator[None]:
    """Whoever is started hears SIGHUP, also where the tests themselves run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def undisturbed(built: Path, server: DemoServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Triplets in many shards."""
    out = inputs(built, tmp_path_factory.mktemp("undisturbed"))
    run(server, out, *MANY_SHARDS, stages=("triplets",))
    return out


def inputs(built: Path, out: Path) -> Path:
    """A folder that holds what triplets are made of."""
    for stage in ("crawl", "images", "score"):
        (out / stage).symlink_to(built / stage)
    return out


def wait_for_shards(process: "subprocess.Popen[str]", out: Path) -> list[psutil.Process]:
    """Every process below a build, once it has finished a part."""
    wait_for(lambda: any(out.glob("triplets/*/_work/receipts/*.json")), "a shard")
    assert len(list(workers_of(process))) == 2
    return psutil.Process(process.pid).children(recursive=True)


def all_gone(processes: Iterable[psutil.Process]) -> bool:
    """Whether all of some processes have ended."""
    return all(map(is_gone, processes))


def tell_it(process: psutil.Process) -> None:
    """As `kill PID` and Kubernetes do."""
    process.terminate()


def tell_all(process: psutil.Process) -> None:
    """As `systemctl stop` does: everything that runs."""
    for each in (process, *process.children(recursive=True)):
        each.terminate()


def close_terminal(process: psutil.Process) -> None:
    """Who sat at it is told by the shell, and then, with what it has started, by the kernel."""
    process.send_signal(signal.SIGHUP)
    for each in (process, *process.children()):
        each.send_signal(signal.SIGHUP)


def test_a_build_that_is_told_to_end_leaves_no_process_and_is_carried_on_to_the_same_bytes(
    built: Path, undisturbed: Path, server: DemoServer, tmp_path: Path
):
    for tell, status in ((tell_it, 143), (tell_all, 143), (close_terminal, 129)):
        out = tmp_path / str(tell.__name__)
        out.mkdir()
        command = arguments(server, "triplets", inputs(built, out), *MANY_SHARDS, workers=2)
        with started_seedbed(*command) as process:
            below = wait_for_shards(process, out)
            tell(psutil.Process(process.pid))
            output, _ = process.communicate(timeout=30)
        assert (process.returncode, output.splitlines()[-1:]) == (status, [CARRIES_ON]), output
        wait_for(partial(all_gone, below), "every process to be gone", timeout_s=10)
        assert not (out / "triplets" / "current").exists()
    again = seedbed(*command)
    assert again.returncode == 0, again.stderr
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(undisturbed, ("triplets",))


def test_under_nohup_a_closed_terminal_changes_nothing(
    built: Path, undisturbed: Path, server: DemoServer, tmp_path: Path
):
    command = arguments(server, "triplets", inputs(built, tmp_path), *MANY_SHARDS, workers=2)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does; who is started inherits it
    try:
        with started_seedbed(*command) as process:
            wait_for_shards(process, tmp_path)
            close_terminal(psutil.Process(process.pid))
            output, _ = process.communicate(timeout=60)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.returncode == 0, output
    assert manifest_bytes(tmp_path, ("triplets",)) == manifest_bytes(undisturbed, ("triplets",))


def test_a_job_on_flink_ends_with_the_build_that_is_told_to(server: DemoServer, tmp_path: Path):
    handing_in, name = threading.Event(), f"seedbed {tmp_path}"
    with fake_flink(**{"slots-total": 2, "slots-available": 2}) as flink, fake_job_server(handing_in) as jobs:
        where = ("--runner", "flink", "--flink-job-endpoint", jobs, "--flink-rest", flink.address)
        with started_seedbed(*arguments(server, "crawl", tmp_path), *where) as process:
            assert handing_in.wait(60)
            (job,) = flink.list_jobs(("a", name, "RUNNING"))
            process.terminate()
            output, _ = process.communicate(timeout=30)
    assert (process.returncode, job["state"]) == (143, "CANCELED"), output
    assert output.splitlines()[-2:] == [f"{flink.address}: ending the Flink job '{name}'", CARRIES_ON]


def test_a_second_signal_ends_a_build_at_once(server: DemoServer, tmp_path: Path):
    handing_in = threading.Event()
    with fake_flink(**{"slots-total": 2, "slots-available": 2}) as flink, fake_job_server(handing_in) as jobs:
        where = ("--runner", "flink", "--flink-job-endpoint", jobs, "--flink-rest", flink.address)
        with started_seedbed(*arguments(server, "crawl", tmp_path), *where) as process:
            assert handing_in.wait(60)
            process.terminate()
            assert process.stdout is not None
            assert any("ending the Flink job" in line for line in process.stdout)  # which it would wait for
            process.terminate()
            output, _ = process.communicate(timeout=5)
    assert (process.returncode, output) == (143, f"{CARRIES_ON}\n")
