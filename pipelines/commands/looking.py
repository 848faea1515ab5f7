"""Commands that look at what was built."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import AnyOutArgument, OutArgument, folder, place


def inspect(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", parser=folder, help="folder of a build, of a stage of it, or of a dataset")
    ],
    host: Annotated[str, typer.Option("--host", help="address to listen on; beyond loopback a token is asked for")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one")] = 8033,
    beside: Annotated[
        Path | None,
        typer.Option("--beside", metavar="PATH", parser=folder, help="another build, to see what differs from it"),
    ] = None,
) -> None:
    """Serve a page that shows what was built: samples, funnel, every decision; on this machine alone, offline."""
    from pipelines.inspect.server import serve  # noqa: PLC0415
    from pipelines.inspect.sources import Source  # noqa: PLC0415

    source = Source(out, Source(beside) if beside else None)
    serve(source, host, port, lambda address: typer.echo(f"{address}  (Ctrl-C ends it)"))


def report(out: OutArgument) -> None:
    """Write OUT/report/index.html: the page of inspect, of a sample, as a folder that needs no server."""
    from pipelines.inspect.report import write_report  # noqa: PLC0415

    written = write_report(out)
    typer.echo(written.page)
    for trouble in written.troubles:
        typer.echo(f"seedbed: {trouble.where}: {trouble.what}", err=True)
    raise typer.Exit(1 if written.troubles else 0)


def show(
    path: Annotated[str, typer.Argument(metavar="PATH", help="a build, a stage of it, a dataset, or a dataset's URL")],
    count: Annotated[int, typer.Option("--count", min=1, help="how many of each")] = 4,
    split: Annotated[str | None, typer.Option("--split", help="train, val or test; the first there is if none")] = None,
    step: Annotated[int | None, typer.Option("--step", min=1, help="of triplets; one after the other if none")] = None,
    key: Annotated[str | None, typer.Option("--key", help="of a picture, sample or window, or how it begins")] = None,
    search: Annotated[str | None, typer.Option("--search", help="what stands in caption, address or text")] = None,
    host: Annotated[str | None, typer.Option("--host", help="where it comes from, hosts below it among them")] = None,
    rejects: Annotated[bool, typer.Option("--rejects", help="what was turned away instead, by reason")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="what was turned away for this reason")] = None,
    png: Annotated[Path | None, typer.Option("--png", help="a folder to write the pictures to, as PNG")] = None,
) -> None:
    """Show triplets (noisy, clean, noise) and windows in the terminal, or what was turned away and why."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.found_samples import Wanted  # noqa: PLC0415
    from pipelines.terminal import Screen  # noqa: PLC0415

    screen = Screen(Console(highlight=False))
    wanted = Wanted(count, split, step or 0, key, search, host)
    if rejects or reason:
        from pipelines.show_rejects import show_rejects as run  # noqa: PLC0415

        shown = run(folder(path), wanted, reason, screen, png)
    else:
        from pipelines.show import show_samples  # noqa: PLC0415

        shown = show_samples(path, wanted, screen, png)
    for trouble in shown.troubles:
        typer.echo(f"seedbed: {trouble}", err=True)
    raise typer.Exit(1 if shown.troubles else 0)


def diff(
    before: Annotated[str, typer.Argument(metavar="OUT1", help="a build, or a version of one of its stages")],
    after: Annotated[str, typer.Argument(metavar="OUT2", help="another")],
    stage: Annotated[str | None, typer.Option("--stage", help="the only one to compare")] = None,
    count: Annotated[int, typer.Option("--count", min=0, help="examples of each reason")] = 3,
) -> None:
    """Compare two builds: settings, counts by reason, and which pictures, texts and samples were lost, and why."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.show_difference import show_difference  # noqa: PLC0415
    from pipelines.terminal import Screen  # noqa: PLC0415

    show_difference(before, after, Screen(Console(highlight=False)), stage, count)


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
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON list of the stages")] = False,
) -> None:
    """Count what is in a build or a dataset: fates, splits, sizes, levels of noise, lengths of windows."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.stats import print_stats, stages_json  # noqa: PLC0415

    if as_json:
        typer.echo(stages_json(path), nl=False)
        return
    print_stats(path, Console(highlight=False))


def explain(
    out: AnyOutArgument,
    name: Annotated[
        str, typer.Argument(metavar="URL", help="of a page or picture; or key of a window, document, picture or sample")
    ],
    is_whole: Annotated[bool, typer.Option("--all", help="tell of every link, sample and window")] = False,
) -> None:
    """Tell the story of a URL, from where it was found to samples or windows, or of a key; exit with 1 if unknown."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.story import tell  # noqa: PLC0415

    raise typer.Exit(0 if tell(place(out), name, Console(highlight=False), is_whole) else 1)
