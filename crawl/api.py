"""Asks APIs and stores that a recipe names: one request at a time, bounded in bytes and seconds, backing off when told.

What a server asks for with Retry-After holds for whatever is asked of it next. Where that is longer than we wait, it is
not asked at all: `LeftAloneError`.

Redirects are not followed. A name is resolved once for each request, every answer is checked, and the connection goes
to an address that was checked, as everywhere; proxies named by the environment are not used.
"""

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from crawl.addresses import AddressRefusedError, HostNameError, check_url, resolve_checked
from crawl.held import HELD_IN_PROCESS, Held
from crawl.http import FetchError
from crawl.pinned import pinned_session
from crawl.response import retry_delay_s
from crawl.settings import FetchSettings
from crawl.tls import tls_reason
from crawl.urls import host_of, port_of

Params = Mapping[str, str | Sequence[str]]
"""Query parameters; a name with several values is sent several times."""

_PIECE_BYTES = 64 * 1024
_MAX_JSON_BYTES = 16 * 2**20
_MAX_BYTES = 64 * 2**20
_PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})  # Common Crawl hands 503 of its store on as 500
_OK = frozenset({200})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(?:\d{1,18}|\*)")

_Result = TypeVar("_Result")


class ApiAnswer(NamedTuple):
    """What an API answered: HTTP status and decoded body."""

    status: int
    body: bytes


class LeftAloneError(FetchError):
    """A server that asked to be left alone for longer than we wait; nothing else that it holds can be had either."""

    def __init__(self, url: str, held_s: float, longest_s: float) -> None:
        detail = f"{url}: its server asks for {held_s:.0f} s; the longest accepted is {longest_s:g} s"
        super().__init__("retry_after_too_long", detail)


class _NotNowError(FetchError):
    """A fault that may pass; `retry_after` is what the answer said of it, None where it said nothing."""

    def __init__(self, reason: str, detail: str, retry_after: str | None = None) -> None:
        super().__init__(reason, detail)
        self.retry_after = retry_after


def request_json(
    endpoint: str, params: Params, settings: FetchSettings, held: Held = HELD_IN_PROCESS
) -> dict[str, Any]:
    """Return the JSON object an API answers, asked no faster than `settings.delay_s` allows.

    MediaWiki's "maxlag" error is asked again like the faults of `request_bytes`; arguments and errors are the same.

    Raises:
        FetchError: as `request_bytes`, or "bad_json".

    Source: https://www.mediawiki.org/wiki/API:Etiquette, https://www.mediawiki.org/wiki/Manual:Maxlag_parameter.
    """

    def ask() -> dict[str, Any]:
        found = _json_object(_ask(endpoint, params, settings, _OK, _MAX_JSON_BYTES).body, endpoint)
        error = found.get("error")
        if isinstance(error, dict) and error.get("code") == "maxlag":
            raise _NotNowError("api_overloaded", str(error.get("info", "maxlag")))
        return found

    return _ask_patiently(ask, endpoint, settings, held)


def request_bytes(
    endpoint: str,
    params: Params,
    statuses: Collection[int],
    settings: FetchSettings,
    held: Held = HELD_IN_PROCESS,
    max_bytes: int = _MAX_BYTES,
) -> ApiAnswer:
    """Return what an API answers, asked no faster than `settings.delay_s` allows.

    A connection that fails, a time-out and an answer of 429, 500, 502, 503 or 504 are asked again, after the time the
    answer names, and after twice as long each time where it names none or less.

    Args:
        endpoint: canonical URL of the API.
        params: query parameters.
        statuses: HTTP statuses that are answers.
        settings: user agent, time-outs, delays and number of attempts.
        held: what servers asked for, read and written.
        max_bytes: decoded bytes the body may have.

    Raises:
        LeftAloneError: the server asks, or has asked before, for a longer pause than `settings.max_delay_s`.
        FetchError: no usable answer came after `settings.max_attempts` requests: reason "http_503" and the like,
            "connection_failed", "timeout", "dns_failed", "bad_host_name", "address_refused", one of
            `crawl.tls.tls_reason`, or "too_many_bytes".
    """
    return _ask_patiently(lambda: _ask(endpoint, params, settings, statuses, max_bytes), endpoint, settings, held)


