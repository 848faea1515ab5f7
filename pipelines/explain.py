"""Why a stage failed, in one line, out of what Beam and Python wrap round it."""

import re
from typing import NamedTuple

from pipelines.errors import advice
from pipelines.receipts import WORK
from shards.object_path import AnyPath

LOG = f"{WORK}/log.txt"
"""Where a running stage's child and workers print to; it stays when the stage fails."""


class Raised(NamedTuple):
    """An error: the name of its class, without its module, and its own words."""

    name: str
    message: str


def explain(error: BaseException, stage: str, folder: AnyPath) -> str:
    """What a person is told of an error that failed `stage` in `folder`: what, where, and what would do.

    Where the error is one of the program, the line ends with the log that shows where it came from.
    """
    name, message = innermost(error)
    if name in _WORDED_FOR_PEOPLE:
        return message if message.startswith(f"{stage}: ") else f"{stage}: {message}"
    machine = _OF_THE_MACHINE.match(message)
    told = advice(int(machine["number"])) if machine else None
    if machine and told:
        return f"{stage}: {machine['path'] or folder}: {machine['words']}; {told}"
    return f"{stage}: {name}: {message}; the log says where: {folder / LOG}"


def innermost(error: BaseException) -> Raised:
    """The error that began it all: where Beam raises another, its text ends with the traceback of the first.

    >>> innermost(RuntimeError("builtins.IndexError: no leaf [while running 'Write']"))
    Raised(name='IndexError', message='no leaf')
    """
    found = [match for match in map(_LAST_LINE.match, str(error).splitlines()) if match]
    name, message = type(error).__name__, str(error).partition("\n")[0]
    last = found[-1] if found else None
    while last:  # a worker process wraps its error again: RuntimeError: OSError: …
        name, message = last["name"].rpartition(".")[2], last["message"] or ""
        last = _LAST_LINE.match(message)
    return Raised(name, _WHILE_RUNNING.sub("", message))


_WORDED_FOR_PEOPLE = frozenset({"StageError", "ManifestError", "StoreError", "RefusalError", "WarcError"})
_LAST_LINE = re.compile(
    r"^(?P<name>(?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*|[A-Za-z_]\w*(?:Error|Exception|Interrupt))(?:: (?P<message>.*))?$"
)
_WHILE_RUNNING = re.compile(r"\s*\[while running .*$")
_OF_THE_MACHINE = re.compile(r"^\[Errno (?P<number>\d+)\] (?P<words>[^:]*)(?:: '(?P<path>.*)')?$")
