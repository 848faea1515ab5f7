"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.runners import EMBEDDED, LOCAL, Runner, is_address
from shards.object_path import AnyPath, any_path

DEMO = Path("seedbed-demo")
"""Where `seedbed demo` builds unless told otherwise."""


def folder(text: str) -> Path:
    """The folder of this machine that a person named; an empty name, as of a variable that is not set, is none."""
    if not text:
        raise typer.BadParameter(_EMPTY)
    found = any_path(text)
    if not isinstance(found, Path):
        told = f"copy it here, as with 'aws s3 sync {text} FOLDER'"
        raise typer.BadParameter(f"{text} lies in a store; this command takes a folder of this machine: {told}")
    return found


def place(text: str) -> AnyPath:
    """The folder, of this machine or in an object store, that a person named as OUT."""
    if not text:
        raise typer.BadParameter(_EMPTY, param_hint="OUT")
    return any_path(text)


_EMPTY = "an empty path; give a folder, '.' for this one"


def runner_of(where: str, worker_pool: str) -> Runner:
    """Where pipelines run, as a person named it."""
    if where == LOCAL:
        if worker_pool:
            raise typer.BadParameter("is for a job service: name it as --runner", param_hint="--worker-pool")
        return EMBEDDED
    if not is_address(where):
        told = f"{where!r} is not known: use 'local', or HOST:PORT of a Beam job service"
        raise typer.BadParameter(told, param_hint="--runner")
    if not is_address(worker_pool):
        told = f"{worker_pool!r} is no HOST:PORT: name the worker pool that the job service is to use"
        raise typer.BadParameter(told, param_hint="--worker-pool")
    return Runner(where, worker_pool)


RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="a YAML file, or the name of a bundled recipe")]
OutOption = Annotated[
    Path, typer.Option("--out", help="folder of the build", show_default=False, parser=folder, metavar="PATH")
]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=v", help="override a value of the recipe")]
WorkersOption = Annotated[int, typer.Option("--workers", min=0, help="worker processes; 0: as the work suggests")]
RunnerOption = Annotated[
    str, typer.Option("--runner", metavar="WHERE", help="where it runs: 'local', or HOST:PORT of a Beam job service")
]
PoolOption = Annotated[
    str, typer.Option("--worker-pool", metavar="HOST:PORT", help="whose workers the job service is to use")
]
AnyOutOption = Annotated[
    str, typer.Option("--out", help="folder of the build, or s3://BUCKET/PATH", show_default=False, metavar="PATH")
]
AnyOutArgument = Annotated[str, typer.Argument(metavar="OUT", help="folder of a build, or s3://BUCKET/PATH")]
OutArgument = Annotated[Path, typer.Argument(parser=folder, metavar="OUT", help="folder of a build")]
