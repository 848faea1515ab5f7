"""Leases of host slots: whoever fetches from the hosts of a slot holds its lease, so that nobody else does meanwhile.

Where a cluster may run a slot twice (a worker cut off from it goes on fetching), two fetchers would ask one host at the
same time. A lease is a file that only one of them can create: `slot-07.000003`, the third holder of slot 7. It is good
for a while and renewed by touching, or in an object store by writing it anew; whoever wants the slot waits until the
newest file has not changed for that long by his own clock, and creates the next one. So no two machines have to agree
on the time. The holder begins no request that might not be over before his lease is.

Source: Gray & Cheriton, "Leases: an efficient fault-tolerant mechanism for distributed file cache consistency", 1989.
"""

import json
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psutil

from pipelines.receipts import WORK
from shards.asking import StoreError
from shards.manifest import atomic_write
from shards.object_path import AnyPath, ObjectPath

FOLDER = f"{WORK}/leases"

LEASE_S = 120.0
"""Seconds that a lease is good for after it was last renewed; longer than the longest request and its pauses."""

_POLL_S = 0.2

REQUESTS_AT_ONCE = 16
"""To a store."""


class LeaseLostError(Exception):
    """A slot is not ours any more; the message says which. What was not committed is another's to fetch."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a lease: where it runs, and since when, which tells it from a later one of its number."""

    machine: str
    pid: int
    started: float

    @classmethod
    def this(cls) -> Self:
        """The process that asks."""
        return cls(_machine(), os.getpid(), psutil.Process().create_time())

    def is_here(self) -> bool:
        """Whether it runs on this machine, as far as anybody knows."""
        return self.machine == _machine() and not self.is_gone()

    def is_gone(self) -> bool:
        """Whether it is known to have ended: only whoever runs on the same machine can tell."""
        if self.machine != _machine():
            return False
        try:
            return psutil.Process(self.pid).create_time() != self.started
        except psutil.NoSuchProcess:
            return True


class Lease(NamedTuple):
    """A slot's newest lease: what its renewing changes, and whether its holder let it go."""

    path: AnyPath
    version: str
    is_over: bool


class Seen(NamedTuple):
    """A slot's newest lease, and since when it is that, by our clock."""

    lease: Lease | None
    since: float


