"""How a command ends: one clear message on standard error, and an exit status."""

import sys
from collections.abc import Callable

from pipelines.errors import RecipeError, SeedbedError, advice
from pipelines.harmless import harmless
from pipelines.interruption import Interruption
from shards.manifest import ManifestError

MAX_SAID = 10_000
"""Characters of a line of an error."""

EXIT_COMPLETE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

EXIT_SIGNAL = 128
"""Added to the number of the signal that interrupted a command. Source: POSIX shell, 2.8.2; 130 for Ctrl-C."""


def exit_status(application: Callable[..., object], interruption: Interruption) -> int:
    """Runs `application`, a typer application, and returns the exit status it should end with."""
    try:
        status = application(standalone_mode=False)  # an exit status where the command chose one
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    except SystemExit as ended:  # a trainer, which has said why
        return ended.code if isinstance(ended.code, int) else EXIT_COMPLETE
    except RecipeError as error:
        return _say(str(error), EXIT_USAGE)
    except (SeedbedError, ManifestError) as error:
        return _say(str(error), EXIT_FAILED)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in _OURS:
            raise
        return _say(f"{error.name} is not installed; pip install '.[all]' in Seedbed's folder", EXIT_FAILED)
    except OSError as error:
        if advice(error.errno) is None:
            raise
        return _say(f"{error.filename or 'the disk'}: {error.strerror}; {advice(error.errno)}", EXIT_FAILED)
    except _errors_of_datasets() as error:
        return _say(str(error), EXIT_FAILED)
    except _errors_of_usage() as error:
        return _say_usage(error)
    if status == EXIT_INTERRUPTED:  # what typer makes of KeyboardInterrupt
        return _say("interrupted; run the same command again and it carries on", EXIT_SIGNAL + interruption.number)
    return status if isinstance(status, int) else EXIT_COMPLETE


_OURS = frozenset({"crawl", "shards", "models", "pipelines"})


def _errors_of_datasets() -> type[Exception]:
    """What opening and reading a dataset raises; loaded when something was raised, for it takes 0.2 s."""
    from shards.store import DatasetError  # noqa: PLC0415

    return DatasetError


def _errors_of_usage() -> type[Exception]:
    """What typer raises about a command line; `BadParameter` is the one it exports, its base stands for all."""
    import typer  # noqa: PLC0415

    return typer.BadParameter.__mro__[1]


def _say(message: str, status: int) -> int:
    for line in message.splitlines():
        print(f"seedbed: {harmless(line, most=MAX_SAID)}", file=sys.stderr)
    return status


def _say_usage(error: Exception) -> int:
    """Says what is wrong with a command line; a command without arguments gets its help."""
    message, context = error.format_message(), error.ctx  # type: ignore[attr-defined]
    if context is None or not message or "\n" in message:
        error.show()  # type: ignore[attr-defined]
        return EXIT_USAGE
    return _say(f"{message.rstrip('.')}; see '{context.command_path} --help'", EXIT_USAGE)
