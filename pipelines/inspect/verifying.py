"""A verification that goes on behind the page: how far it is, and the faults that it has found."""

import threading
from dataclasses import dataclass, field

from pipelines.inspect.sources import READING, Source, Trouble
from shards.committed import open_committed
from shards.store import LocalStore

MOST_FAULTS = 200
"""Faults that are kept; the rest is counted."""


@dataclass
class Verification:
    """One verification of all stages in force.

    Attributes:
        total: bytes to be looked at.
        done: of them.
        deep: whether every byte is read.
        stage: being looked at.
        faults: found.
        num_faults: how many, also where no more are kept.
        is_running: whether it goes on.
        is_whole: whether it came to its end.
    """

    total: int
    deep: bool
    done: int = 0
    stage: str = ""
    faults: list[Trouble] = field(default_factory=list)
    num_faults: int = 0
    is_running: bool = True
    is_whole: bool = False

    @property
    def percent(self) -> int:
        """How far it is."""
        return min(100, 100 * self.done // max(1, self.total)) if self.is_running else 100

    def add(self, trouble: Trouble) -> None:
        """Notes a fault."""
        self.num_faults += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(trouble)


class Verifier:
    """Starts verifications, one at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self.latest: Verification | None = None

    def start(self, deep: bool) -> Verification:
        """The verification that goes on, begun where none does."""
        with self._lock:
            if self.latest is None or not self.latest.is_running:
                states, troubles = self._source.stages()
                total = sum(file.bytes for state in states if state.manifest for file in state.manifest.files)
                self.latest = Verification(total, deep)
                for trouble in troubles:
                    self.latest.add(trouble)
                threading.Thread(target=self._run, args=(self.latest,), daemon=True, name="verify").start()
            return self.latest

    def _run(self, verification: Verification) -> None:
        from pipelines.verify import verify_folder  # noqa: PLC0415

        def advance(num_bytes: int) -> None:
            verification.done += num_bytes

        try:
            for state in self._source.stages()[0]:
                if state.manifest is None:
                    continue
                verification.stage = state.stage
                try:
                    committed = open_committed(LocalStore(state.folder))
                    for found in verify_folder(committed, verification.deep, advance):
                        verification.add(Trouble(f"{state.stage}/{found.fault.path}", found.fault.what))
                except READING as error:
                    verification.add(Trouble(state.stage, str(error)))
            verification.is_whole = True
        finally:
            verification.is_running = False
