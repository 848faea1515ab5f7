"""Asks APIs that a recipe names: one request at a time, bounded in bytes and seconds, backing off when told."""

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from crawl.exchange import NotNowError, Params, ask_patiently, check_status, exchange, pieces
from crawl.held import HELD_IN_PROCESS, Held
from crawl.http import FetchError
from crawl.settings import FetchSettings

_MAX_JSON_BYTES = 16 * 2**20
_MAX_BYTES = 64 * 2**20
_OK = frozenset({200})


class ApiAnswer(NamedTuple):
    """What an API answered: HTTP status and decoded body."""

    status: int
    body: bytes


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
            raise NotNowError("api_overloaded", str(error.get("info", "maxlag")))
        return found

    return ask_patiently(ask, endpoint, settings, held)


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
    return ask_patiently(lambda: _ask(endpoint, params, settings, statuses, max_bytes), endpoint, settings, held)


def _ask(
    endpoint: str, params: Params, settings: FetchSettings, statuses: Collection[int], max_bytes: int
) -> ApiAnswer:
    with exchange(endpoint, params, settings, {"Accept": "application/json"}) as answer:
        check_status(answer, endpoint, statuses)
        return ApiAnswer(answer.status_code, b"".join(pieces(answer, endpoint, settings, max_bytes, decode=True)))


def _json_object(body: bytes, endpoint: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchError("bad_json", f"{endpoint}: {error}") from error
    if not isinstance(found, dict):
        raise FetchError("bad_json", f"{endpoint} answered no JSON object")
    return found
