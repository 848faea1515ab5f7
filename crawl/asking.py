"""Asking with manners: one request at a time per host, pauses between them, a few retries, robots.txt beforehand."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, TypedDict, Unpack
from weakref import WeakValueDictionary

from crawl.gates import Gate, Pauses
from crawl.http import FetchError
from crawl.response import Response, retry_delay_s
from crawl.robots import MAX_ROBOTS_BYTES, MAX_ROBOTS_REDIRECTS, Robots, parse_robots
from crawl.settings import PRODUCT, FetchSettings
from crawl.urls import host_of, origin_of, port_of
from crawl.visit import redirect_location

_ROBOTS_AGE_S = 24 * 3600.0
"""Seconds after which a robots.txt is asked for again. Source: RFC 9309, section 2.4."""

_PASSING_FAULTS = frozenset({"timeout", "connection_failed", "incomplete_body"})
_HOST_FAULTS = frozenset({"timeout", "connection_failed", "dns_failed", "bad_host_name"})


class AskingOverError(Exception):
    """No further request may begin; whatever was due stays due."""


class NotOursError(Exception):
    """What is to be asked next is another's host, for now; the message names it."""


class _How(TypedDict):
    """What `Fetcher.fetch` takes besides the URL."""

    accept: str
    max_bytes: int
    is_body_wanted: Callable[[Response], bool]
    cut: bool
    conditions: Mapping[str, str] | None


