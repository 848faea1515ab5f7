"""The process that the children of stages are forked from; it loads Beam once. Imports nothing heavy."""

import multiprocessing
import signal
from multiprocessing import forkserver, resource_tracker

from pipelines.interruption import INTERRUPTING
from shards.object_path import AnyPath


def start_server(out: AnyPath) -> None:
    """Starts it, unless it runs, deaf to what ends a command: terminals and service managers tell its children too.

    Loading takes it a second: whoever knows that there will be children starts it early.

    Args:
        out: where the stages write: a store needs a library more.
    """
    stores = ["s3fs"] if str(out).startswith("s3://") else []
    multiprocessing.get_context("forkserver").set_forkserver_preload(["pipelines.quiet", "pipelines.engine", *stores])
    resource_tracker.ensure_running()  # here, for it changes the mask as well
    signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTING)  # a mask, unlike a handler, outlives exec
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTING)
