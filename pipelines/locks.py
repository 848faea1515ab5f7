"""One build at a time in a folder, on one machine or, where the folder is in an object store, anywhere.

In a store the lock is a lease, see `pipelines.leases`: a build that was killed holds nobody up on its own machine, and
others for as long as a lease is good. Whoever was away for so long that another has taken over may wake in the middle
of anything: the store itself lets only one of them create a manifest.
"""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipelines.errors import StageError
from pipelines.leases import Lease, SlotLeases, holder_of
from shards.asking import StoreError
from shards.object_path import AnyPath, ObjectPath

LOCK = ".lock"

LOCK_S = 30.0
"""Seconds that the lock of a folder in a store is good for after it was last renewed."""


@contextmanager
def locked(out: AnyPath) -> Iterator[None]:
    """Keeps a second build out of `out` until this one ends, however it ends.

    Raises:
        StageError: another build is at work there.
        OSError: `out` cannot be made or written.
    """
    held = f"{out}: another build is writing here; wait for it, or give another --out"
    if isinstance(out, ObjectPath):
        with _leased(out, held):
            yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StageError(held) from error
        yield


class _HeldError(Exception):
    """Another build is alive."""


class _Lock(SlotLeases):
    """A lease that nobody waits for whose holder is alive: runs here, or renews it."""

    def __init__(self, out: ObjectPath) -> None:
        super().__init__(out / LOCK, [0], LOCK_S)
        self._first: Lease | None = None

    def take(self, slot: int) -> bool:
        """Whether the lock was free, and is ours now; it is tried again until that shows."""
        is_ours, lease = super().take(slot), self.seen[slot].lease
        if is_ours:
            if lease is not None:
                lease.path.unlink(missing_ok=True)  # else there would be one more for each build
            return True
        self._first = self._first or lease
        holder = None if lease is None else holder_of(lease.path)
        if lease != self._first or (holder is not None and holder.is_here()):
            raise _HeldError
        return False


@contextmanager
def _leased(out: ObjectPath, held: str) -> Iterator[None]:
    is_over = threading.Event()

    def renew() -> None:
        while not is_over.wait(LOCK_S / 6):
            if not leases.renew_if_answered():
                return  # what is committed under the same name after that is committed once

    leases = _Lock(out)
    try:
        leases.__enter__()
    except _HeldError as error:
        raise StageError(held) from error
    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    try:
        yield
    finally:
        is_over.set()
        renewing.join()
        with suppress(StoreError):  # then it ends by itself
            leases.__exit__(None, None, None)
