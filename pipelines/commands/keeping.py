"""Commands that keep a build in order: check it, check the machine, forget."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import OutArgument, SetOption, WorkersOption, folder


def verify(
    path: Annotated[str, typer.Argument(metavar="PATH", help="a build, a stage of it, a dataset, or a dataset's URL")],
    deep: Annotated[bool, typer.Option("--deep", help="read every byte, write every sample anew, compare")] = False,
) -> None:
    """Check manifests, hashes, indexes, formats and counts; list every fault; exit with 1 if there is one."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.verify import print_faults  # noqa: PLC0415

    raise typer.Exit(1 if print_faults(path, deep, Console(highlight=False)) else 0)


def doctor(
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="a YAML file, or the name of a bundled recipe")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="folder of the build; this one if not given", parser=folder, metavar="PATH")
    ] = Path(),
    set_: SetOption = None,
    workers: WorkersOption = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON list")] = False,
) -> None:
    """Check names, disk, limits, contact, clock and packages; say what would do; exit with 1 if one is wrong."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.doctor import examine, print_findings, print_json  # noqa: PLC0415

    findings = examine(recipe, set_ or [], out, workers)
    told = print_json if as_json else print_findings
    raise typer.Exit(0 if told(findings, Console(highlight=False, soft_wrap=True)) else 1)


def forget(
    out: OutArgument,
    url: Annotated[list[str] | None, typer.Option("--url", help="address of a page or picture")] = None,
    host: Annotated[list[str] | None, typer.Option("--host", help="all that came from this host")] = None,
    sha256: Annotated[list[str] | None, typer.Option("--sha256", help="a file as fetched, by its hash")] = None,
) -> None:
    """Take records out of everything under OUT, for good: shards, pictures, documents, tables and WARC."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.forget import forget_and_tell  # noqa: PLC0415

    wanted = {"url": url, "host": host, "sha256": sha256}
    pairs = [(kind, value) for kind, values in wanted.items() for value in values or ()]
    if not pairs:
        raise typer.BadParameter("name what to forget: --url, --host or --sha256")
    forget_and_tell(out, pairs, Console(highlight=False))
