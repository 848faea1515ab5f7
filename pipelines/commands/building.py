"""Commands that build: all stages of a recipe, one of them, or the demo; and what that would take."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import (
    DEMO,
    AnyOutOption,
    FlinkOptions,
    JobEndpointOption,
    OutOption,
    PoolOption,
    RecipeArgument,
    RestOption,
    RetriesOption,
    RunnerOption,
    SetOption,
    StuckOption,
    WorkersOption,
    folder,
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
        flink_job_endpoint: JobEndpointOption = "",
        flink_rest: RestOption = "",
        flink_stuck_after: StuckOption = None,
        flink_retries: RetriesOption = None,
    ) -> None:
        only = None if name == "build" else name
        flink = FlinkOptions(flink_job_endpoint, flink_rest, flink_stuck_after, flink_retries)
        _run_stages(recipe, place(out), set_ or [], workers, runner_of(runner, worker_pool, flink), only)

    return command


def _run_stages(recipe: str, out: AnyPath, set_: list[str], workers: int, runner: Runner, only: str | None) -> None:
    from rich.console import Console  # noqa: PLC0415

    from pipelines.load_recipe import load_recipe  # noqa: PLC0415
    from pipelines.server_of_children import start_server  # noqa: PLC0415

    checked = load_recipe(recipe, set_)
    if only is not None and only not in checked.stages():
        raise typer.BadParameter(f"{recipe} has no section '{only}': add '{only}: {{}}'", param_hint="RECIPE")
    start_server(out)  # which loads Beam while this process loads the rest
    from pipelines.build import build as run_build  # noqa: PLC0415
    from pipelines.progress import closing_table  # noqa: PLC0415

    console = Console()
    stages = checked.stages() if only is None else (only,)
    console.print(closing_table(run_build(checked, out, stages, workers, console, runner)))


def plan(
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="a YAML file, or the name of a bundled recipe")
    ] = None,
    set_: SetOption = None,
    profile: Annotated[
        Path | None, typer.Option("--profile", help="measured costs; if none, those that come along")
    ] = None,
    cpu_price: Annotated[
        float | None, typer.Option("--cpu-price", min=0, help="US dollars an hour of one core; 0.05")
    ] = None,
    gigabyte_price: Annotated[
        float | None, typer.Option("--gb-price", min=0, help="US dollars a GB and month; 0.02")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON value")] = False,
    measure: Annotated[
        Path | None,
        typer.Option("--measure", metavar="OUT", parser=folder, help="print the profile of a build with --workers 1"),
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="images and triplets by the million on Flink, instead of RECIPE")
    ] = False,
    pictures: Annotated[
        list[int] | None, typer.Option("--pictures", min=1, max=10**18, help="with --cluster: how many")
    ] = None,
    machines: Annotated[
        int | None, typer.Option("--machines", min=1, max=10**9, help="with --cluster: how many there are")
    ] = None,
    cores: Annotated[
        int | None, typer.Option("--cores", min=1, max=10**6, help="with --cluster: of each machine; 16")
    ] = None,
    gigabits: Annotated[
        float | None,
        typer.Option("--gigabits", min=0.001, help="with --cluster: a second, of each machine's network; 10"),
    ] = None,
    hours: Annotated[
        float | None, typer.Option("--hours", min=0.001, help="with --cluster: find the machines for so many; 24")
    ] = None,
) -> None:
    """Estimate requests, hours, bytes, CPU hours and cost of RECIPE, or what a cluster takes; nothing is fetched."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.load_recipe import load_recipe  # noqa: PLC0415
    from pipelines.plan import Prices, make_plan  # noqa: PLC0415
    from pipelines.plan.profile import measure_profile, profile_text, read_profile  # noqa: PLC0415
    from pipelines.plan.table import plan_json, print_plan  # noqa: PLC0415

    if [recipe is not None, measure is not None, cluster].count(True) != 1:
        told = "name what to plan for, or --measure OUT and nothing else, or --cluster"
        raise typer.BadParameter(told, param_hint="RECIPE")
    if recipe is None:
        for_recipe = {"--set": set_, "--profile": profile, "--cpu-price": cpu_price, "--gb-price": gigabyte_price}
        _refuse(for_recipe, "only with RECIPE")
    if cluster:
        _plan_cluster(pictures or [], machines, hours, cores, gigabits, as_json)
    else:
        for_machines = {"--machines": machines, "--cores": cores, "--gigabits": gigabits, "--hours": hours}
        _refuse({"--pictures": pictures, **for_machines}, "only with --cluster")
    if measure is not None:
        typer.echo(profile_text(measure_profile(measure)), nl=False)
    if recipe is not None:
        prices = Prices(
            Prices.cpu_hour if cpu_price is None else cpu_price,
            Prices.gigabyte_month if gigabyte_price is None else gigabyte_price,
        )
        planned = make_plan(load_recipe(recipe, set_ or []), read_profile(profile), prices)
        if as_json:
            typer.echo(plan_json(planned))
        else:
            print_plan(planned, Console(highlight=False))


def _refuse(options: Mapping[str, object], told: str) -> None:
    """Refuses the first of some options that was given.

    Raises:
        typer.BadParameter: one was.
    """
    for name, value in options.items():
        if value not in (None, []):
            raise typer.BadParameter(told, param_hint=name)


def _plan_cluster(
    pictures: list[int],
    machines: int | None,
    hours: float | None,
    cores: int | None,
    gigabits: float | None,
    as_json: bool,
) -> None:
    from rich.console import Console  # noqa: PLC0415

    from pipelines.plan.cluster import HOURS, SIZES, Machines, plan_cluster, read_cluster  # noqa: PLC0415
    from pipelines.plan.cluster_table import cluster_json, print_cluster  # noqa: PLC0415

    if machines is not None and hours is not None:
        raise typer.BadParameter("one of them follows from the other", param_hint="--machines and --hours")
    cost, machine = read_cluster(), Machines(cores or Machines.cores, gigabits or Machines.gigabits)
    try:
        plans = [plan_cluster(cost, each, machine, machines, hours or HOURS) for each in pictures or SIZES]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--hours") from error
    if as_json:
        typer.echo(cluster_json(plans, cost, machine))
    else:
        print_cluster(plans, cost, machine, Console(highlight=False))


def demo(
    out: OutOption = DEMO,
    train_seconds: Annotated[float, typer.Option("--train-seconds", min=1, help="for each of the two models")] = 75,
) -> None:
    """Build, train and look, on a small site that comes with Seedbed; needs no network."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.demo import run_demo  # noqa: PLC0415

    run_demo(out, train_seconds, Console())
