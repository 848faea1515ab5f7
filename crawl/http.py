"""The only module that opens a connection to the web: one hop at a time, bounded in bytes and seconds.

Redirects are never followed here, since robots.txt and addresses must be judged anew at each hop. Proxies named by
the environment are not used: they would resolve names out of reach of the address guard.
"""

import functools
import json
import ssl
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import requests
from yarl import URL

from crawl.addresses import AddressRefusedError, CheckedResolver, check_url, resolve_checked
from crawl.content_coding import ACCEPTED, BodyDecoder, CodingError
from crawl.response import Response, retry_delay_s
from crawl.settings import FetchSettings
from crawl.urls import host_of, port_of

_PIECE_BYTES = 64 * 1024
_UNREAD_BYTES = 64 * 1024
"""Unwanted bodies up to this size are read to the end, so that the connection can be used again."""

_API_BYTES = 16 * 2**20
_API_PASSING_FAULTS = frozenset({"connection_failed", "timeout"})
_API_PASSING_STATUSES = frozenset({429, 502, 503, 504})


class FetchError(Exception):
    """A request that brought no usable answer.

    Attributes:
        reason: snake_case fact, such as "connection_failed".
        detail: what exactly happened.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Client:
    """Asks for URLs on behalf of one event loop; use it as an async context manager."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._resolver = CheckedResolver(settings.allow_hosts, settings.connect_to)

    async def __aenter__(self) -> Self:
        settings = self._settings
        connector = aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, limit=0, limit_per_host=1)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": settings.user_agent, "Accept-Encoding": ACCEPTED},
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s, connect=settings.connect_timeout_s),
            auto_decompress=False,
            trust_env=False,
            requote_redirect_url=False,
        )
        # aiohttp would ask again by itself, without a pause and uncounted, when a connection it kept turns out closed.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

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
        """Return the answer of one GET request, whatever its status.

        Args:
            url: canonical URL.
            accept: value of the Accept header.
            max_bytes: bytes the body may have, both as sent and decoded.
            is_body_wanted: decides from status and headers whether the body is read.
            cut: end a longer body there instead of failing.
            conditions: headers that make the request conditional.

        Raises:
            FetchError: with reason "address_refused", "dns_failed", "connection_failed", "tls_failed", "timeout",
                "too_many_bytes", "bad_encoding", "incomplete_body" or "http_protocol_error".
        """
        try:
            check_url(url, self._settings.allow_hosts)
            async with self._session.get(
                URL(url, encoded=True),
                headers={"Accept": accept, **(conditions or {})},
                allow_redirects=False,
                ssl=_tls_context() if url.startswith("https:") else True,
            ) as answer:
                response = _response_of(answer)
                if is_body_wanted(response):
                    body = await _read_body(answer, max_bytes, cut)
                    return Response(response.status, response.head, response.headers, body)
                await _read_away(answer)
                return response
        except AddressRefusedError as error:
            raise FetchError("address_refused", str(error)) from error
        except CodingError as error:
            raise FetchError("bad_encoding", str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _fetch_error(error) from error

    async def address_of(self, host: str, port: int) -> str | None:
        """Return the address that requests to a host go to; None where it has none, or its load is nobody's concern."""
        if host in self._settings.allow_hosts or host in self._settings.connect_to:
            return None
        try:
            return next((answer["host"] for answer in await self._resolver.resolve(host, port)), None)
        except (AddressRefusedError, OSError):
            return None  # the request says why


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return the process's TLS settings; loading the certificates of the system takes a while."""
    return ssl.create_default_context()


def _response_of(answer: aiohttp.ClientResponse) -> Response:
    version = answer.version or aiohttp.HttpVersion11
    status_line = f"HTTP/{version.major}.{version.minor} {answer.status} {answer.reason or ''}".rstrip()
    lines = [status_line.encode("latin-1", "replace")]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    headers = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1").strip()) for name, value in answer.raw_headers
    )
    return Response(answer.status, b"\r\n".join(lines) + b"\r\n\r\n", headers)


async def _read_body(answer: aiohttp.ClientResponse, max_bytes: int, cut: bool) -> bytes:
    """Return the decoded body; one beyond the limit is cut there, or fails."""
    if not cut and (answer.content_length or 0) > max_bytes:
        raise FetchError("too_many_bytes", f"{answer.content_length} bytes; the limit is {max_bytes}")
    decoder = BodyDecoder(answer.headers.get("Content-Encoding", ""), max_bytes)
    body = bytearray()
    num_sent = 0
    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
        num_sent += len(piece)
        body += decoder.decode(piece)
        if decoder.is_over or num_sent > max_bytes:
            if cut:
                return bytes(body)
            raise FetchError("too_many_bytes", f"more than {max_bytes} bytes")
    decoder.finish()
    return bytes(body)


