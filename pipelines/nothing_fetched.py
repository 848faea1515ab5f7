"""What to tell of a crawl that got nothing at all, or no answer of an API: what happened, and what would do."""

from collections.abc import Iterable, Mapping
from typing import Any

MAX_TOLD = 5
"""Seeds told of, at most."""

_WOULD_DO = {
    "api_error": "check what the source asks for",
    "address_refused": "if that machine is yours, name the host under crawl.allow_hosts",
    "bad_range": "its server sends other bytes than those asked for; put the file elsewhere",
    "bad_json": "check the address of its API",
    "connection_failed": "is the server up? run again when it is",
    "crawl_delay_too_long": "raise crawl.max_delay_s",
    "dns_failed": "check the spelling, and the network",
    "host_down": "is the server up? run again when it is",
    "http_429": "it is asked for too much; run again later",
    "redirected": "put the address it leads to under the seeds",
    "retry_after_too_long": "run again when that time is over; what is finished is kept",
    "robots_disallowed": "the site asks not to be crawled; choose another",
    "timeout": "run again later, or raise crawl.timeout_s",
    "too_many_bytes": "raise crawl.max_page_bytes",
    "too_many_header_bytes": "raise crawl.max_header_bytes",
    "expands_too_much": "it looks like a decompression bomb; if it is none, raise crawl.max_expansion",
    "bad_host_name": "check the spelling",
    "unknown_crawl": "name one of those under crawls",
    "unwanted_type": "a crawl begins at an HTML page",
}


def what_happened(rows: Iterable[Mapping[str, Any]]) -> str:
    """One line about the seeds' ledger rows."""
    told = [_tell(row) for row in rows]
    more = [f"and {len(told) - MAX_TOLD} more"] if len(told) > MAX_TOLD else []
    return "; ".join([*told[:MAX_TOLD], *more]) or "no seed leads anywhere"


def _tell(row: Mapping[str, Any]) -> str:
    detail = row["final_url"] if row["reason"] == "redirected" else row["detail"]
    return f"{row['url']}: {row['reason']}{f': {detail}' if detail else ''} ({would_do(row['reason'])})"


def would_do(reason: str) -> str:
    """What a person can do about a URL that could not be had for a reason."""
    if reason in _WOULD_DO:
        return _WOULD_DO[reason]
    if reason.startswith("http_5"):
        return "the server is unwell; run again later"
    if reason.startswith("http_4"):
        return "check the address"
    if reason.startswith("tls_"):
        return "its certificate does not hold; check the address, and the clock"
    if reason.startswith("opted_out"):
        return "the site asks not to be used; choose another"
    return "run again later, or begin elsewhere"
