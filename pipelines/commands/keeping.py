"""Commands that keep a build in order and hand it on: check it, check the machine, forget, export."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import AnyOutArgument, SetOption, WorkersOption, folder, place


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
    out: AnyOutArgument,
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
    forget_and_tell(place(out), pairs, Console(highlight=False))


export = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Write what was built as Parquet, for whoever has no Seedbed."
)
_Exported = Annotated[
    str, typer.Argument(metavar="OUT", help="a build, a stage of it, or a dataset; a folder or s3://BUCKET/PATH")
]
_Dest = Annotated[
    Path, typer.Argument(metavar="DEST", parser=folder, help="folder to be made; an earlier export there is replaced")
]


@export.command("hf")
def export_hf(out: _Exported, dest: _Dest) -> None:
    """Lay out a folder ready for the Hugging Face hub: Parquet with pictures in it, a card, what licences say."""
    _export(out, dest, is_for_hub=True)


@export.command("parquet")
def export_parquet(out: _Exported, dest: _Dest) -> None:
    """Write the same tables without the hub's card."""
    _export(out, dest, is_for_hub=False)


def _export(out: str, dest: Path, *, is_for_hub: bool) -> None:
    from pipelines.export import export as run_export  # noqa: PLC0415

    for done in run_export(out, dest, "hf" if is_for_hub else "parquet"):
        rows = ", ".join(f"{count:,} {split}" for split, count in sorted(done.rows.items()))
        typer.echo(f"{done.name:<10} {rows or 'no rows'}; {sum(file.bytes for file in done.files) / 1e6:,.1f} MB")
    typer.echo(dest)
