"""An Airflow for tests: its own environment, a home of its own, and a folder with a small recipe."""

import json
import os
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from crawl.demo.folder import write_folder
from tests.builds import SEEDBED

AIRFLOW = Path(__file__).parents[1] / "airflow"
PYTHON = AIRFLOW / ".venv/bin/python"
needs_airflow = pytest.mark.skipif(
    not (AIRFLOW / ".venv/.installed").exists(),
    reason="Airflow's environment is not installed: make airflow/.venv/.installed",
)

RECIPE = """
name: garden
contact: gardener@example.org
crawl: {{sources: {{drawn: {{source: folder, path: "{folder}"}}}}}}
images: {{size: 16}}
text: {{}}
split: {{train: 0.6, val: 0.2, test: 0.2}}
triplets: {{steps: 2}}
windows: {{context: 16}}
"""
TRAINING = ["--num-steps", "3", "--num-validations", "1", "--batch-size", "4"]


@dataclass(frozen=True)
class AirflowHome:
    """Where an Airflow keeps its database, logs and builds; `recipes` becomes DAGs."""

    folder: Path

    @property
    def recipes(self) -> Path:
        """The folder of recipes."""
        return self.folder / "recipes"

    def environment(self, **more: str) -> dict[str, str]:
        """What makes an Airflow use this home and this project's command."""
        named = {"AIRFLOW_HOME": str(self.folder), "SEEDBED_RECIPES": str(self.recipes)}
        return os.environ | named | {"AIRFLOW_VAR_SEEDBED_COMMAND": SEEDBED} | more

    def airflow(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs `airflow …` to its end; what it and its tasks say comes out in one."""
        command = [str(AIRFLOW / "airflow.sh"), *arguments]
        settings = {"env": self.environment(**more), "cwd": self.folder, "timeout": 500}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **settings
        )

    def run(self, dag: str, day: str, conf: Mapping[str, object], **more: str) -> tuple[str, dict[str, str]]:
        """Runs `dag.test()` for one logical date; gives its log, and the states of its tasks."""
        done = self.airflow("dags", "test", dag, day, "--conf", json.dumps(conf), **more)
        query = """select task_id, t.state from task_instance t join dag_run r using (dag_id, run_id)
                   where dag_id = ? and logical_date like ? || '%'"""
        return done.stdout, dict(self.rows(query, dag, day))

    def rows(self, query: str, *values: str) -> list[Any]:
        """The rows of a query to the database."""
        with sqlite3.connect(self.folder / "airflow.db") as database:
            return database.execute(query, values).fetchall()


def make_home(folder: Path) -> AirflowHome:
    """A home with an empty database, and one recipe, `garden`, of a few drawn pictures and pages."""
    home = AirflowHome(folder)
    home.recipes.mkdir()
    write_folder(folder / "drawn", count=12)
    (home.recipes / "garden.yaml").write_text(RECIPE.format(folder=folder / "drawn"))
    settings = {"schedule": None, "retries": 0, "timeout_h": {"crawl": 0.5}, "train": {"denoiser": TRAINING}}
    (home.recipes / "garden.dag.yaml").write_text(json.dumps(settings))
    done = home.airflow("db", "migrate")
    assert done.returncode == 0, done.stdout
    return home


@dataclass
class Api:
    """The REST interface of a running Airflow."""

    address: str
    token: str = ""

    def ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        """Asks, and gives the answer's JSON; asks again where the database was locked, as SQLite at times is."""
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > end:
                    raise
            time.sleep(1)

    def log_in(self, home: AirflowHome) -> None:
        """Takes the token of the administrator, whose password stands in the home."""
        passwords = json.loads((home.folder / "simple_auth_manager_passwords.json.generated").read_text())
        who = {"username": "admin", "password": passwords["admin"]}
        self.token = self.ask("/auth/token", "POST", who)["access_token"]
