"""The command `seedbed`: thin around the build, the trainers and the pictures.

Exit status: 0 complete, 1 failed check or job, 2 usage (a recipe that cannot be used among it), 130 interrupted.
Everything heavy is imported by the command that needs it.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: loading rich for it would cost 0.15 s
    help="Grow training sets from the web: crawl and clean pictures and prose, write shards, train, look.",
)
DEMO = Path("seedbed-demo")
"""Where `seedbed demo` builds unless told otherwise."""

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _folder(text: str) -> Path:
    """The folder a person named; an empty name, as of a variable that is not set, is no folder."""
    if not text:
        raise typer.BadParameter("an empty path; give a folder, '.' for this one")
    return Path(text)


RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="a YAML file, or the name of a bundled recipe")]
OutOption = Annotated[
    Path, typer.Option("--out", help="folder of the build", show_default=False, parser=_folder, metavar="PATH")
]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=v", help="override a value of the recipe")]
WorkersOption = Annotated[int, typer.Option("--workers", min=0, help="worker processes; 0: as the work suggests")]
RunnerOption = Annotated[str, typer.Option("--runner", help="where it runs; 'local' is the only one yet")]


def main() -> None:
    """Runs the command line; every failure is one clear message and an exit status."""
    from pipelines.failures import exit_status  # noqa: PLC0415

    sys.exit(exit_status(app))


COMMANDS = {
    "build": "Run every stage of RECIPE that is out of date.",
    "crawl": "Fetch pages and pictures, politely, into WARC files and a ledger.",
    "images": "Clean the fetched pictures.",
    "score": "Score the clean pictures: do they show what is wanted?",
    "text": "Take the prose out of the fetched pages.",
    "triplets": "Write noisy / clean / noise samples into shards.",
    "windows": "Write windows of words and the next word into shards.",
}


def _stage_command(name: str) -> Callable[..., None]:
    """The command that runs stage `name`, or all stages where it is `build`."""

    def command(
        recipe: RecipeArgument,
        out: OutOption,
        set_: SetOption = None,
        workers: WorkersOption = 0,
        runner: RunnerOption = "local",
    ) -> None:
        _run_stages(recipe, out, set_ or [], workers, runner, None if name == "build" else name)

    return command


for _name, _help in COMMANDS.items():
    app.command(_name, help=_help)(_stage_command(_name))


def _run_stages(recipe: str, out: Path, set_: list[str], workers: int, runner: str, only: str | None) -> None:
    from rich.console import Console  # noqa: PLC0415

    from pipelines.build import build as run_build  # noqa: PLC0415
    from pipelines.load_recipe import load_recipe  # noqa: PLC0415
    from pipelines.progress import closing_table  # noqa: PLC0415

    if runner != "local":
        raise typer.BadParameter(f"{runner!r} is not known: use 'local'", param_hint="--runner")
    checked = load_recipe(recipe, set_)
    if only is not None and only not in checked.stages():
        raise typer.BadParameter(f"{recipe} has no section '{only}': add '{only}: {{}}'", param_hint="RECIPE")
    console = Console()
    stages = checked.stages() if only is None else (only,)
    console.print(closing_table(run_build(checked, out, stages, workers, console)))


@app.command()
def demo(
    out: OutOption = DEMO,
    train_seconds: Annotated[float, typer.Option("--train-seconds", min=1, help="for each of the two models")] = 75,
) -> None:
    """Build, train and look, on a small site that comes with Seedbed; needs no network."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.demo import run_demo  # noqa: PLC0415

    run_demo(out, train_seconds, Console())


@app.command()
def report(out: Annotated[Path, typer.Argument(metavar="OUT", help="folder of a build")]) -> None:
    """Write OUT/report/index.html: the funnel, examples, and what was trained."""
    from pipelines.report import write_report  # noqa: PLC0415

    typer.echo(write_report(out))