class SlotLeases:
    """The leases of some slots, held from the beginning of a `with` block to its end.

    Args:
        folder: the crawl's folder, on a disk that all fetchers see.
        slots: numbers of the slots.
        lease_s: seconds that a lease is good for.
        clock: seconds that only go up.

    Attributes:
        seen: what was last seen of the slots that are waited for.
    """

    def __init__(
        self,
        folder: AnyPath,
        slots: Iterable[int],
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._slots, self._lease_s, self._clock = folder / FOLDER, sorted(slots), lease_s, clock
        self._held: dict[int, AnyPath] = {}
        self.seen: dict[int, Seen] = {}
        self._renewed = clock()

    def __enter__(self) -> Self:
        """Waits for each slot in turn, in one order for everybody, so that no two wait for each other.

        Raises:
            LeaseLostError: this process was away for too long while it waited.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            while waiting := [slot for slot in self._slots if slot not in self._held]:
                self.renew()
                self._watch(waiting)
                if not all(map(self.take, waiting)):
                    time.sleep(_POLL_S)
        except LeaseLostError:
            self._let_go()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets the slots go: whoever waits need not wait for the leases to end."""
        self._let_go()

    def _let_go(self) -> None:
        newest = _newest(self._folder)
        ours = [path for slot, path in self._held.items() if slot in newest and newest[slot].path == path]
        _at_once(lambda path: path.write_text(""), ours)

    def seconds_left(self) -> float:
        """Seconds for which the slots are ours for certain, below 0 where they are not."""
        return self._renewed + self._lease_s - self._clock()

    def check(self) -> None:
        """Checks that the slots are ours still.

        Raises:
            LeaseLostError: that is not certain.
        """
        if self.seconds_left() <= 0:
            raise LeaseLostError(f"slots {self._slots}: this process was away for too long; another may have them")

    def renew(self) -> None:
        """Makes the leases good for as long again, if a third of the time has passed.

        Raises:
            LeaseLostError: a slot is another's by now.
        """
        if self.seconds_left() > self._lease_s * 2 / 3:
            return
        began, newest = self._clock(), _newest(self._folder)
        for slot, path in self._held.items():
            if self.seconds_left() <= 0 or slot not in newest or newest[slot].path != path:
                raise LeaseLostError(f"slot {slot} is another's: this process was away for too long")
        _at_once(_touch, self._held.values())
        self._renewed = began

    def renew_if_answered(self) -> bool:
        """Renews as `renew`, as far as the store answers: there is time to ask again. Returns whether they are ours."""
        with suppress(StoreError):
            try:
                self.renew()
            except LeaseLostError:
                return False
        return True

    def _watch(self, waiting: Iterable[int]) -> None:
        """Looks at the leases of all slots that are waited for, so that those of one holder end at one time."""
        found = _newest(self._folder)
        for slot in waiting:
            if slot not in self.seen or self.seen[slot].lease != found.get(slot):
                self.seen[slot] = Seen(found.get(slot), self._clock())

    def take(self, slot: int) -> bool:
        """Whether a slot was free, and is ours now."""
        seen = self.seen[slot]
        newest = seen.lease
        has_ended = self._clock() - seen.since > self._lease_s
        if newest is None or newest.is_over or has_ended or _is_free(newest.path):
            taken = _create(self._folder, slot, newest)
            if taken is not None:
                self._held[slot] = taken
                return True
        return False


def _create(folder: AnyPath, slot: int, newest: Lease | None) -> AnyPath | None:
    """The file of a slot's next holder, which is this process; None where another was quicker."""
    number = 1 + (0 if newest is None else int(newest.path.suffix[1:]))
    path = folder / f"slot-{slot:02d}.{number:06d}"
    try:
        atomic_write(path, _content(), is_new=True)
    except FileExistsError:
        return None
    return path


def _content() -> bytes:
    """What stands in a lease: its holder, and behind that what no other has, nor this one when it was renewed last."""
    return f"{json.dumps(Holder.this().__dict__)}\n{secrets.token_hex(8)}".encode()


def _touch(path: AnyPath) -> None:
    """Renews a lease: in a store, where what is touched does not change, by writing it anew."""
    if isinstance(path, ObjectPath):
        path.write_bytes(_content())
    else:
        os.utime(path)


def holder_of(path: AnyPath) -> Holder | None:
    """Who holds a lease; None where it was let go, or is gone itself."""
    try:
        holder = path.read_text().partition("\n")[0]
    except FileNotFoundError:
        return None
    return Holder(**json.loads(holder)) if holder else None


def _is_free(path: AnyPath) -> bool:
    """Whether the holder let a slot go, or is known to have ended."""
    holder = holder_of(path)
    return holder is None or holder.is_gone()


def _newest(folder: AnyPath) -> dict[int, Lease]:
    """The newest lease of each slot that ever had one."""
    if isinstance(folder, ObjectPath):
        found = sorted(folder.listing(is_deep=False).items())
        return {_slot_of(name): Lease(folder / name, seen.version, not seen.bytes) for name, seen in found}
    newest = {_slot_of(path.name): path for path in sorted(folder.glob("slot-??.*"))}
    looked = ((slot, path, path.stat()) for slot, path in newest.items())
    return {slot: Lease(path, str(status.st_mtime_ns), not status.st_size) for slot, path, status in looked}


def _slot_of(name: str) -> int:
    return int(name.partition(".")[0].removeprefix("slot-"))


def _at_once(change: Callable[[AnyPath], object], paths: Iterable[AnyPath]) -> None:
    """Changes some leases, those in a store many at once."""
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        for _ in pool.map(change, paths):
            continue


def _machine() -> str:
    """What tells this machine, and this boot of it, from all others."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{platform.node()}-{boot.read_text().strip() if boot.exists() else ''}"
