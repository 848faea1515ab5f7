"""What is said of a stage whose process is killed, and of jobs that it may leave on a cluster."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipelines import watch
from pipelines.errors import StageError
from pipelines.runners import Runner
from pipelines.stages import Job
from pipelines.watch import run_watched
from tests.builds import list_job
from tests.fake_flink import fake_flink, fake_job_server

NAME = "seedbed x"
ENDING = "ending the Flink job 'seedbed x'"


def given_up(job: Job, tick: Callable[[], object] = lambda: None) -> str:
    """The line with which a stage is given up."""
    with pytest.raises(StageError) as told:
        run_watched(job, tick, print)
    return str(told.value)


def test_a_stage_whose_own_process_is_killed_says_so_and_how_often(tmp_path: Path):
    mine = psutil.Process()
    before = {each.pid for server in mine.children() for each in server.children()}
    killed: set[int] = set()

    def kill() -> None:
        for stage in (each for server in mine.children() for each in server.children()):
            if stage.pid not in before | killed:
                stage.kill()
                killed.add(stage.pid)

    with fake_job_server(threading.Event()) as jobs:  # which keeps whoever hands a job in
        runner = Runner(job_service=jobs, worker_pool="localhost:1", retries=1)
        line = given_up(replace(list_job(tmp_path, []), runner=runner), kill)
    why = "its own process, on this machine, was killed (out of memory?)"
    assert line.startswith(f"crawl: given up after 2 tries; the last: {why}; see {tmp_path}/crawl/")
    assert len(killed) == 2


@pytest.mark.parametrize(
    ("left", "warnings"),
    [
        (
            [],
            [
                ENDING,
                "no job called 'seedbed x' runs yet, though one was being handed in; "
                "if it comes, the next build ends it",
            ],
        ),
        (
            ["RUNNING"],
            [ENDING, "a job called 'seedbed x' still runs, though told to end; the next build asks again"] * 2,
        ),
    ],
)
def test_jobs_that_may_be_left_on_a_cluster_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    left: list[str],
    warnings: list[str],
):
    monkeypatch.setattr(watch, "APPEAR_S", 0.0)
    monkeypatch.setattr("pipelines.flink.rest.END_S", 0.1)
    with fake_flink() as there, fake_job_server() as jobs, caplog.at_level(logging.WARNING):
        there.list_jobs(*(("a", NAME, state) for state in left), then="CANCELLING")
        runner = Runner(job_service=jobs, worker_pool="localhost:1", rest=there.address, job_name=NAME, retries=0)
        line = given_up(replace(list_job(tmp_path, []), runner=runner))
    assert line.startswith(f"crawl: {jobs}: the job server does not take the job (unimplemented); see {tmp_path}")
    assert caplog.messages == [f"{there.address}: {warning}" for warning in warnings]
