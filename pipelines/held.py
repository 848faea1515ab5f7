"""Until when the servers of APIs and stores are to be left alone, kept on disk for all workers and the next run."""

import hashlib

from pipelines.receipts import WORK
from shards.manifest import atomic_write
from shards.object_path import AnyPath

FOLDER = f"{WORK}/held"


class HeldOnDisk:
    """What servers told whoever works on a crawl; see `crawl.held.Held`.

    A small file for each server, read before each request: what one worker is told holds for all of them.

    Args:
        folder: the crawl's folder.
    """

    def __init__(self, folder: AnyPath) -> None:
        self._folder = folder / FOLDER

    def until(self, server: str) -> float:
        """The seconds since 1970 before which a server is not to be asked, 0 where it said nothing."""
        try:
            return float(self._path(server).read_text())
        except FileNotFoundError:
            return 0.0

    def hold(self, server: str, until: float) -> None:
        """Keeps a server from being asked before a time, in seconds since 1970."""
        if until > self.until(server):
            self._folder.mkdir(parents=True, exist_ok=True)
            atomic_write(self._path(server), repr(until).encode())

    def _path(self, server: str) -> AnyPath:
        return self._folder / hashlib.sha256(server.encode()).hexdigest()[:32]
