"""DAGs `build_NAME`: a recipe's stages on a schedule, then `verify`, then an event of each data set's Asset.

The logical date is the snapshot of the crawl, so that each run asks the web again, conditionally. Stages are
idempotent: a task that is cleared, or a run that is filled in later, redoes what is not committed and nothing else.
A build's folder lets in one writer: one task of a run works at a time, and runs that a backfill starts at once take
turns, task by task, each with the versions of its own snapshot.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from airflow.sdk import DAG, Param, XComArg, get_current_context, task
from seedbed_command import committed, run_seedbed
from seedbed_recipes import NEEDS, START, ScheduledRecipe, airflow_home, read_recipes

logger = logging.getLogger(__name__)

PARAMS = {
    "set": Param(
        [],
        type="array",
        items={"type": "string", "pattern": "^[^=]+=.*$"},
        description="overrides of the recipe, one a line, as in images.size=32",
    ),
    "snapshot": Param(
        None,
        type=["null", "string"],
        pattern="^[A-Za-z0-9._-]{1,64}$",
        description="of the crawl; an earlier one is not fetched again. The logical date where none is given",
    ),
    "workers": Param(0, type="integer", minimum=0, description="worker processes; 0: as the work suggests"),
    "runner": Param("local", type="string", description="local, flink, or HOST:PORT of a Beam job service"),
    "worker_pool": Param("", type="string", description="HOST:PORT of the pool that workers come from"),
    "flink_job_endpoint": Param("", type="string", description="HOST:PORT of Beam's job server, for runner flink"),
    "flink_rest": Param("", type="string", description="HOST:PORT of Flink's REST interface; if none, port 8081 there"),
    "flink_stuck_after": Param(
        None,
        type=["null", "number"],
        minimum=1,
        description="seconds without progress after which a stage begins again; if none, 600",
    ),
    "flink_retries": Param(
        None, type=["null", "integer"], minimum=0, description="how often a stage begins again; if none, 5"
    ),
    "deep": Param(False, type="boolean", description="whether every byte is verified before anything is published"),
}

AT_CLUSTER = ("worker_pool", "flink_job_endpoint", "flink_rest", "flink_stuck_after", "flink_retries")
"""Params that are options of the command where they are given."""


def build_dag(recipe: ScheduledRecipe) -> DAG:
    """The DAG that builds a recipe."""
    with DAG(
        dag_id=f"build_{recipe.name}",
        description=f"Builds {recipe.path.name}: {', '.join(recipe.stages)}",
        schedule=recipe.schedule,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        max_active_tasks=1,
        default_args=recipe.retrying,
        params=PARAMS,
        doc_md=__doc__,
        tags=["seedbed", "build"],
    ) as dag:
        built = {}
        for stage in recipe.stages:
            built[stage] = stage_task(recipe, stage)
            if before := next((needed for needed in NEEDS[stage] if needed in built), None):
                built[before] >> built[stage]
        verified = verify_task(recipe)
        read = {needed for stage in built for needed in NEEDS[stage]}
        [task for stage, task in built.items() if stage not in read] >> verified
        for dataset in recipe.datasets:
            verified >> publish_task(recipe, dataset, built[dataset])
    return dag


def stage_task(recipe: ScheduledRecipe, stage: str) -> XComArg:
    """The task that brings a stage up to date and returns what is committed then."""

    @task(task_id=stage, execution_timeout=recipe.timeout(stage))
    def build_stage() -> dict[str, Any]:
        out = recipe.out()
        overrides = [part for override in overrides_of_run() for part in ("--set", override)]
        with turn(recipe):
            run_seedbed(stage, str(recipe.path), "--out", out, *where_to_run(), *overrides)
            return committed(f"{out}/{stage}")

    return build_stage()


@contextmanager
def turn(recipe: ScheduledRecipe) -> Iterator[None]:
    """Waits until no other run's task builds the recipe on this machine, then keeps others waiting."""
    with (airflow_home() / f"{recipe.name}.turn").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("another run is building %s: waiting for its task to end", recipe.name)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def overrides_of_run() -> list[str]:
    """What this run changes in the recipe: its snapshot, and what a person gave."""
    context = get_current_context()
    run, params = context["dag_run"], context["params"]
    at = (run.logical_date or run.run_after).astimezone(UTC)
    return [f"crawl.snapshot={params['snapshot'] or at.strftime('%Y%m%dT%H%M%SZ')}", *params["set"]]


def where_to_run() -> list[str]:
    """The options that say where this run's stages work: on this machine, or on which cluster."""
    params = get_current_context()["params"]
    given = [(name, params[name]) for name in AT_CLUSTER if params[name] not in (None, "")]
    options = [part for name, value in given for part in (f"--{name.replace('_', '-')}", str(value))]
    return ["--workers", str(params["workers"]), "--runner", params["runner"], *options]


def verify_task(recipe: ScheduledRecipe) -> XComArg:
    """The task that checks all that stands in the build; damage does not go away by looking again."""

    @task(execution_timeout=recipe.timeout("verify"), retries=0)
    def verify() -> None:
        run_seedbed("verify", recipe.out(), *(["--deep"] if get_current_context()["params"]["deep"] else []))

    return verify()


def publish_task(recipe: ScheduledRecipe, dataset: str, version: XComArg) -> XComArg:
    """The task that tells whoever waits for a data set that there is a new version, and which."""
    asset = recipe.asset(dataset)

    @task(task_id=f"publish_{dataset}", outlets=[asset])
    def publish(version: dict[str, Any]) -> None:
        get_current_context()["outlet_events"][asset].extra = version

    return publish(version)


for _recipe in read_recipes():
    build_dag(_recipe)
