"""The DAGs, in Airflow's own environment: what they are, and whole runs of them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.airflow_home import AIRFLOW, PYTHON, AirflowHome, make_home, needs_airflow
from tests.builds import manifest_of, seedbed

pytestmark = needs_airflow

LIST = """
import json, sys
from pathlib import Path
from airflow.dag_processing.dagbag import BundleDagBag
folder, to = map(Path, sys.argv[1:])
bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder", load_op_links=False)
to.write_text(json.dumps({
    "errors": bag.import_errors,
    "seconds": [file.duration.total_seconds() for file in bag.dagbag_stats],
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "dags": {
        dag.dag_id: {
            "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
            "minutes": {task.task_id: task.execution_timeout.total_seconds() / 60 for task in dag.tasks
                        if task.execution_timeout},
            "schedule": dag.schedule if isinstance(dag.schedule, str) or dag.schedule is None else
                        [asset.name for asset in dag.schedule],
            "params": dict(dag.params.dump()),
        }
        for dag in bag.dags.values()
    },
}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    return make_home(tmp_path_factory.mktemp("airflow"))


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow finds in the folder of DAGs, with three recipes: whole, of text alone, and broken."""
    folder = tmp_path_factory.mktemp("listed")
    home = AirflowHome(folder)
    home.recipes.mkdir()
    (home.recipes / "whole.yaml").write_text("images: {}\nscore: {}\ntext: {}\ntriplets: {}\nwindows: {}\n")
    (home.recipes / "whole.dag.yaml").write_text("schedule: 0 3 * * 1\ntimeout_h: {crawl: 48}\n")
    (home.recipes / "prose.yaml").write_text("text: {}\nwindows: {}\nimages: null\n")
    (home.recipes / "prose.dag.yaml").write_text("schedule: null\ntrain: {language: [--seconds, '60']}\n")
    (home.recipes / "broken.yaml").write_text("text: [\n")
    (home.recipes / "notes.txt").write_text("no recipe")
    (home.recipes / "my trees.yaml").write_text("text: {}\n")
    for name, settings in {
        "often": "schedule: every now and then",
        "long": "timeout_h: 48",
        "longer": "timeout_h: {crawl: long}",
        "trained": "train: {language: --seconds 60}",
        "odd": "retires: 1",
    }.items():
        (home.recipes / f"{name}.yaml").write_text("text: {}\n")
        (home.recipes / f"{name}.dag.yaml").write_text(settings)
    to = folder / "listed.json"
    command = [str(PYTHON), "-c", LIST, str(AIRFLOW / "dags"), str(to)]
    subprocess.run(command, env=home.environment(), cwd=folder, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(to.read_text())
    return found


def test_the_dags_are_read_without_errors_in_under_a_second(listed: dict[str, Any]):
    assert len(listed["seconds"]) == 4
    assert sum(listed["seconds"]) < 1


def test_a_recipe_that_cannot_be_scheduled_is_told_of_and_takes_nothing_from_the_others(listed: dict[str, Any]):
    ((where, told),) = listed["errors"].items()
    assert where.endswith("seedbed_faults.py")
    for fault in (
        "my trees.yaml: a DAG is named after it",
        "often.dag.yaml",
        "long.dag.yaml: timeout_h is 48",
        "longer.dag.yaml: timeout_h is {'crawl': 'long'}",
        "trained.dag.yaml: train is {'language': '--seconds 60'}",
        "odd.dag.yaml",
    ):
        assert fault in told


def test_reading_the_dags_loads_nothing_of_ours_and_nothing_heavy(listed: dict[str, Any]):
    ours_or_heavy = {"crawl", "shards", "models", "pipelines", "numpy", "pandas", "torch", "pyarrow", "apache_beam"}
    assert not ours_or_heavy & set(listed["modules"])


def test_each_recipe_has_dags_and_every_stage_a_task(listed: dict[str, Any]):
    tasks = {name: dag["tasks"] for name, dag in listed["dags"].items()}
    training = {"train": ["grow"], "grow": []}
    assert tasks == {
        "build_broken": {"crawl": ["verify"], "verify": []},
        "build_prose": {
            "crawl": ["text"],
            "text": ["windows"],
            "windows": ["publish_windows", "verify"],
            "verify": ["publish_windows"],
            "publish_windows": [],
        },
        "build_whole": {
            "crawl": ["images", "text"],
            "images": ["score"],
            "score": ["triplets"],
            "text": ["windows"],
            "triplets": ["publish_triplets", "verify"],
            "windows": ["publish_windows", "verify"],
            "verify": ["publish_triplets", "publish_windows"],
            "publish_triplets": [],
            "publish_windows": [],
        },
        "train_denoiser_whole": training,
        "train_language_prose": training,
        "train_language_whole": training,
        "verify_builds": {"broken": [], "prose": [], "whole": []},
    }


def test_schedules_timeouts_and_arguments_are_those_beside_the_recipe(listed: dict[str, Any]):
    dags = listed["dags"]
    assert {name: dag["schedule"] for name, dag in dags.items()} == {
        "build_broken": "@weekly",
        "build_prose": None,
        "build_whole": "0 3 * * 1",
        "train_denoiser_whole": ["whole_triplets"],
        "train_language_prose": ["prose_windows"],
        "train_language_whole": ["whole_windows"],
        "verify_builds": "@weekly",
    }
    assert dags["train_language_prose"]["params"] == {"arguments": ["--seconds", "60"]}
    whole = dags["build_whole"]
    assert (whole["minutes"]["crawl"], whole["minutes"]["images"]) == (48 * 60, 24 * 60)
    assert whole["tasks"].keys() - whole["minutes"].keys() == {"publish_triplets", "publish_windows"}
    where = {"runner", "worker_pool", "flink_job_endpoint", "flink_rest", "flink_stuck_after", "flink_retries"}
    assert whole["params"].keys() == {"set", "snapshot", "workers", "deep", *where}


@pytest.mark.slow
def test_a_run_builds_every_stage_of_its_snapshot_and_publishes_the_data_sets(home: AirflowHome):
    log, states = home.run("build_garden", "2026-11-02", {"set": ["triplets.steps=3"]})
    assert set(states.values()) == {"success"}, log
    assert len(states) == 8
    assert "triplets  12 in, 12 kept, 0 rejected, 0 failed" in log
    out = home.folder / "builds/garden"
    assert manifest_of(out, "crawl").configuration["snapshot"] == "20261102T000000Z"
    assert sum(manifest_of(out, "triplets").splits.values()) == 36
    query = "select task_id, value from xcom where dag_id = 'build_garden' and key = 'return_value'"
    counts = {task: json.loads(value) for task, value in home.rows(query)}
    for stage in ("crawl", "images", "text", "triplets", "windows"):
        manifest = manifest_of(out, stage)
        assert counts[stage]["fingerprint"] == manifest.fingerprint
        assert (counts[stage]["records_in"], counts[stage]["kept"]) == (
            manifest.counts.records_in,
            manifest.counts.kept,
        )
    query = "select name, e.extra from asset_event e join asset a on a.id = e.asset_id order by name"
    events = [(name, json.loads(extra)) for name, extra in home.rows(query)]
    assert [(name, {**counts[name.removeprefix("garden_")], **extra}) for name, extra in events] == [
        ("garden_triplets", counts["triplets"]),
        ("garden_windows", counts["windows"]),
    ]
    assert len(events[0][1]["manifest_sha256"]) == 64


@pytest.mark.slow
def test_a_run_for_a_snapshot_that_stands_makes_nothing_twice(home: AirflowHome):
    for day in ("2026-11-09", "2026-11-10"):
        log, states = home.run("build_garden", day, {"snapshot": "autumn"})
        assert set(states.values()) == {"success"}, log
    for stage in ("crawl", "images", "text", "triplets", "windows"):
        assert re.search(rf"{stage} +up to date \(\d+ kept\)", log)
    log, states = home.run("verify_builds", "2026-11-10", {})
    assert states["garden"] == "success", log
    assert "no fault (every byte read)" in log


def test_a_recipe_that_cannot_be_used_fails_at_once_with_the_commands_own_words(home: AirflowHome):
    log, states = home.run("build_garden", "2026-11-03", {"set": ["images.size=huge"]})
    assert (states["crawl"], states["images"], states["publish_triplets"]) == (
        "failed",
        "upstream_failed",
        "upstream_failed",
    )
    told = log[log.index("seedbed crawl ended with status 2:") :]
    assert "seedbed: " in told
    assert "images.size: 'huge' will not do" in told


@pytest.mark.parametrize(
    ("day", "given", "options"),
    [
        ("2026-11-05", {}, "--workers 0 --runner local"),
        (
            "2026-11-06",
            {"workers": 3, "runner": "flink", "flink_stuck_after": 900.5, "flink_retries": 0, "worker_pool": "w:50000"}
            | {"flink_job_endpoint": "127.0.0.1:9", "flink_rest": "127.0.0.1:10"},
            "--workers 3 --runner flink --worker-pool w:50000 --flink-job-endpoint 127.0.0.1:9 "
            "--flink-rest 127.0.0.1:10 --flink-stuck-after 900.5 --flink-retries 0",
        ),
    ],
)
def test_a_run_works_where_its_parameters_say(
    home: AirflowHome, tmp_path: Path, day: str, given: dict[str, object], options: str
):
    command = tmp_path / "seedbed"
    command.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n[ "$1" != stats ] || echo \'[{{"fingerprint": "0"}}]\'\n'
    )
    command.chmod(0o755)
    recipe = home.recipes / "where.yaml"
    source = f'{{source: folder, path: "{home.folder / "drawn"}"}}'
    recipe.write_text(f"name: where\ncontact: gardener@example.org\ncrawl: {{sources: {{drawn: {source}}}}}\n")
    log, states = home.run("build_where", day, given, AIRFLOW_VAR_SEEDBED_COMMAND=str(command))
    assert states == {"crawl": "success", "verify": "success"}, log
    out, snapshot = home.folder / "builds/where", f"crawl.snapshot={day.replace('-', '')}T000000Z"
    crawl = f"crawl {recipe} --out {out} {options} --set {snapshot}"
    assert (tmp_path / "told").read_text().splitlines() == [crawl, f"stats {out}/crawl --json", f"verify {out}"]
    if "flink" in options:  # the command takes them all, and finds nobody there
        done = seedbed(*crawl.split())
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
        assert "127.0.0.1:" in done.stderr


def test_a_command_out_of_time_is_interrupted_and_can_put_its_things_in_order(home: AirflowHome, tmp_path: Path):
    command = tmp_path / "seedbed"
    command.write_text(
        f"#!/bin/sh\ntrap 'echo putting things in order; echo interrupted > {tmp_path}/told; exit 130' INT\n"
        f"echo $$ > {tmp_path}/process\necho at work\nfor i in 1 2 3 4 5 6 7 8 9; do sleep 10 & wait $!; done\n"
    )
    command.chmod(0o755)
    (home.recipes / "slow.yaml").write_text("name: slow\n")
    (home.recipes / "slow.dag.yaml").write_text("retries: 0\ntimeout_h: {crawl: 0.0006}\n")
    log, states = home.run("build_slow", "2026-11-04", {}, AIRFLOW_VAR_SEEDBED_COMMAND=str(command))
    assert states == {"crawl": "failed", "verify": "upstream_failed"}, log
    assert log.index("at work") < log.index("putting things in order")
    assert "AirflowTaskTimeout" in log
    assert (tmp_path / "told").read_text() == "interrupted\n"
    assert not psutil.pid_exists(int((tmp_path / "process").read_text()))
