"""One real Airflow: the schedule, Assets, backfills and cleared tasks, as its own interface shows them."""

import functools
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from pipelines.folders import committed_versions
from shards.manifest import read_manifest
from tests.airflow_home import AIRFLOW, AirflowHome, Api, make_home, needs_airflow
from tests.builds import manifest_of, wait_for
from tests.loopback import free_port

pytestmark = [pytest.mark.slow, needs_airflow]

MEADOW = """
name: meadow
contact: gardener@example.org
crawl: {{sources: {{drawn: {{source: folder, path: "{folder}"}}}}}}
text: {{}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    home = make_home(tmp_path_factory.mktemp("standalone"))
    (home.recipes / "meadow.yaml").write_text(MEADOW.format(folder=home.folder / "drawn"))
    (home.recipes / "meadow.dag.yaml").write_text("{schedule: 0 3 2 * *, retries: 0}")
    return home


@pytest.fixture(scope="module")
def process(home: AirflowHome) -> Iterator[psutil.Process]:
    """A real Airflow, from its first start until everything of it has ended."""
    seldom = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300"}  # to read the DAGs again is a fifth of a core
    environment = home.environment(AIRFLOW__API__PORT=str(free_port()), **seldom)
    with (home.folder / "standalone.log").open("w") as log:
        started = subprocess.Popen(
            [str(AIRFLOW / "airflow.sh"), "standalone"], env=environment, cwd=home.folder, stdout=log, stderr=log
        )
    yield psutil.Process(started.pid)
    family = _family(psutil.Process(started.pid))
    started.terminate()
    _, alive = psutil.wait_procs(family, timeout=120)
    for each in alive:
        each.kill()
    started.wait()
    assert not alive, alive


@pytest.fixture(scope="module")
def api(home: AirflowHome, process: psutil.Process) -> Api:
    """Its interface, once it has read the DAGs."""
    api = Api(f"http://127.0.0.1:{process.environ()['AIRFLOW__API__PORT']}")
    wait_for(lambda: _is_healthy(api), "Airflow to start", 300)
    api.log_in(home)
    for dag in ("build_garden", "train_denoiser_garden", "build_meadow"):
        wait_for(functools.partial(_is_known, api, dag), f"{dag} to be read", 120)
        api.ask(f"/api/v2/dags/{dag}", "PATCH", {"is_paused": False})
    return api


def test_a_published_data_set_starts_the_training(api: Api, home: AirflowHome):
    api.ask("/api/v2/dags/build_garden/dagRuns", "POST", {"logical_date": "2026-11-20T00:00:00Z"})
    (run,) = _ended(api, "train_denoiser_garden", 1)
    assert (run["state"], run["run_type"]) == ("success", "asset_triggered")
    out = home.folder / "builds/garden"
    trained = out / "runs" / f"denoiser-{manifest_of(out, 'triplets').fingerprint}"
    assert (trained / "results.json").exists()
    assert (trained / "trees.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_listens_but_on_loopback(api: Api, process: psutil.Process):
    assert api.token
    assert {address for each in _family(process) for address in _listening(each)} == {"127.0.0.1"}


def test_a_backfill_makes_a_snapshot_of_each_date_and_a_cleared_task_makes_nothing_new(api: Api, home: AirflowHome):
    # The schedule's own run and the two that are filled in are at work at once, and take turns.
    dates = {"from_date": "2026-01-01T00:00:00Z", "to_date": "2026-02-10T00:00:00Z", "max_active_runs": 2}
    api.ask("/api/v2/backfills", "POST", {"dag_id": "build_meadow", **dates})
    runs = _ended(api, "build_meadow", 3)
    assert {run["state"] for run in runs} == {"success"}
    filled_in = {run["logical_date"]: run["dag_run_id"] for run in runs if run["run_type"] == "backfill"}
    assert sorted(filled_in) == ["2026-01-02T03:00:00Z", "2026-02-02T03:00:00Z"]
    out = home.folder / "builds/meadow"
    snapshots = [read_manifest(folder).configuration["snapshot"] for folder in committed_versions(out / "crawl")]
    assert sorted(snapshots) == sorted(_snapshot(run["logical_date"]) for run in runs)

    files = _files(out)
    for date, run_id in filled_in.items():
        run = f"/api/v2/dags/build_meadow/dagRuns/{quote(run_id, safe='')}"
        what = {"dag_run_id": run_id, "task_ids": ["crawl"], "include_downstream": True}
        what |= {"dry_run": False, "only_failed": False}
        api.ask("/api/v2/dags/build_meadow/clearTaskInstances", "POST", what)
        assert {run["state"] for run in _ended(api, "build_meadow", 3)} == {"success"}
        for stage in ("crawl", "text"):
            said = [entry["event"] for entry in api.ask(f"{run}/taskInstances/{stage}/logs/2")["content"]]
            assert [line for line in said if line.startswith(f"{stage:<9} up to date")], said
        assert manifest_of(out, "crawl").configuration["snapshot"] == _snapshot(date)
    assert _files(out) == files


def _snapshot(date: str) -> str:
    """The name of the snapshot of a logical date."""
    return date.replace("-", "").replace(":", "")


def _files(out: Path) -> dict[Path, int]:
    """When each file of the committed versions was last written, in nanoseconds."""
    paths = [path for stage in ("crawl", "text") for path in (out / stage).glob("*/**/*")]
    return {path: path.stat().st_mtime_ns for path in paths}


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _listening(process: psutil.Process) -> set[str]:
    try:
        return {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    except psutil.NoSuchProcess:
        return set()


def _is_healthy(api: Api) -> bool:
    try:
        health = api.ask("/api/v2/monitor/health")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        time.sleep(1)
        return False
    return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))


def _is_known(api: Api, dag: str) -> bool:
    time.sleep(1)
    return dag in {each["dag_id"] for each in api.ask("/api/v2/dags")["dags"]}


def _ended(api: Api, dag: str, count: int) -> list[dict[str, Any]]:
    """The runs of a DAG, once there are so many and all have ended."""
    found: list[dict[str, Any]] = []

    def have_ended() -> bool:
        time.sleep(2)
        found[:] = api.ask(f"/api/v2/dags/{dag}/dagRuns")["dag_runs"]
        return len(found) == count and all(run["state"] in ("success", "failed") for run in found)

    wait_for(have_ended, f"{count} runs of {dag} to end", 600)
    return found
