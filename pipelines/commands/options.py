"""Arguments and options that several commands share."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from pipelines.runners import EMBEDDED, FLINK, LOCAL, REST_PORT, SIDECAR, Runner, is_address
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
    if text.startswith("s3:") and not _S3.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r} is no place in a store; give s3://BUCKET/PATH, without spaces", param_hint="OUT"
        )
    return any_path(text)


_S3 = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]*/\S+")
_EMPTY = "an empty path; give a folder, '.' for this one"


@dataclass(frozen=True)
class FlinkOptions:
    """What was said of a Flink cluster; "" and None where nothing was."""

    job_endpoint: str = ""
    rest: str = ""
    stuck_after: float | None = None
    retries: int | None = None


def runner_of(where: str, worker_pool: str, flink: FlinkOptions) -> Runner:
    """Where pipelines run, as a person named it."""
    if where == FLINK:
        return _flink(worker_pool, flink)
    is_service = is_address(where)
    for name, value in vars(flink).items():
        if value not in ("", None) and not (is_service and name == "stuck_after"):
            raise typer.BadParameter("is for a Flink cluster: add --runner flink", param_hint=_option(name))
    if where == LOCAL:
        if worker_pool:
            raise typer.BadParameter("is for a job service: name it as --runner", param_hint="--worker-pool")
        return EMBEDDED
    if not is_service:
        told = f"{where!r} is not known: use 'local', 'flink', or HOST:PORT of a Beam job service"
        raise typer.BadParameter(told, param_hint="--runner")
    if not is_address(worker_pool):
        told = f"{worker_pool!r} is no HOST:PORT: name the worker pool that the job service is to use"
        raise typer.BadParameter(told, param_hint="--worker-pool")
    return _patient(Runner(where, worker_pool), flink)


def _flink(worker_pool: str, flink: FlinkOptions) -> Runner:
    """A Flink cluster: its REST interface is beside the job server, and a worker pool beside each TaskManager."""
    rest = flink.rest or f"{flink.job_endpoint.rpartition(':')[0]}:{REST_PORT}"
    pool = worker_pool or SIDECAR
    named = (
        (_option("job_endpoint"), flink.job_endpoint, "name Beam's job server"),
        (_option("rest"), rest, "name Flink's JobManager"),
        ("--worker-pool", pool, "name the pool as a TaskManager reaches it"),
    )
    for option, value, advice in named:
        if not is_address(value):
            raise typer.BadParameter(f"{value!r} is no HOST:PORT: {advice}", param_hint=option)
    known = _patient(Runner(flink.job_endpoint, pool, rest), flink)
    return known if flink.retries is None else replace(known, retries=flink.retries)


def _patient(known: Runner, flink: FlinkOptions) -> Runner:
    return known if flink.stuck_after is None else replace(known, stuck_s=flink.stuck_after)


def _option(name: str) -> str:
    return f"--flink-{name.replace('_', '-')}"


RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="a YAML file, or the name of a bundled recipe")]
OutOption = Annotated[
    Path, typer.Option("--out", help="folder of the build", show_default=False, parser=folder, metavar="PATH")
]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=v", help="override a value of the recipe")]
WorkersOption = Annotated[int, typer.Option("--workers", min=0, help="worker processes; 0: as the work suggests")]
RunnerOption = Annotated[
    str,
    typer.Option("--runner", metavar="WHERE", help="'local', 'flink', or HOST:PORT of a Beam job service"),
]
PoolOption = Annotated[
    str,
    typer.Option("--worker-pool", metavar="HOST:PORT", help="whose workers are used; on Flink as TaskManagers see it"),
]
JobEndpointOption = Annotated[
    str, typer.Option("--flink-job-endpoint", metavar="HOST:PORT", help="Beam's job server for the Flink cluster")
]
RestOption = Annotated[
    str, typer.Option("--flink-rest", metavar="HOST:PORT", help="Flink's REST interface; if none, port 8081 beside it")
]
StuckOption = Annotated[
    float | None,
    typer.Option(
        "--flink-stuck-after", min=1, metavar="SECONDS", help="without progress, also of HOST:PORT, begin again; 600"
    ),
]
RetriesOption = Annotated[
    int | None, typer.Option("--flink-retries", min=0, help="how often a stage is begun again; 5")
]
AnyOutOption = Annotated[
    str, typer.Option("--out", help="folder of the build, or s3://BUCKET/PATH", show_default=False, metavar="PATH")
]
AnyOutArgument = Annotated[str, typer.Argument(metavar="OUT", help="folder of a build, or s3://BUCKET/PATH")]
OutArgument = Annotated[Path, typer.Argument(parser=folder, metavar="OUT", help="folder of a build")]
