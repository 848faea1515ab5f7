"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DEMO = Path("seedbed-demo")
"""Where `seedbed demo` builds unless told otherwise."""


def folder(text: str) -> Path:
    """The folder a person named; an empty name, as of a variable that is not set, is no folder."""
    if not text:
        raise typer.BadParameter("an empty path; give a folder, '.' for this one")
    return Path(text)


RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="a YAML file, or the name of a bundled recipe")]
OutOption = Annotated[
    Path, typer.Option("--out", help="folder of the build", show_default=False, parser=folder, metavar="PATH")
]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=v", help="override a value of the recipe")]
WorkersOption = Annotated[int, typer.Option("--workers", min=0, help="worker processes; 0: as the work suggests")]
RunnerOption = Annotated[str, typer.Option("--runner", help="where it runs; 'local' is the only one yet")]
OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="folder of a build")]
