"""Opens connections to the web, as nothing but this and `crawl.api` does: one hop, bounded in bytes and seconds.

Redirects are never followed here, since robots.txt and addresses must be judged anew at each hop. Proxies named by
the environment are not used: they would resolve names out of reach of the address guard.
"""

import io
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from crawl.addresses import AddressRefusedError, HostNameError, check_url
from crawl.content_coding import ACCEPTED, BodyDecoder, CodingError, ExpansionError
from crawl.resolver import CheckedResolver
from crawl.response import Response
from crawl.settings import FetchSettings
from crawl.tls import tls_context, tls_reason

_PIECE_BYTES = 64 * 1024
_UNREAD_BYTES = 64 * 1024
"""Unwanted bodies up to this size are read to the end, so that the connection can be used again."""

_MAX_HEADER_LINES = 256
"""Of one answer; aiohttp's own limit is 128."""

_TOLD_OF_LONG_HEADERS = ("Too many headers received", "bytes when reading")
"""What aiohttp says of headers beyond its limits: it has no error of its own for them."""


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
            max_line_size=settings.max_header_bytes,
            max_field_size=settings.max_header_bytes,
            max_headers=_MAX_HEADER_LINES,
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
            FetchError: with reason "address_refused", "bad_host_name", "dns_failed", "connection_failed", "timeout",
                one of `crawl.tls.tls_reason`, "too_many_header_bytes", "too_many_bytes", "expands_too_much",
                "bad_encoding", "incomplete_body" or "http_protocol_error".
        """
        settings = self._settings
        try:
            check_url(url, settings.allow_hosts, settings.allow_ports)
            async with self._session.get(
                URL(url, encoded=True),
                headers={"Accept": accept, **(conditions or {})},
                allow_redirects=False,
                ssl=tls_context() if url.startswith("https:") else True,
            ) as answer:
                response = _response_of(answer)
                if len(response.head) > settings.max_header_bytes:
                    raise FetchError("too_many_header_bytes", f"{len(response.head)} bytes of headers")
                if is_body_wanted(response):
                    body = await _read_body(answer, max_bytes, cut, settings.max_expansion)
                    return Response(response.status, response.head, response.headers, body)
                await _read_away(answer)
                return response
        except AddressRefusedError as error:
            raise FetchError("address_refused", str(error)) from error
        except HostNameError as error:
            raise FetchError("bad_host_name", str(error)) from error
        except ExpansionError as error:
            raise FetchError("expands_too_much", str(error)) from error
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
        except (AddressRefusedError, HostNameError, OSError):
            return None  # the request says why


def _response_of(answer: aiohttp.ClientResponse) -> Response:
    version = answer.version or aiohttp.HttpVersion11
    status_line = f"HTTP/{version.major}.{version.minor} {answer.status} {answer.reason or ''}".rstrip()
    lines = [status_line.encode("latin-1", "replace")]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    headers = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1").strip()) for name, value in answer.raw_headers
    )
    return Response(answer.status, b"\r\n".join(lines) + b"\r\n\r\n", headers)


async def _read_body(answer: aiohttp.ClientResponse, max_bytes: int, cut: bool, max_expansion: float) -> bytes:
    """Return the decoded body; one beyond the limit is cut there, or fails."""
    if not cut and (answer.content_length or 0) > max_bytes:
        raise FetchError("too_many_bytes", f"{answer.content_length} bytes; the limit is {max_bytes}")
    codings = ", ".join(answer.headers.getall("Content-Encoding", []))
    decoder = BodyDecoder(codings, max_bytes, max_expansion)
    body = io.BytesIO()  # which gives its bytes away without a copy, as a bytearray would not
    num_sent = 0
    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
        num_sent += len(piece)
        body.write(decoder.decode(piece))
        if decoder.is_over or num_sent > max_bytes:
            if cut:
                return body.getvalue()
            raise FetchError("too_many_bytes", f"more than {max_bytes} bytes")
    decoder.finish()
    return body.getvalue()


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
    if any(told in detail for told in _TOLD_OF_LONG_HEADERS):
        return FetchError("too_many_header_bytes", detail)
    if (tls := tls_reason(error)) is not None:
        return FetchError(tls, detail)
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (TimeoutError, "timeout"),
        (aiohttp.ClientConnectorDNSError, "dns_failed"),
        (aiohttp.ClientSSLError, "tls_failed"),
        (aiohttp.ClientPayloadError, "incomplete_body"),
        (aiohttp.ClientResponseError, "http_protocol_error"),
        (aiohttp.ClientConnectionError, "connection_failed"),
        (OSError, "connection_failed"),
    )
    for kind, reason in reasons:
        if isinstance(error, kind):
            return FetchError(reason, detail)
    return FetchError("http_protocol_error", detail)
