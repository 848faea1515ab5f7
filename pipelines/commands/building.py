"""Commands that build: all stages of a recipe, one of them, or the demo."""

from collections.abc import Callable
from typing import Annotated

import typer

from pipelines.commands.options import (
    DEMO,
    AnyOutOption,
    OutOption,
    PoolOption,
    RecipeArgument,
    RunnerOption,
    SetOption,
    WorkersOption,
    place,
    runner_of,
)
from pipelines.runners import Runner
from shards.object_path import AnyPath

STAGES = {
    "build": "Run every stage of RECIPE that is out of date.",
    "crawl": "Fetch pages and pictures, politely, into WARC files and a ledger.",
    "images": "Clean the fetched pictures.",
    "score": "Score the clean pictures: do they show what is wanted?",
    "text": "Take the prose out of the fetched pages.",
    "triplets": "Write noisy / clean / noise samples into shards.",
    "windows": "Write windows of words and the next word into shards.",
}


def stage_command(name: str) -> Callable[..., None]:
    """Return the command that runs stage `name`, or all stages where it is `build`."""

    def command(
        recipe: RecipeArgument,
        out: AnyOutOption,
        set_: SetOption = None,
        workers: WorkersOption = 0,
        runner: RunnerOption = "local",
        worker_pool: PoolOption = "",
    ) -> None:
        only = None if name == "build" else name
        _run_stages(recipe, place(out), set_ or [], workers, runner_of(runner, worker_pool), only)

    return command


def _run_stages(recipe: str, out: AnyPath, set_: list[str], workers: int, runner: Runner, only: str | None) -> None:
    from rich.console import Console  # noqa: PLC0415

    from pipelines.build import build as run_build  # noqa: PLC0415
    from pipelines.load_recipe import load_recipe  # noqa: PLC0415
    from pipelines.progress import closing_table  # noqa: PLC0415

    checked = load_recipe(recipe, set_)
    if only is not None and only not in checked.stages():
        raise typer.BadParameter(f"{recipe} has no section '{only}': add '{only}: {{}}'", param_hint="RECIPE")
    console = Console()
    stages = checked.stages() if only is None else (only,)
    console.print(closing_table(run_build(checked, out, stages, workers, console, runner)))


def demo(
    out: OutOption = DEMO,
    train_seconds: Annotated[float, typer.Option("--train-seconds", min=1, help="for each of the two models")] = 75,
) -> None:
    """Build, train and look, on a small site that comes with Seedbed; needs no network."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.demo import run_demo  # noqa: PLC0415

    run_demo(out, train_seconds, Console())
