"""Commands that train models and let them grow something."""

import sys
from pathlib import Path

import typer

from pipelines.commands.options import DEMO

TREES = Path(__file__).parents[1] / "heads" / "tree.json"
"""The classifier of photographs that comes with Seedbed."""

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""Settings of a command whose arguments the model reads itself."""

train = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train a model from shards.")
generate = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Let a trained model grow something.")


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

    sys.exit(run(_with_path(context.args, DEMO / "runs" / "denoiser")))


@generate.command("language", context_settings=PASS_ON)
def generate_language(context: typer.Context) -> None:
    """Write on: [RUN] --prompt "the old oak"; RUN is the demo's if left out."""
    from models.language import generate_main as run  # noqa: PLC0415

    sys.exit(run(_with_path(context.args, DEMO / "runs" / "language")))


def scale(context: typer.Context) -> None:
    """Train a ladder of sizes and budgets, draw loss over parameters, data and time: DATASET --out RUN …; --help."""
    from models.scale import main as run  # noqa: PLC0415

    sys.exit(run(context.args))


def nearest(context: typer.Context) -> None:
    """Look for copies: the nearest training picture to each grown one, or the longest run of words: RUN …; --help."""
    from models.nearest import main as run  # noqa: PLC0415

    sys.exit(run(context.args))


def lecture(context: typer.Context) -> None:
    """Replay the lecture, each idea on the same shards: [OUT] --seconds 75; OUT is the demo's if left out."""
    from models.lecture.replay import main as run  # noqa: PLC0415

    out, *more = _with_path(context.args, DEMO)
    # What is told further behind counts.
    sys.exit(run([out, "--out", f"{out}/runs/lecture", "--head", str(TREES), *more]))


def _with_path(arguments: list[str], otherwise: Path) -> list[str]:
    """The arguments with a path in front: the one given among options, each of which has a value, or `otherwise`."""
    place = 0
    while place < len(arguments) and arguments[place].startswith("-"):
        place += 1 if "=" in arguments[place] else 2
    if place >= len(arguments):
        return [str(otherwise), *arguments]
    return [arguments[place], *arguments[:place], *arguments[place + 1 :]]
