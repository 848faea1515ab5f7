"""The command `seedbed`: thin around the build, the trainers and the pictures.

Exit status: 0 complete, 1 failed check or job, 2 usage (a recipe that cannot be used among it), 128 and the number of
the signal that interrupted it: 130 after Ctrl-C, 143 after SIGTERM.
Everything heavy is imported by the command that needs it.
"""

import sys

import typer

from pipelines.commands import building, keeping, looking, modelling
from pipelines.interruption import Interruption

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: loading rich for it would cost 0.15 s
    help="Grow training sets from the web: crawl and clean pictures and prose, write shards, train, look.",
)
for _name, _help in building.STAGES.items():
    app.command(_name, help=_help)(building.stage_command(_name))
for _command in (
    building.plan,
    building.demo,
    looking.inspect,
    looking.report,
    looking.show,
    looking.diff,
    looking.sheet,
    keeping.verify,
    looking.stats,
    looking.explain,
    keeping.doctor,
    keeping.forget,
):
    app.command()(_command)
app.command(context_settings=modelling.PASS_ON)(modelling.scale)
app.command(context_settings=modelling.PASS_ON)(modelling.nearest)
app.command(context_settings=modelling.PASS_ON)(modelling.lecture)
app.add_typer(keeping.export, name="export")
app.add_typer(modelling.train, name="train")
app.add_typer(modelling.generate, name="generate")


def main() -> None:
    """Runs the command line; every failure is one clear message and an exit status."""
    interruption = Interruption()
    interruption.listen()
    from pipelines.failures import exit_status  # noqa: PLC0415

    sys.exit(exit_status(app, interruption))
