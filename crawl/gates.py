"""When a host may be asked next: one request at a time, and a pause behind each.

The pause between the end of a request and the start of the next is the longest of what the recipe says, what robots.txt
says, a multiple of the time that the host took to answer, and what it has earned by "429 Too Many Requests" and
"503 Service Unavailable"; and a Retry-After is waited for besides.
"""

import asyncio
import time
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from crawl.settings import FetchSettings

_LEAST_SLOWED_S = 1.0
"""The pause after a first 429 or 503, at least; doubled with each, halved with each other answer."""

_OVERLOADED = frozenset({429, 503})


class Pause(NamedTuple):
    """What a host has asked for that must outlast the process which was told.

    Attributes:
        delay_s: seconds between two requests.
        until: seconds since 1970 before which it is not to be asked.
        gap_s: the longest pause that any request so far has called for, in seconds; 0 where all those are over at
            `until`.
    """

    delay_s: float = 0.0
    until: float = 0.0
    gap_s: float = 0.0


wall_clock = time.time
"""Seconds since 1970; unlike the event loop's clock it goes on from one process to the next."""

Pauses = MutableMapping[str, Pause]
"""By host; whoever starts again after a crash finds there what the hosts had asked for."""


class Gate:
    """Lets one request at a time through to a host.

    Args:
        host: its name.
        settings: manners.
        pauses: what hosts have asked for; it is read here, and written as this one asks.
        is_asked_before: whether another process may have asked it a moment ago.
    """

    def __init__(self, host: str, settings: FetchSettings, pauses: Pauses, *, is_asked_before: bool) -> None:
        self._host, self._settings, self._pauses = host, settings, pauses
        known = pauses.get(host, Pause())
        self._delay_s = max(settings.delay_s, known.delay_s)
        self._slowed_s = self._response_s = 0.0
        self._lock = asyncio.Lock()
        now = _now()
        self._ended_at = now if is_asked_before else float("-inf")
        self._held_until = max(now + known.until - wall_clock(), now + known.gap_s if is_asked_before else now)
        self._longest_s = max(self._delay_s, known.gap_s)
        if known.delay_s > known.gap_s:  # it says nothing of requests that follow
            self._note()

    @property
    def delay_s(self) -> float:
        """Seconds between two requests that the recipe or a robots.txt asks for."""
        return self._delay_s

    @property
    def gap_s(self) -> float:
        """Seconds that must pass between the end of the last request and the start of the next."""
        by_response = min(self._settings.response_time_multiple * self._response_s, self._settings.max_delay_s)
        return max(self._delay_s, self._slowed_s, by_response)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for its turn; the pause begins when the request is over."""
        async with self._lock:
            while (left := max(self._ended_at + self.gap_s, self._held_until) - _now()) > 0:
                await asyncio.sleep(left)
            try:
                yield
            finally:
                self._ended_at = _now()

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody asks or waits to ask, and the pause is over that the last request called for."""
        return not self._lock.locked() and self._ended_at + self.gap_s <= _now()

    def slow_down(self, delay_s: float) -> None:
        """Make all pauses at least so long, in seconds; the one that has begun too."""
        if delay_s > self._delay_s:
            self._delay_s = delay_s
            self._longest_s = max(self._longest_s, delay_s)
            self._note()

    def hold(self, delay_s: float) -> None:
        """Keep the host from being asked for so many seconds from now."""
        self._held_until = max(self._held_until, _now() + delay_s)
        if delay_s > self.gap_s:
            self._note()

    @property
    def held_s(self) -> float:
        """Seconds for which the host is not to be asked, as it said itself."""
        return self._held_until - _now()

    def answered(self, status: int, response_s: float) -> None:
        """Slow down where the host says that it is overloaded, and recover by and by where it does not.

        Args:
            status: of the answer, 0 where none came.
            response_s: seconds that it took.
        """
        self._response_s = response_s
        if status in _OVERLOADED:
            slowed = 2 * max(self._slowed_s, self._delay_s, _LEAST_SLOWED_S / 2)
            self._slowed_s = min(slowed, self._settings.max_delay_s)
        else:
            self._slowed_s = self._slowed_s / 2 if self._slowed_s > self._delay_s else 0.0
        if self.gap_s > self._longest_s:
            self._longest_s = self.gap_s
            self._note()

    def _note(self) -> None:
        until = wall_clock() + max(0.0, self._held_until - _now())
        self._pauses[self._host] = Pause(self._delay_s, until, self._longest_s)


def _now() -> float:
    """Return the seconds of the event loop's clock."""
    return asyncio.get_running_loop().time()
