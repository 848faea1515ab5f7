"""The command `seedbed` of the project's own environment, run by a task: what it says becomes the task's log."""

import json
import logging
import os
import shlex
import signal
import subprocess
from collections import deque
from pathlib import Path
from typing import Any

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException, AirflowFailException

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder, where the command runs: paths in recipes are relative to it."""

LAST_LINES = 20
"""Lines of a failed command that its task repeats at the end."""

GRACE_S = 60.0
"""For a command to end by itself, keeping what it has finished, when its task is stopped or out of time."""

USAGE = 2
"""Exit status of a command line or recipe that cannot be used: trying again would not help."""

logger = logging.getLogger(__name__)


def run_seedbed(*arguments: str) -> None:
    """Runs `seedbed …` to its end, each of its lines into the task's log at once.

    Raises:
        AirflowFailException: the command line or the recipe cannot be used.
        AirflowException: the command failed; the message ends with its last lines.
    """
    last: deque[str] = deque(maxlen=LAST_LINES)
    with _start(arguments, subprocess.STDOUT) as process:
        try:
            for line in process.stdout:
                if text := line.rstrip():
                    logger.info("%s", text)
                    last.append(text)
        except BaseException:  # a task out of time raises one of these
            _stop(process)
            raise
    _check(arguments, process.returncode, last)


def committed(path: str) -> dict[str, Any]:
    """What stands committed in one stage's folder: fingerprint, the manifest's SHA-256, counts, splits.

    Raises:
        AirflowException: nothing is committed there.
    """
    arguments = ("stats", path, "--json")
    with _start(arguments, subprocess.PIPE) as process:
        out, err = process.communicate()
    _check(arguments, process.returncode, err.splitlines()[-LAST_LINES:])
    (stage,) = json.loads(out)
    return stage


def _start(arguments: tuple[str, ...], stderr: int) -> subprocess.Popen[str]:
    command = Variable.get("seedbed_command", default=str(ROOT / ".venv/bin/seedbed"))
    logger.info("%s", shlex.join([command, *arguments]))
    plain = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "120"}
    try:
        return subprocess.Popen(
            [command, *arguments],
            cwd=ROOT,
            env=os.environ | plain,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
        )
    except OSError as error:
        advice = "run make in Seedbed's folder, or set the Variable seedbed_command to the path of `seedbed`"
        raise AirflowFailException(f"{command}: {error.strerror}; {advice}") from error


def _stop(process: subprocess.Popen[str]) -> None:
    """Interrupts the command, as Ctrl-C would, logs what it says to that, and kills it where that does not end it."""
    process.send_signal(signal.SIGINT)
    try:
        said, _ = process.communicate(timeout=GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return
    for line in said.splitlines():
        logger.info("%s", line)


def _check(arguments: tuple[str, ...], status: int, last: "deque[str] | list[str]") -> None:
    if status:
        kind = AirflowFailException if status == USAGE else AirflowException
        raise kind("\n".join([f"seedbed {arguments[0]} ended with status {status}:", *last]))