@app.command()
def show(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder of a build")],
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


@app.command()
def sheet(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder of a build")],
    to: Annotated[Path, typer.Option("-o", "--to", help="the PNG to write")] = Path("sheet.png"),
    count: Annotated[int, typer.Option("--count", min=1, help="how many of each kind")] = 40,
) -> None:
    """Draw contact sheets: the pictures that were kept, and those turned away, by reason."""
    from pipelines.sheet import save_sheet  # noqa: PLC0415

    save_sheet(out, to, count)
    typer.echo(to)


@app.command()
def verify(
    path: Annotated[str, typer.Argument(metavar="PATH", help="a build, a stage of it, a dataset, or a dataset's URL")],
    deep: Annotated[bool, typer.Option("--deep", help="read every byte, write every sample anew, compare")] = False,
) -> None:
    """Check manifests, hashes, indexes, formats and counts; list every fault; exit with 1 if there is one."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.verify import print_faults  # noqa: PLC0415

    raise typer.Exit(1 if print_faults(path, deep, Console(highlight=False)) else 0)


@app.command()
def stats(
    path: Annotated[str, typer.Argument(metavar="PATH", help="a build, a stage of it, a dataset, or a dataset's URL")],
) -> None:
    """Count what is in a build or a dataset: fates, splits, sizes, levels of noise, lengths of windows."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.stats import print_stats  # noqa: PLC0415

    print_stats(path, Console(highlight=False))


@app.command()
def explain(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder of a build")],
    name: Annotated[
        str, typer.Argument(metavar="URL", help="of a page or picture; or key of a window, document, picture or sample")
    ],
    is_whole: Annotated[bool, typer.Option("--all", help="tell of every link, sample and window")] = False,
) -> None:
    """Tell the story of a URL, from where it was found to samples or windows, or of a key; exit with 1 if unknown."""
    from rich.console import Console  # noqa: PLC0415

    from pipelines.story import tell  # noqa: PLC0415

    raise typer.Exit(0 if tell(out, name, Console(highlight=False), is_whole) else 1)


@app.command()
def doctor(
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="a YAML file, or the name of a bundled recipe")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="folder of the build; this one if not given", parser=_folder, metavar="PATH")
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


@app.command()
def forget(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder of a build")],
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


train = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train a model from shards.")
generate = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Let a trained model grow something.")
app.add_typer(train, name="train")
app.add_typer(generate, name="generate")


@train.command("classifier", context_settings=PASS_ON)
def train_classifier(context: typer.Context) -> None:
    """Train a classifier from folders of examples: FOLDER --topic LABEL --out RUN …; --help lists its settings."""
    from models.classifier import main as run  # noqa: PLC0415

    sys.exit(run(context.args))


@train.command("denoiser", context_settings=PASS_ON)
def train_denoiser(context: typer.Context) -> None:
    """Train the denoiser: DATASET --out RUN …; --help lists its settings."""
    from models.denoiser import main as run  # noqa: PLC0415

    sys.exit(run(context.args))


@train.command("language", context_settings=PASS_ON)
def train_language(context: typer.Context) -> None:
    """Train the language model: DATASET --out RUN …; --help lists its settings."""
    from models.language import main as run  # noqa: PLC0415

    sys.exit(run(context.args))


@generate.command("denoiser", context_settings=PASS_ON)
def generate_denoiser(context: typer.Context) -> None:
    """Grow pictures out of static: [RUN] --count 8 --seed 0 --out trees.png; RUN is the demo's if left out."""
    from models.denoiser import generate_main as run  # noqa: PLC0415

    sys.exit(run(_with_run(context.args, "denoiser")))


@generate.command("language", context_settings=PASS_ON)
def generate_language(context: typer.Context) -> None:
    """Write on: [RUN] --prompt "the old oak"; RUN is the demo's if left out."""
    from models.language import generate_main as run  # noqa: PLC0415

    sys.exit(run(_with_run(context.args, "language")))


def _with_run(arguments: list[str], model: str) -> list[str]:
    """The arguments with a training run in front: the one given, or the demo's."""
    given = bool(arguments) and not arguments[0].startswith("-")
    return arguments if given else [str(DEMO / "runs" / model), *arguments]