class Fetcher(Protocol):
    """Whoever makes requests: `crawl.http.Client`, or a simulated web."""

    async def fetch(
        self,
        url: str,
        *,
        accept: str,
        max_bytes: int,
        is_body_wanted: Callable[[Response], bool],
        cut: bool = False,
        conditions: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the answer of one GET request, whatever its status; raises `FetchError`."""

    async def address_of(self, host: str, port: int) -> str | None:
        """Return the address that requests to a host go to, None where its load is nobody's concern or it has none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking for a URL: a response or the last error, and the requests it took."""

    outcome: Response | FetchError
    attempts: int


def is_host_down(answer: Answer) -> bool:
    """Return whether the host itself gave no answer, so that its other URLs are not likely to either."""
    reason = answer.outcome.reason if isinstance(answer.outcome, FetchError) else ""
    return reason in _HOST_FAULTS or reason.startswith("tls_")


class Asker:
    """Asks for URLs with manners; hosts share nothing but the fetcher, and the room at an address they share.

    Args:
        fetcher: makes the requests.
        settings: manners.
        pauses: what hosts have asked for.
        may_ask: says before each request whether it may still begin.
        is_asked_before: whether another process may have asked these hosts a moment ago.
        is_ours: tells which hosts nobody else asks meanwhile.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        settings: FetchSettings,
        pauses: Pauses,
        may_ask: Callable[[], bool] = lambda: True,
        *,
        is_asked_before: bool = False,
        is_ours: Callable[[str], bool] = lambda host: True,
    ) -> None:
        self._fetcher, self._settings, self._pauses, self._may_ask = fetcher, settings, pauses, may_ask
        self._is_asked_before, self._is_ours = is_asked_before, is_ours
        self._gates: dict[str, Gate] = {}
        self._left: list[str] = []
        self._robots: dict[str, tuple[float, Robots | FetchError]] = {}
        self._rooms: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # while anybody is in them

    async def ask(
        self,
        url: str,
        *,
        accept: str,
        max_bytes: int,
        is_body_wanted: Callable[[Response], bool],
        cut: bool = False,
        conditions: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer to a URL, asked again a few times over faults that may pass; see `Fetcher.fetch`.

        Raises:
            AskingOverError: a request would have had to begin too late.
        """
        gate = self._gate(host_of(url))
        attempts = 0
        while True:
            attempts += 1
            outcome, asked_s = await self._attempt(
                gate,
                url,
                accept=accept,
                max_bytes=max_bytes,
                is_body_wanted=is_body_wanted,
                cut=cut,
                conditions=conditions,
            )
            delay_s = max(asked_s, self._settings.delay_s * 2**attempts)
            is_last = attempts >= self._settings.max_attempts or delay_s > self._settings.max_delay_s
            if is_last or not _may_pass(outcome):
                return Answer(outcome, attempts)
            gate.hold(delay_s)

    async def _attempt(self, gate: Gate, url: str, **how: Unpack[_How]) -> tuple[Response | FetchError, float]:
        """Return what came of one request, and the seconds for which the host then asks not to be asked.

        Any answer may say so. Source: RFC 9110, section 10.2.3, names 503 and redirects; RFC 6585, section 4, 429.
        """
        async with gate.turn(), self._room_at(url):
            if not self._may_ask():
                raise AskingOverError(url)
            began = _now()
            try:
                outcome: Response | FetchError = await self._fetcher.fetch(url, **how)
            except FetchError as error:
                outcome = error
            response = outcome if isinstance(outcome, Response) else None
            gate.answered(response.status if response else 0, _now() - began)
            asked_s = retry_delay_s(response.header("retry-after") if response else None, 0.0, time.time())
            gate.hold(asked_s)
        return outcome, asked_s

    async def robots(self, url: str) -> Robots | FetchError:
        """Return what the robots.txt of a URL's origin says, asked for once a day, or why it could not be had.

        Raises:
            AskingOverError: as `ask`.
            NotOursError: it has moved to a host that is not ours to ask.
        """
        origin, now = origin_of(url), _now()
        asked_at, robots = self._robots.get(origin, (float("-inf"), None))
        if robots is None or now - asked_at > _ROBOTS_AGE_S:
            robots = await self._ask_robots(f"{origin}/robots.txt")
            self._robots[origin] = (now, robots)
        return robots

    def refusal(self, host: str) -> FetchError | None:
        """Return why a host is not asked now, which wants longer pauses than we wait; None where it may be asked."""
        gate, longest_s = self._gate(host), max(self._settings.delay_s, self._settings.max_delay_s)
        accepted = f"the longest accepted is {longest_s:g} s"
        if gate.delay_s > longest_s:
            return FetchError("crawl_delay_too_long", f"robots.txt asks for {gate.delay_s:g} s; {accepted}")
        if gate.held_s > longest_s:
            return FetchError("retry_after_too_long", f"the host asks for {gate.held_s:.0f} s; {accepted}")
        return None

    def forget(self, host: str) -> None:
        """Let go of what was kept for a host that is not visited any more in this round.

        Its gate stays until its pause is over: another host's robots.txt may have moved there, and be asked for.
        """
        self._left.append(host)
        over = [each for each in self._left if each not in self._gates or self._gates[each].is_at_rest]
        self._left = [each for each in self._left if each not in over]
        for each in over:
            self._gates.pop(each, None)
        for origin in [origin for origin in self._robots if host_of(origin) == host]:
            del self._robots[origin]

    def _slow_down(self, hosts: Iterable[str], delay_s: float) -> None:
        """Make the pauses on hosts at least that long, in seconds; those that have begun too."""
        for host in hosts:
            self._gate(host).slow_down(delay_s)

    def _gate(self, host: str) -> Gate:
        if host not in self._gates:
            self._gates[host] = Gate(host, self._settings, self._pauses, is_asked_before=self._is_asked_before)
        return self._gates[host]

    @asynccontextmanager
    async def _room_at(self, url: str) -> AsyncIterator[None]:
        """Wait until fewer than `connections_per_address` requests are under way to the address of a URL's host."""
        address = await self._fetcher.address_of(host_of(url), port_of(url))
        if address is None:
            yield
            return
        room = self._rooms.setdefault(address, asyncio.Semaphore(self._settings.connections_per_address))
        async with room:
            yield

    async def _ask_robots(self, url: str) -> Robots | FetchError:
        first_host = host_of(url)
        for _ in range(MAX_ROBOTS_REDIRECTS + 1):
            if not self._is_ours(host_of(url)):
                raise NotOursError(host_of(url))
            if (refusal := self.refusal(host_of(url))) is not None:
                return FetchError(refusal.reason, f"robots.txt at {host_of(url)}: {refusal.detail}")
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
                robots = _robots_of(answer.outcome)
                if isinstance(robots, Robots):
                    self._slow_down({first_host, host_of(url)}, robots.decide(PRODUCT, url).delay_s or 0.0)
                return robots
            url = location
        return FetchError("robots_unavailable", f"robots.txt: more than {MAX_ROBOTS_REDIRECTS} redirects")


def _now() -> float:
    """Return the seconds of the event loop's clock."""
    return asyncio.get_running_loop().time()


def _robots_of(response: Response) -> Robots | FetchError:
    robots = parse_robots(response.status, response.body or b"")
    if robots.state == "unavailable":
        return FetchError("robots_unavailable", f"robots.txt: answered {response.status}")
    return robots


def _may_pass(outcome: Response | FetchError) -> bool:
    """Return whether asking again may bring a better answer."""
    if isinstance(outcome, Response):
        return outcome.status == 429 or outcome.status >= 500
    return outcome.reason in _PASSING_FAULTS
