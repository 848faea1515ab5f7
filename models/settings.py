"""Settings of a trainer or sampler: one frozen dataclass, filled from `--name value`.

Each field is annotated with what `--help` says of it: `seed: Annotated[int, "of the order"] = 0`.
"""

import argparse
import dataclasses
import math
import typing
from collections.abc import Sequence
from typing import TypeVar

Settings = TypeVar("Settings")


def parse_settings(kind: type[Settings], argv: Sequence[str], prog: str, description: str) -> Settings:
    """Return settings filled from a command line: `--name value` for each field of the dataclass `kind`.

    A field without a default is a positional argument; a field of type bool is a pair `--name`, `--no-name`; the field
    `from_` is `--from`. Numbers are finite, and a `seed` is below 2⁶³, as torch wants it.

    Raises:
        SystemExit: with status 2 and a message, where the line does not fit; with 0 after `--help`.
    """
    parser = argparse.ArgumentParser(prog, description=description)
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        value_type, says = typing.get_args(hints[field.name])
        says = says.replace("%", "%%")
        flag = "--" + field.name.rstrip("_").replace("_", "-")
        if field.default is dataclasses.MISSING:
            parser.add_argument(field.name, type=value_type, help=says)
        elif value_type is bool:
            parser.add_argument(
                flag, dest=field.name, action=argparse.BooleanOptionalAction, default=field.default, help=says
            )
        else:
            told = f"{says} ({field.default})" if field.default != "" else says
            read = _finite if value_type is float else value_type
            parser.add_argument(flag, dest=field.name, type=read, default=field.default, help=told)
    try:
        settings = kind(**vars(parser.parse_args(list(argv))))
    except ValueError as error:
        parser.error(str(error))
    seed: int = getattr(settings, "seed", 0)
    if seed >= 2**63:
        parser.error(f"--seed {seed}: must be below 2⁶³")
    return settings


def _finite(written: str) -> float:
    if not is_number(written, -math.inf):
        raise argparse.ArgumentTypeError(f"{written}: must be a finite number")
    return float(written)


def refuse_below(minimum: float, settings: object, names: Sequence[str]) -> None:
    """Check that the named settings are `minimum` or more.

    Raises:
        ValueError: one is less; the message names it.
    """
    for name in names:
        if getattr(settings, name) < minimum:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(settings, name)}: must be {minimum} or more")


def is_number(written: str, minimum: float) -> bool:
    """Return whether it is the decimal of a finite number that is `minimum` or more."""
    try:
        return minimum <= float(written) and math.isfinite(float(written))
    except ValueError:
        return False
