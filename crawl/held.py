"""Until when servers are to be left alone, as they said themselves."""

from typing import Protocol


class Held(Protocol):
    """What servers asked for; a server is a host and a port, such as "data.commoncrawl.org:443"."""

    def until(self, server: str) -> float:
        """Return the seconds since 1970 before which a server is not to be asked, 0 where it said nothing."""

    def hold(self, server: str, until: float) -> None:
        """Keep a server from being asked before a time, in seconds since 1970."""


class HeldInProcess:
    """What servers told this process."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def until(self, server: str) -> float:
        """Return the seconds since 1970 before which a server is not to be asked, 0 where it said nothing."""
        return self._until.get(server, 0.0)

    def hold(self, server: str, until: float) -> None:
        """Keep a server from being asked before a time, in seconds since 1970."""
        self._until[server] = max(until, self.until(server))


HELD_IN_PROCESS = HeldInProcess()
"""Shared by all who keep none of their own: a process that was told to wait was told so for all of its callers."""
