"""One request to a server that a recipe names, and asking again: bounded in bytes and seconds, backing off when told.

Redirects are not followed. A name is resolved once for each request, every answer is checked, and the connection goes
to an address that was checked, as everywhere; proxies named by the environment are not used. What a server asks for
with Retry-After holds for whatever is asked of it next; where that is longer than we wait, it is not asked at all.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from crawl.addresses import AddressRefusedError, HostNameError, check_url, resolve_checked
from crawl.held import Held
from crawl.http import FetchError
from crawl.pinned import pinned_session
from crawl.response import retry_delay_s
from crawl.settings import FetchSettings
from crawl.tls import tls_reason
from crawl.urls import host_of, port_of

Params = Mapping[str, str | Sequence[str]]
"""Query parameters; a name with several values is sent several times."""

_PIECE_BYTES = 64 * 1024
_PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})  # Common Crawl hands 503 of its store on as 500

_Result = TypeVar("_Result")


class LeftAloneError(FetchError):
    """A server that asked to be left alone for longer than we wait; nothing else that it holds can be had either."""

    def __init__(self, url: str, held_s: float, longest_s: float) -> None:
        detail = f"{url}: its server asks for {held_s:.0f} s; the longest accepted is {longest_s:g} s"
        super().__init__("retry_after_too_long", detail)


class NotNowError(FetchError):
    """A fault that may pass; `retry_after` is what the answer said of it, None where it said nothing."""

    def __init__(self, reason: str, detail: str, retry_after: str | None = None) -> None:
        super().__init__(reason, detail)
        self.retry_after = retry_after


def ask_patiently(ask: Callable[[], _Result], url: str, settings: FetchSettings, held: Held) -> _Result:
    """Return what asking brings, asking again over faults that may pass.

    Raises:
        LeftAloneError: the server is not to be asked for longer than we wait.
        FetchError: the last fault.
    """
    server = f"{host_of(url)}:{port_of(url)}"
    delay_s = settings.delay_s
    attempts = 0
    while True:
        attempts += 1
        time.sleep(max(delay_s, _held_s(url, server, settings, held)))
        try:
            return ask()
        except NotNowError as error:
            now = time.time()
            held.hold(server, now + retry_delay_s(error.retry_after, 0.0, now))
            _held_s(url, server, settings, held)
            delay_s = settings.delay_s * 2**attempts
            if attempts >= settings.max_attempts or delay_s > settings.max_delay_s:
                raise


def _held_s(url: str, server: str, settings: FetchSettings, held: Held) -> float:
    """Return for how many seconds a server is not to be asked; not above 0 where it may be.

    Raises:
        LeftAloneError: they are more than we wait.
    """
    held_s, longest_s = held.until(server) - time.time(), max(settings.delay_s, settings.max_delay_s)
    if held_s > longest_s:
        raise LeftAloneError(url, held_s, longest_s)
    return held_s


@contextmanager
def exchange(
    url: str, params: Params, settings: FetchSettings, headers: Mapping[str, str]
) -> Iterator[requests.Response]:
    """Give the answer to one request, its body unread; network faults inside the context become `FetchError`."""
    address, port = _checked_address(url, settings)
    try:
        with (
            pinned_session(host_of(url), address, port) as session,
            session.get(
                url,
                params=dict(params),
                headers={"User-Agent": settings.user_agent, "Host": urlsplit(url).netloc, **headers},
                timeout=(settings.connect_timeout_s, settings.timeout_s),
                allow_redirects=False,
                stream=True,
            ) as answer,
        ):
            yield answer
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        if (tls := tls_reason(error)) is not None:
            raise FetchError(tls, f"{url}: {error}") from error
        is_timeout = isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError))
        raise NotNowError("timeout" if is_timeout else "connection_failed", f"{url}: {error}") from error


def _checked_address(url: str, settings: FetchSettings) -> tuple[str, int]:
    """Return the address and port to connect to for a URL.

    Raises:
        FetchError: it must not be connected to, or its name does not resolve.
    """
    try:
        check_url(url, settings.allow_hosts, settings.allow_ports)
        address, port, _ = resolve_checked(host_of(url), port_of(url), settings.allow_hosts, {})[0]
    except AddressRefusedError as error:
        raise FetchError("address_refused", str(error)) from error
    except HostNameError as error:
        raise FetchError("bad_host_name", f"{url}: {error}") from error
    except OSError as error:
        raise FetchError("dns_failed", f"{url}: {error}") from error
    return address, port


def check_status(answer: requests.Response, url: str, statuses: Collection[int]) -> None:
    """Pass an answer whose status is among those asked for.

    Raises:
        FetchError: it has another status.
    """
    status = answer.status_code
    if status in statuses:
        return
    reason, detail = f"http_{status}", f"{url} answered {status} {answer.reason}"
    if status in _PASSING_STATUSES:
        raise NotNowError(reason, detail, answer.headers.get("Retry-After"))
    raise FetchError(reason, detail)


def pieces(
    answer: requests.Response,
    url: str,
    settings: FetchSettings,
    max_bytes: int,
    *,
    decode: bool,
    least_bytes: float = math.inf,
) -> Iterator[bytes]:
    """Yield the body piece by piece.

    Raises:
        FetchError: "too_many_bytes", or "timeout" where it, or each next `least_bytes` of it, takes longer than
            `settings.timeout_s`.
    """
    num_bytes, ends_at, enough = 0, time.monotonic() + settings.timeout_s, least_bytes
    # read1 returns what has come: a server that dribbles would keep a read of whole pieces waiting.
    while piece := answer.raw.read1(_PIECE_BYTES, decode_content=decode):
        num_bytes += len(piece)
        if num_bytes > max_bytes:
            raise FetchError("too_many_bytes", f"{url}: more than {max_bytes} bytes")
        if time.monotonic() > ends_at:
            raise NotNowError("timeout", f"{url}: {num_bytes} bytes in {settings.timeout_s:g} s")
        if num_bytes >= enough:
            ends_at, enough = time.monotonic() + settings.timeout_s, num_bytes + least_bytes
        yield piece
