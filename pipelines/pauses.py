"""What hosts have asked for, kept on disk: a crawl that starts again after a crash breaks no promise."""

import json
from collections import UserDict
from collections.abc import Iterable
from contextlib import suppress

from crawl import gates
from crawl.gates import Pause
from pipelines.frontier import slot_of
from pipelines.receipts import WORK
from shards.manifest import atomic_write
from shards.object_path import AnyPath, ObjectPath

FOLDER = f"{WORK}/pauses"


class PausesFile(UserDict[str, Pause]):
    """Pauses by host; what is set outlasts the process before anything else is asked.

    It is written, not flushed to the disk: it is there after a crash and a kill, and may be lost where the machine
    itself goes down.

    There is a file for each slot, and only who holds the lease of a slot opens it. Nobody asks a host of the slot at
    that moment, so that a pause between two requests becomes a time until which the host is left alone. What was such
    a time already and has passed is over: it goes, and the file grows no longer than what two openings noted.

    Args:
        folder: the crawl's folder.
        slots: whose lease is held.
    """

    def __init__(self, folder: AnyPath, slots: Iterable[int]) -> None:
        super().__init__()
        self._folder = folder / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in self._folder.glob("slot-??.jsonl")}
        for path in map(self._path, slots):
            if path.name in there:
                kept = {host: _from_now(pause) for host, pause in _read(path).items() if not _is_over(pause)}
                self.data.update(kept)
                if kept:
                    atomic_write(path, "".join(_line(host, pause) for host, pause in kept.items()).encode())
                else:
                    path.unlink()

    def __setitem__(self, host: str, pause: Pause) -> None:
        """Remembers a pause."""
        super().__setitem__(host, pause)
        path, line = self._path(slot_of(host)), _line(host, pause)
        if isinstance(path, ObjectPath):
            path.write_text("".join(_line(*each) for each in self.data.items() if slot_of(each[0]) == slot_of(host)))
            return
        with path.open("a") as file:
            file.write(line)

    def _path(self, slot: int) -> AnyPath:
        return self._folder / f"slot-{slot:02d}.jsonl"


def _read(path: AnyPath) -> dict[str, Pause]:
    pauses: dict[str, Pause] = {}
    for line in path.read_text().splitlines():
        with suppress(ValueError):  # cut off by a crash: it was not acted upon
            host, *found = json.loads(line)
            pauses[host] = Pause(*map(max, pauses.get(host, Pause()), found))
    return pauses


def _is_over(pause: Pause) -> bool:
    return not pause.gap_s and pause.until <= gates.wall_clock()


def _from_now(pause: Pause) -> Pause:
    """A pause as it is where no request has followed on it and none is under way."""
    return Pause(pause.delay_s, max(pause.until, gates.wall_clock() + pause.gap_s), 0.0)


def _line(host: str, pause: Pause) -> str:
    return json.dumps([host, *pause]) + "\n"
