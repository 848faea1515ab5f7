"""Asking with manners: one request at a time per host, pauses between them, a few retries, robots.txt beforehand."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from crawl.http import Client, FetchError
from crawl.response import Response, retry_delay_s
from crawl.robots import MAX_ROBOTS_BYTES, MAX_ROBOTS_REDIRECTS, Robots, parse_robots
from crawl.settings import FetchSettings
from crawl.urls import host_of, origin_of
from crawl.visit import redirect_location

_PASSING_FAULTS = frozenset({"timeout", "connection_failed", "incomplete_body"})
_HOST_FAULTS = frozenset({"timeout", "connection_failed", "dns_failed", "tls_failed"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking for a URL: a response or the last error, and the requests it took."""

    outcome: Response | FetchError
    attempts: int


def is_host_down(answer: Answer) -> bool:
    """Return whether the host itself gave no answer, so that its other URLs are not likely to either."""
    return isinstance(answer.outcome, FetchError) and answer.outcome.reason in _HOST_FAULTS


class Asker:
    """Asks for URLs with manners; hosts share nothing but the client."""

    def __init__(self, client: Client, settings: FetchSettings) -> None:
        self._client, self._settings = client, settings
        self._gates: dict[str, _Gate] = {}
        self._robots: dict[str, Robots | FetchError] = {}

    async def ask(
        self,
        url: str,
        *,
        accept: str,
        max_bytes: int,
        is_body_wanted: Callable[[Response], bool],
        cut: bool = False,
    ) -> Answer:
        """Return the answer to a URL, asked again a few times over faults that may pass; see `Client.fetch`."""
        gate = self._gate(host_of(url))
        attempts = 0
        while True:
            attempts += 1
            async with gate.turn():
                answer = await self._try(url, accept, max_bytes, is_body_wanted, cut, attempts)
            if not _may_pass(answer) or attempts >= self._settings.max_attempts:
                return answer
            header = answer.outcome.header("retry-after") if isinstance(answer.outcome, Response) else None
            delay_s = retry_delay_s(header, self._settings.delay_s * 2**attempts, time.time())
            if delay_s > self._settings.max_delay_s:
                return answer
            gate.wait_s(delay_s)

    async def robots(self, url: str) -> Robots | FetchError:
        """Return what the robots.txt of a URL's origin says, asked for once, or why it could not be had."""
        origin = origin_of(url)
        if origin not in self._robots:
            self._robots[origin] = await self._ask_robots(f"{origin}/robots.txt")
        return self._robots[origin]

    def slow_down(self, host: str, delay_s: float) -> None:
        """Make the pauses on a host at least that long, in seconds; the one that has begun too."""
        gate = self._gate(host)
        gate.delay_s = max(gate.delay_s, delay_s)

    def hold(self, host: str) -> None:
        """Begin with a pause on a host, as after a request."""
        self._gate(host).wait_s(self._settings.delay_s)

    def _gate(self, host: str) -> "_Gate":
        return self._gates.setdefault(host, _Gate(self._settings.delay_s))

    async def _try(
        self,
        url: str,
        accept: str,
        max_bytes: int,
        is_body_wanted: Callable[[Response], bool],
        cut: bool,
        attempts: int,
    ) -> Answer:
        try:
            outcome: Response | FetchError = await self._client.fetch(
                url, accept=accept, max_bytes=max_bytes, is_body_wanted=is_body_wanted, cut=cut
            )
        except FetchError as error:
            outcome = error
        return Answer(outcome, attempts)

    async def _ask_robots(self, url: str) -> Robots | FetchError:
        for _ in range(MAX_ROBOTS_REDIRECTS + 1):
            answer = await self.ask(
                url,
                accept="text/plain,*/*;q=0.5",
                max_bytes=MAX_ROBOTS_BYTES,
                is_body_wanted=lambda response: 200 <= response.status < 300,
                cut=True,
            )
            if isinstance(answer.outcome, FetchError):
                return FetchError(answer.outcome.reason, f"robots.txt: {answer.outcome.detail}")
            location = redirect_location(answer.outcome, url)
            if location is None:
                return _robots_of(answer.outcome)
            url = location
        return FetchError("robots_unavailable", f"robots.txt: more than {MAX_ROBOTS_REDIRECTS} redirects")


def _robots_of(response: Response) -> Robots | FetchError:
    robots = parse_robots(response.status, response.body or b"")
    if robots.state == "unavailable":
        return FetchError("robots_unavailable", f"robots.txt: answered {response.status}")
    return robots


def _may_pass(answer: Answer) -> bool:
    """Return whether asking again may bring a better answer."""
    if isinstance(answer.outcome, Response):
        return answer.outcome.status == 429 or answer.outcome.status >= 500
    return answer.outcome.reason in _PASSING_FAULTS


class _Gate:
    """Lets one request at a time through to a host, with a pause between the end of one and the start of the next."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self._lock = asyncio.Lock()
        self._ended_at = self._held_until = float("-inf")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for its turn; the pause begins when the request is over."""
        async with self._lock:
            free_at = max(self._ended_at + self.delay_s, self._held_until)
            await asyncio.sleep(max(0.0, free_at - time.monotonic()))
            try:
                yield
            finally:
                self._ended_at = time.monotonic()

    def wait_s(self, delay_s: float) -> None:
        """Keep the host from being asked for so many seconds from now."""
        self._held_until = max(self._held_until, time.monotonic() + delay_s)
