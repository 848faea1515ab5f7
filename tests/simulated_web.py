"""A web that is not there: hosts with their own speed, rules and moods, and a log of all that was asked of them."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from crawl.http import FetchError
from crawl.response import Response
from crawl.urls import host_of


class Request(NamedTuple):
    """One request as the host saw it.

    Attributes:
        host: that was asked.
        path: that was asked for.
        begin: seconds of the loop's clock when it came.
        end: when it was over.
        status: of the answer, 0 where the connection broke.
        retry_after_s: what the answer asked for.
    """

    host: str
    path: str
    begin: float
    end: float
    status: int
    retry_after_s: float


@dataclass
class Host:
    """How one host behaves.

    Attributes:
        address: hosts of one address share a machine.
        response_s: seconds that an answer takes.
        crawl_delay_s: what its robots.txt asks for, 0 for nothing.
        overload_every: every how many-th answer is "429 Too Many Requests"; 0 for none.
        retry_after_s: what such an answer asks for, 0 for nothing.
        is_down: whether it breaks every connection.
        robots_status: of its robots.txt.
        robots_at: the host that its robots.txt has moved to, "" for itself.
    """

    address: str
    response_s: float = 0.1
    crawl_delay_s: float = 0.0
    overload_every: int = 0
    retry_after_s: float = 0.0
    is_down: bool = False
    robots_status: int = 200
    robots_at: str = ""

    def robots(self) -> bytes:
        delay = f"Crawl-delay: {self.crawl_delay_s:g}\n" if self.crawl_delay_s else ""
        return f"User-agent: *\nDisallow: /no\n{delay}".encode()


@dataclass
class SimulatedWeb:
    """Answers instead of the web; see `crawl.asking.Fetcher`.

    Attributes:
        hosts: by name.
        log: every request, as it ended.
        num_under_way: requests that no answer has come for.
        answer: payload and media type of a path.
    """

    hosts: Mapping[str, Host]
    log: list[Request] = field(default_factory=list)
    num_under_way: int = 0
    answer: Callable[[str], tuple[str, bytes]] = lambda path: ("image/png", path.encode())

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
        """Takes the host's time, and answers."""
        del accept, max_bytes, cut, conditions
        name, begin = host_of(url), asyncio.get_running_loop().time()
        host, path = self.hosts[name], url.partition(f"//{name}")[2]
        status, retry_after_s = 0, 0.0
        self.num_under_way += 1
        try:
            await asyncio.sleep(host.response_s)
            status, retry_after_s = self._status(host, path)
        finally:  # one that is broken off came all the same
            self.num_under_way -= 1
            end = asyncio.get_running_loop().time()
            self.log.append(Request(name, path, begin, end, status, retry_after_s))
        if not status:
            raise FetchError("connection_failed", "the host is down")
        response = _response(status, retry_after_s, *self._content(host, path))
        if status == 301:
            moved = ("location", f"http://{host.robots_at}/robots.txt")
            response = Response(status, response.head, (*response.headers, moved))
        return response if is_body_wanted(response) else Response(status, response.head, response.headers)

    async def address_of(self, host: str, port: int) -> str | None:
        """The machine that a host is on."""
        del port
        return self.hosts[host].address

    def _status(self, host: Host, path: str) -> tuple[int, float]:
        if host.is_down:
            return 0, 0.0
        if path == "/robots.txt":
            return 301 if host.robots_at else host.robots_status, 0.0
        if host.overload_every and len(self.log) % host.overload_every == 0:
            return 429, host.retry_after_s
        return 200, 0.0

    def _content(self, host: Host, path: str) -> tuple[str, bytes]:
        return ("text/plain", host.robots()) if path == "/robots.txt" else self.answer(path)


def _response(status: int, retry_after_s: float, media_type: str, body: bytes) -> Response:
    headers = [("content-type", media_type)]
    if retry_after_s:
        headers.append(("retry-after", f"{retry_after_s:g}"))
    head = f"HTTP/1.1 {status} -\r\nContent-Type: {media_type}\r\n\r\n".encode()
    return Response(status, head, tuple(headers), body)


def many_hosts(count: int, seed: int) -> dict[str, Host]:
    """Hosts of all kinds, two or three on each machine."""
    chance = random.Random(seed)
    return {
        f"h{number}.example": Host(
            address=f"10.0.{number // 250}.{number % 250 // 3}",
            response_s=chance.choice((0.05, 0.2, 1.5)),
            crawl_delay_s=chance.choice((0, 0, 0, 3, 7.5)),
            overload_every=chance.choice((0, 0, 13)),
            retry_after_s=chance.choice((0, 20)),
            is_down=chance.random() < 0.03,
            robots_status=chance.choice((200,) * 20 + (404, 503)),
        )
        for number in range(count)
    }
