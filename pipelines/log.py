"""The log of a stage: what its child process and its workers print, which must never be what makes them fail.

They print into a pipe, and the command line writes the file. Were the file theirs, a full disk would make each print
an error, and one in Beam's own threads leaves a pipeline waiting for ever.
"""

import os
import sys
import threading
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path

_PIECE_BYTES = 65_536


def print_to(writer: Connection) -> None:
    """Sends everything that this process and those it starts print into the pipe."""
    os.dup2(writer.fileno(), sys.stdout.fileno())
    os.dup2(writer.fileno(), sys.stderr.fileno())
    writer.close()


def keep_log(reader: Connection, path: Path) -> threading.Thread:
    """A running thread that writes what comes out of the pipe to `path`, until all who print have ended.

    What the disk does not take is dropped.
    """
    thread = threading.Thread(target=_copy, args=(reader, path), daemon=True)
    thread.start()
    return thread


def _copy(reader: Connection, path: Path) -> None:
    with reader, ExitStack() as opened:
        log = None
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            log = opened.enter_context(path.open("ab", buffering=0))
        while data := os.read(reader.fileno(), _PIECE_BYTES):
            if log is not None:
                with suppress(OSError):
                    log.write(data)
