"""The log of a stage: what its child process and its workers print, which must never be what makes them fail.

They print into a pipe, and the command line writes the file. Were the file theirs, a full disk would make each print
an error, and one in Beam's own threads leaves a pipeline waiting for ever.
"""

import os
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from typing import BinaryIO, cast

from pipelines.explain import LOG
from pipelines.folders import is_committed
from shards.object_path import AnyPath, ObjectPath

_PIECE_BYTES = 65_536


def print_to(writer: Connection) -> None:
    """Sends everything that this process and those it starts print into the pipe."""
    os.dup2(writer.fileno(), sys.stdout.fileno())
    os.dup2(writer.fileno(), sys.stderr.fileno())
    writer.close()


def keep_log(reader: Connection, stage: AnyPath) -> threading.Thread:
    """A running thread that writes what comes out of the pipe to the stage's `LOG`, until all who print have ended.

    What the disk does not take is dropped. Into a store it is put at the end, unless the stage is committed by then.
    """
    thread = threading.Thread(target=_copy, args=(reader, stage), daemon=True)
    thread.start()
    return thread


def _copy(reader: Connection, stage: AnyPath) -> None:
    path = stage / LOG
    with reader, ExitStack() as opened:
        log: BinaryIO | None = None
        with suppress(OSError):
            log = opened.enter_context(_opened(path))
        while data := os.read(reader.fileno(), _PIECE_BYTES):
            if log is not None:
                with suppress(OSError):
                    log.write(data)
        if log is not None and isinstance(path, ObjectPath) and not is_committed(stage):
            log.seek(0)
            path.write_bytes(log.read())


def _opened(path: AnyPath) -> BinaryIO:
    """The file that is printed to; of what goes into a store, one without a name."""
    if isinstance(path, ObjectPath):
        return cast("BinaryIO", tempfile.TemporaryFile(buffering=0))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab", buffering=0)