async def _read_away(answer: aiohttp.ClientResponse) -> None:
    """Read a short body to its end; a long one is left, and its connection closed with it."""
    if (answer.content_length or 0) > _UNREAD_BYTES:
        return
    num_read = 0
    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
        num_read += len(piece)
        if num_read > _UNREAD_BYTES:
            return


def _fetch_error(error: Exception) -> FetchError:
    """Return the reason behind an error of aiohttp or of the network."""
    detail = " ".join(str(error).split())[:300] or type(error).__name__
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (TimeoutError, "timeout"),
        (aiohttp.ClientConnectorDNSError, "dns_failed"),
        (aiohttp.ClientSSLError, "tls_failed"),
        (ssl.SSLError, "tls_failed"),
        (aiohttp.ClientPayloadError, "incomplete_body"),
        (aiohttp.ClientResponseError, "http_protocol_error"),
        (aiohttp.ClientConnectionError, "connection_failed"),
        (OSError, "connection_failed"),
    )
    for kind, reason in reasons:
        if isinstance(error, kind):
            return FetchError(reason, detail)
    return FetchError("http_protocol_error", detail)


def request_json(endpoint: str, params: Mapping[str, str], settings: FetchSettings) -> dict[str, Any]:
    """Return the JSON object an API answers, asked no faster than `settings.delay_s` allows.

    The address is checked before the request. A connection that fails, a time-out, an answer of 429, 502, 503 or 504,
    and MediaWiki's "maxlag" error are asked again, after the time they name where they name one.

    Args:
        endpoint: canonical URL of the API.
        params: query parameters.
        settings: user agent, time-outs, delays and number of attempts.

    Raises:
        FetchError: no usable answer came after `settings.max_attempts` requests.

    Source: https://www.mediawiki.org/wiki/API:Etiquette, https://www.mediawiki.org/wiki/Manual:Maxlag_parameter.
    """
    error = FetchError("timeout", "not asked")
    delay_s = settings.delay_s
    for attempts in range(1, settings.max_attempts + 1):
        time.sleep(delay_s)
        retry_after = None
        try:
            answer, body = _request(endpoint, params, settings)
        except FetchError as failed:
            if failed.reason not in _API_PASSING_FAULTS:
                raise
            error = failed
        else:
            found = _api_result(answer, body, endpoint)
            if not isinstance(found, FetchError):
                return found
            error, retry_after = found, answer.headers.get("Retry-After")
        delay_s = retry_delay_s(retry_after, settings.delay_s * 2**attempts, time.time())
        if delay_s > settings.max_delay_s:
            raise error
    raise error


def _api_result(answer: requests.Response, body: bytes, endpoint: str) -> dict[str, Any] | FetchError:
    """Return what an API answered, or why it is to be asked again.

    Raises:
        FetchError: asking again would not help.
    """
    if answer.status_code == 200:
        found = _json_object(body, endpoint)
        if found.get("error", {}).get("code") != "maxlag":
            return found
        return FetchError("api_overloaded", str(found["error"].get("info", "maxlag")))
    error = FetchError(f"http_{answer.status_code}", f"{endpoint} answered {answer.status_code} {answer.reason}")
    if answer.status_code not in _API_PASSING_STATUSES:
        raise error
    return error


def _request(endpoint: str, params: Mapping[str, str], settings: FetchSettings) -> tuple[requests.Response, bytes]:
    try:
        check_url(endpoint, settings.allow_hosts)
        resolve_checked(host_of(endpoint), port_of(endpoint), settings.allow_hosts, {})
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                endpoint,
                params=dict(params),
                headers={"User-Agent": settings.user_agent, "Accept": "application/json"},
                timeout=(settings.connect_timeout_s, settings.timeout_s),
                allow_redirects=False,
                stream=True,
            )
            return answer, _read_bounded(answer)
    except AddressRefusedError as error:
        raise FetchError("address_refused", str(error)) from error
    except requests.Timeout as error:
        raise FetchError("timeout", f"{endpoint}: {error}") from error
    except requests.RequestException as error:
        raise FetchError("connection_failed", f"{endpoint}: {error}") from error
    except OSError as error:
        raise FetchError("dns_failed", f"{endpoint}: {error}") from error


def _read_bounded(answer: requests.Response) -> bytes:
    body = bytearray()
    for piece in answer.iter_content(_PIECE_BYTES):
        body += piece
        if len(body) > _API_BYTES:
            raise FetchError("too_many_bytes", f"{answer.url}: more than {_API_BYTES} bytes")
    return bytes(body)


def _json_object(body: bytes, endpoint: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise FetchError("bad_json", f"{endpoint}: {error}") from error
    if not isinstance(found, dict):
        raise FetchError("bad_json", f"{endpoint} answered no JSON object")
    return found
