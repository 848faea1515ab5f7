"""DAGs `train_MODEL_NAME`: from each version of a data set that is published a model learns, and grows something.

A training has the folder of its data set's fingerprint, so that one that was stopped or cleared goes on where it was.
"""

from typing import Any

from airflow.sdk import DAG, Asset, Param, XComArg, get_current_context, task
from seedbed_command import committed, run_seedbed
from seedbed_recipes import MODELS, START, ScheduledRecipe, read_recipes

GROWN = {"denoiser": "trees.png", "language": "sample.txt"}


def training_dag(recipe: ScheduledRecipe, dataset: str) -> DAG:
    """The DAG that trains on a recipe's data set when its Asset has a new event."""
    model, asset = MODELS[dataset], recipe.asset(dataset)
    arguments = recipe.train.get(model, [])
    about = f"arguments of `seedbed train {model}`, as --seconds and 3600"
    with DAG(
        dag_id=f"train_{model}_{recipe.name}",
        description=f"Trains the {model} on each new version of {asset.name}",
        schedule=[asset],
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args={"execution_timeout": recipe.timeout(model), **recipe.retrying},
        params={"arguments": Param(arguments, type="array", items={"type": "string"}, description=about)},
        doc_md=__doc__,
        tags=["seedbed", "train"],
    ) as dag:
        grow_task(model, train_task(recipe, dataset, asset))
    return dag


def train_task(recipe: ScheduledRecipe, dataset: str, asset: Asset) -> XComArg:
    """The task that trains, and returns the folder of the run."""

    @task
    def train() -> str:
        version = published_version(asset) or committed(f"{recipe.out()}/{dataset}")
        run = f"{recipe.runs()}/{MODELS[dataset]}-{version['fingerprint']}"
        arguments = get_current_context()["params"]["arguments"]
        run_seedbed("train", MODELS[dataset], version["path"], "--out", run, *arguments)
        return run

    return train()


def published_version(asset: Asset) -> dict[str, Any] | None:
    """What the newest event of those that started this run tells; None for a run started by hand."""
    events = get_current_context()["triggering_asset_events"].get(asset) or []
    return max(events, key=lambda event: event.timestamp).extra if events else None


def grow_task(model: str, run: XComArg) -> XComArg:
    """The task that lets the model grow something, into the folder of its run."""

    @task
    def grow(run: str) -> str:
        grown = f"{run}/{GROWN[model]}"
        run_seedbed("generate", model, run, "--out", grown)
        return grown

    return grow(run)


for _recipe in read_recipes():
    for _dataset in _recipe.datasets:
        training_dag(_recipe, _dataset)
