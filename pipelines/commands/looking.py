"""Commands that look at what was built."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import OutArgument


def inspect(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder of a build, of a stage of it, or of a dataset")],
    host: Annotated[str, typer.Option("--host", help="address to listen on; beyond loopback a token is asked for")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one")] = 8033,
) -> None:
    """Serve a page that shows what was built: samples, funnel, every decision; on this machine alone, offline."""
    from pipelines.inspect.server import serve  # noqa: PLC0415

    serve(out, host, port, lambda address: typer.echo(f"{address}  (Ctrl-C ends it)"))


def report(out: OutArgument) -> None:
    """Write OUT/report/index.html: the funnel, examples, and what was trained."""
    from pipelines.report import write_report  # noqa: PLC0415

    typer.echo(write_report(out))


def show(
    out: OutArgument,
    count: Annotated[int, typer.Option("--count", min=1, help="how many of each")] = 4,
    split: Annotated[str | None, typer.Option("--split", help="train, val or test; the first there is if none")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="where the strips go; OUT/show if not given")] = None,
) -> None:
    """Show a few triplets as strips (PNG) and a few windows as text."""
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from pipelines.show import save_strips, shown_splits, windows  # noqa: PLC0415

    console = Console(highlight=False)
    shown = shown_splits(out, split)
    for stage in (stage for stage in shown if shown[stage] is None):
        console.print(f"{stage}: no sample in {split or 'any split'}", soft_wrap=True)
    if chosen := shown.get("triplets"):
        for path in save_strips(out, to or out / "show", chosen, count):
            console.print(f"triplet  {path}", soft_wrap=True)
    if chosen := shown.get("windows"):
        for window in windows(out, chosen, count):
            console.rule(window.url, align="left", style="dim")
            console.print(Text.assemble(window.before, " ", (f"[{window.next}]", "bold reverse")))


def sheet(
    out: OutArgument,
    to: Annotated[Path, typer.Option("-o", "--to", help="the PNG to write")] = Path("sheet.png"),
    count: Annotated[int, typer.Option("--count", min=1, help="how many of each kind")] = 40,
) -> None:
    """Draw contact sheets: the pictures that were kept, and those turned away, by reason."""
    from pipelines.sheet import save_sheet  # noqa: PLC0415

    save_sheet(out, to, count)
    typer.echo(to)


def stats(
    path: Annotated[str, typer.Argument(metavar="PATH", help="a build, a stage of it, a dataset, or a dataset's URL")],
) -> None:
    """Count what is in a build or a dataset: fates, splits, sizes, levels of noise, lengths of windows."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.stats import print_stats  # noqa: PLC0415

    print_stats(path, Console(highlight=False))


def explain(
    out: OutArgument,
    name: Annotated[
        str, typer.Argument(metavar="URL", help="of a page or picture; or key of a window, document, picture or sample")
    ],
    is_whole: Annotated[bool, typer.Option("--all", help="tell of every link, sample and window")] = False,
) -> None:
    """Tell the story of a URL, from where it was found to samples or windows, or of a key; exit with 1 if unknown."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.story import tell  # noqa: PLC0415

    raise typer.Exit(0 if tell(out, name, Console(highlight=False), is_whole) else 1)