def request_range(
    url: str, offset: int, num_bytes: int, settings: FetchSettings, held: Held = HELD_IN_PROCESS
) -> bytes:
    """Return bytes from the middle of a file, exactly as many as asked for and as they are stored.

    Args:
        url: canonical URL of the file.
        offset: where they begin.
        num_bytes: how many, at least 1.
        settings: as in `request_bytes`, whose patience is the same.
        held: as there.

    Raises:
        FetchError: as `request_bytes`; "bad_range" where the answer is not the range asked for, and "incomplete_body"
            where it ended early every time.

    Source: RFC 9110, sections 14.2 (Range), 15.3.7 (206 Partial Content) and 15.5.17 (416).
    """
    last = offset + num_bytes - 1

    def ask() -> bytes:
        with _exchange(url, {}, settings, {"Range": f"bytes={offset}-{last}", "Accept-Encoding": "identity"}) as answer:
            _check_status(answer, url, frozenset({206, 200, 416}))
            sent = answer.headers.get("Content-Range", "")
            found = _CONTENT_RANGE.fullmatch(sent)
            if answer.status_code != 206 or found is None or (int(found[1]), int(found[2])) != (offset, last):
                raise FetchError("bad_range", f"{url}: bytes {offset}-{last}: {answer.status_code} {sent!r}")
            body = b"".join(_pieces(answer, url, settings, num_bytes, decode=False))
        if len(body) != num_bytes:
            raise _NotNowError("incomplete_body", f"{url}: {len(body)} of {num_bytes} bytes at {offset} came")
        return body

    return _ask_patiently(ask, url, settings, held)


def _ask_patiently(ask: Callable[[], _Result], url: str, settings: FetchSettings, held: Held) -> _Result:
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
        except _NotNowError as error:
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


def _ask(
    endpoint: str, params: Params, settings: FetchSettings, statuses: Collection[int], max_bytes: int
) -> ApiAnswer:
    with _exchange(endpoint, params, settings, {"Accept": "application/json"}) as answer:
        _check_status(answer, endpoint, statuses)
        return ApiAnswer(answer.status_code, b"".join(_pieces(answer, endpoint, settings, max_bytes, decode=True)))


@contextmanager
def _exchange(
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
        raise _NotNowError("timeout" if is_timeout else "connection_failed", f"{url}: {error}") from error


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


def _check_status(answer: requests.Response, url: str, statuses: Collection[int]) -> None:
    """Pass an answer whose status is among those asked for.

    Raises:
        FetchError: it has another status.
    """
    status = answer.status_code
    if status in statuses:
        return
    reason, detail = f"http_{status}", f"{url} answered {status} {answer.reason}"
    if status in _PASSING_STATUSES:
        raise _NotNowError(reason, detail, answer.headers.get("Retry-After"))
    raise FetchError(reason, detail)


def _pieces(
    answer: requests.Response, url: str, settings: FetchSettings, max_bytes: int, *, decode: bool
) -> Iterator[bytes]:
    """Yield the body piece by piece.

    Raises:
        FetchError: "too_many_bytes", or "timeout" where it takes longer than `settings.timeout_s`.
    """
    num_bytes, ends_at = 0, time.monotonic() + settings.timeout_s
    # read1 returns what has come: a server that dribbles would keep a read of whole pieces waiting.
    while piece := answer.raw.read1(_PIECE_BYTES, decode_content=decode):
        num_bytes += len(piece)
        if num_bytes > max_bytes:
            raise FetchError("too_many_bytes", f"{url}: more than {max_bytes} bytes")
        if time.monotonic() > ends_at:
            raise _NotNowError("timeout", f"{url}: {num_bytes} bytes in {settings.timeout_s:g} s")
        yield piece


def _json_object(body: bytes, endpoint: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchError("bad_json", f"{endpoint}: {error}") from error
    if not isinstance(found, dict):
        raise FetchError("bad_json", f"{endpoint} answered no JSON object")
    return found
