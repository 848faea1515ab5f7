"""How a command ends: one clear message on standard error, and an exit status."""

import errno
import sys
from collections.abc import Callable

from pipelines.errors import RecipeError, SeedbedError
from shards.manifest import ManifestError

EXIT_COMPLETE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def exit_status(command: Callable[[], object]) -> int:
    """Runs `command`, a typer application, and returns the exit status it should end with."""
    try:
        command()
    except SystemExit as ended:
        if ended.code == EXIT_INTERRUPTED:  # what typer makes of KeyboardInterrupt
            return _say("interrupted; run the same command again and it carries on", EXIT_INTERRUPTED)
        return ended.code if isinstance(ended.code, int) else EXIT_FAILED if ended.code else EXIT_COMPLETE
    except RecipeError as error:
        return _say(str(error), EXIT_USAGE)
    except (SeedbedError, ManifestError) as error:
        return _say(str(error), EXIT_FAILED)
    except OSError as error:
        if error.errno not in _ENVIRONMENT:
            raise
        return _say(f"{error.filename or 'the disk'}: {error.strerror}; {_ENVIRONMENT[error.errno]}", EXIT_FAILED)
    return EXIT_COMPLETE


_ENVIRONMENT = {
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.ENOTDIR: "a part of that path is a file; choose another",
    errno.EEXIST: "a file stands in the way; choose another path",
    errno.ENOSPC: "free some space and run again: what is finished is kept",
    errno.EDQUOT: "free some space and run again: what is finished is kept",
    errno.ENOENT: "check the path",
}
"""What a person can do about errors of the machine rather than of the program."""


def _say(message: str, status: int) -> int:
    print(f"seedbed: {message}", file=sys.stderr)
    return status
