"""The DAG `verify_builds`: once a week every byte of every build is read, every sample written anew and compared."""

from pathlib import Path

from airflow.sdk import DAG, Param, XComArg, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from seedbed_command import run_seedbed
from seedbed_recipes import START, ScheduledRecipe, read_recipes


def verify_task(recipe: ScheduledRecipe) -> XComArg:
    """The task that verifies the build of a recipe, if there is one yet."""

    @task(task_id=recipe.name, execution_timeout=recipe.timeout("verify"))
    def verify() -> None:
        out = recipe.out()
        if "://" not in out and not Path(out).exists():
            raise AirflowSkipException(f"{out}: nothing has been built there yet")
        run_seedbed("verify", out, *(["--deep"] if get_current_context()["params"]["deep"] else []))

    return verify()


with DAG(
    dag_id="verify_builds",
    description="Verifies the builds of all recipes",
    schedule="@weekly",
    start_date=START,
    catchup=False,
    max_active_runs=1,
    params={"deep": Param(True, type="boolean", description="whether every byte is read")},
    doc_md=__doc__,
    tags=["seedbed", "verify"],
):
    for _recipe in read_recipes():
        verify_task(_recipe)
