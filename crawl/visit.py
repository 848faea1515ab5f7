"""What one answer is worth: the ledger row, the payload to keep and the links found, from bytes already had."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from crawl.html import PageError, read_page
from crawl.http import FetchError
from crawl.licences import spdx_of_url
from crawl.pictures import READABLE_TYPES
from crawl.records import UNKNOWN, Earlier, Fate, LedgerRow, LinkRow, Target, Visit, link_of
from crawl.response import Response
from crawl.robots import robots_directives
from crawl.settings import PRODUCT, FetchSettings
from crawl.sitemap_xml import SitemapError
from crawl.sitemaps import Sitemap, read_sitemap
from crawl.urls import canonical_url, host_of
from crawl.warc import StoredResponse

PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
"""Media types of pages that are asked for and kept."""

LOCAL_TEXT_TYPES = frozenset({"text/plain", "text/markdown"})
"""Media types of documents besides, where they are files on disk."""

_MAX_VALIDATOR = 1024
"""Characters of an ETag or Last-Modified header that are remembered."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

# Opt-outs, the gravest first, and the reason each gives.
_PAGE_OPT_OUTS = {"noai": "opted_out_noai", "noindex": "opted_out_noindex"}
_PICTURE_OPT_OUTS = {
    "noai": "opted_out_noai",
    "noimageai": "opted_out_noai",
    "noindex": "opted_out_noindex",
    "noimageindex": "opted_out_noindex",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """How a URL was asked for: requests made, the robots rule that let us, and when the answer came."""

    attempts: int = 0
    robots_rule: str = UNKNOWN
    fetched_at: str = ""


def timestamp() -> str:
    """Return the time, ISO 8601 in UTC to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_body_wanted(target: Target, response: Response) -> bool:
    """Return whether an answer is worth reading: status 200, a type we want, and no opt-out in its headers."""
    return response.status == 200 and not _is_unwanted_type(target, response) and not _header_opt_out(target, response)


def unasked(target: Target, fate: Fate, reason: str, detail: str, asked: Asked) -> Visit:
    """Return the visit of a URL that got no answer, or was not asked for at all."""
    row = LedgerRow(
        url=target.url,
        final_url=target.url,
        host=host_of(target.url),
        kind=target.kind,
        fate=fate,
        reason=reason,
        detail=detail,
        status=0,
        media_type="",
        num_bytes=0,
        sha256="",
        warc_file="",
        warc_offset=-1,
        fetched_at=asked.fetched_at,
        attempts=asked.attempts,
        robots_rule=asked.robots_rule,
        opt_out="none",
        depth=target.depth,
        source=target.source,
    )
    return Visit(row=row, payload=None, http_head=b"", links=())


def unanswered(target: Target, error: FetchError, asked: Asked) -> Visit:
    """Return the visit of a URL whose requests failed; a refused address is our own decision, not a failure."""
    fate: Fate = "rejected" if error.reason == "address_refused" else "failed"
    return unasked(target, fate, error.reason, error.detail, asked)


def redirect_location(response: Response, url: str) -> str | None:
    """Return the canonical URL a redirect points to, None where the answer is no redirect to a web address."""
    location = response.header("location")
    return canonical_url(location, url) if response.status in _REDIRECTS and location else None


def redirected(target: Target, response: Response, location: str, asked: Asked) -> Visit:
    """Return the visit of a URL that moved: rejected itself, with a link to where it points."""
    visit = _answered(target, response, asked, "rejected", "redirected")
    return replace(visit, row=replace(visit.row, final_url=location), links=(link_of(target, location),))


def misdirected(target: Target, response: Response, location: str, reason: str, asked: Asked) -> Visit:
    """Return the visit of a URL whose redirect is not followed, such as one in a loop."""
    visit = _answered(target, response, asked, "failed", reason, f"redirects to {location}")
    return replace(visit, row=replace(visit.row, final_url=location))


def conditions(earlier: Earlier) -> dict[str, str]:
    """Return the headers that ask for a URL only if it is not what an earlier snapshot has.

    Source: RFC 9110, sections 13.1.2 and 13.1.3.
    """
    named = {"If-None-Match": earlier.etag, "If-Modified-Since": earlier.last_modified}
    return {name: value for name, value in named.items() if value}


def revived(response: Response, earlier: StoredResponse) -> Response:
    """Return the answer that "304 Not Modified" stands for: the stored one, its headers brought up to date.

    Source: RFC 9111, section 4.3.4.
    """
    renewed = {name for name, _ in response.headers}
    kept = tuple((name, value) for name, value in earlier.headers if name not in renewed)
    return Response(200, response.head, kept + response.headers, earlier.payload)


def unchanged(visit: Visit, earlier: Earlier) -> Visit:
    """Return a visit that was kept as a revisit, where its payload is still what an earlier snapshot has."""
    if visit.row.fate != "kept" or visit.row.sha256 != earlier.sha256:
        return visit
    row = replace(
        visit.row,
        warc_file=earlier.warc_file,
        warc_offset=earlier.warc_offset,
        unchanged_since=earlier.fetched_at,
        etag=visit.row.etag or earlier.etag,
        last_modified=visit.row.last_modified or earlier.last_modified,
    )
    return replace(visit, row=row, payload=None, earlier=earlier)


def judge(target: Target, response: Response, asked: Asked, settings: FetchSettings) -> Visit:
    """Return the visit an answer amounts to; redirects to a web address are for `redirected` and `misdirected`.

    The fate is "kept" for status 200 with a wanted type and no opt-out. A page that opts out is not kept, yet its
    page links count, unless it says nofollow; its pictures do not.
    """
    if response.status in _REDIRECTS:
        return _answered(target, response, asked, "failed", "bad_redirect", response.header("location") or "")
    if response.status != 200:
        return _answered(target, response, asked, "failed", f"http_{response.status}")
    if signals := _header_opt_out(target, response):
        return _opted_out(_answered(target, response, asked, "rejected", ""), target, signals)
    if _is_unwanted_type(target, response):
        return _answered(target, response, asked, "rejected", "unwanted_type", response.media_type or "no media type")
    if fault := _hash_fault(target, response):
        return _answered(target, response, asked, "rejected", "hash_mismatch", fault)
    kept = _answered(target, response, asked, "kept", "")
    if target.kind == "sitemap":
        return _judge_sitemap(kept, target)
    if target.kind == "page" and response.media_type in LOCAL_TEXT_TYPES:
        return kept
    return _judge_page(kept, target, response, settings) if target.kind == "page" else kept


def _hash_fault(target: Target, response: Response) -> str:
    """Return how a file differs from what its source says of it, "" where it does not or nothing is said."""
    algorithm, _, expected = target.expected_hash.partition(":")
    if not algorithm or response.body is None:
        return ""
    found = hashlib.new(algorithm, response.body, usedforsecurity=False).hexdigest()
    return "" if found == expected.lower() else f"expected {target.expected_hash}, it is {algorithm}:{found}"


def _judge_sitemap(kept: Visit, target: Target) -> Visit:
    """Return what a sitemap lists as links; those of other hosts only where their robots.txt named it."""
    assert kept.payload is not None
    vouching = [host_of(target.page_url)] if target.page_url else []
    try:
        found = read_sitemap(kept.payload, target.url, vouching)
    except SitemapError as error:
        row = replace(kept.row, fate="rejected", reason=f"sitemap_{error.reason}", detail=str(error))
        return replace(kept, row=row, payload=None)
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(found.rejected.items()))
    return replace(kept, row=replace(kept.row, detail=told), links=tuple(_sitemap_links(found, target)))


def _sitemap_links(found: Sitemap, target: Target) -> Iterator[LinkRow]:
    listed = LinkRow(target.url, "", "page", depth=target.depth + 1, source=target.source)
    for each in found.sitemaps:
        yield replace(listed, to_url=each.url, kind="sitemap")
    for page in found.pages:
        yield replace(listed, to_url=page.url)
    for image in found.images:
        yield replace(
            listed,
            from_url=image.page_url,
            to_url=image.url,
            kind="image",
            caption=image.caption,
            caption_source="sitemap" if image.caption else "none",
            licence=spdx_of_url(image.licence_url) if image.licence_url else UNKNOWN,
            licence_url=image.licence_url or UNKNOWN,
        )


def _judge_page(kept: Visit, target: Target, response: Response, settings: FetchSettings) -> Visit:
    assert response.body is not None
    directives = _header_directives(response)
    try:
        page = read_page(
            response.body,
            target.url,
            response.charset,
            settings.picture_width,
            depth=target.depth,
            directives=directives,
        )
    except PageError as error:
        return replace(kept, row=replace(kept.row, fate="rejected", reason=str(error)), payload=None)
    signals = (page.robots | directives) & _PICTURE_OPT_OUTS.keys()
    links = tuple(replace(link, source=target.source) for link in page.links)
    visit = replace(kept, row=replace(kept.row, opt_out=_joined(signals)), links=links)
    return _opted_out(visit, target, signals) if signals & _PAGE_OPT_OUTS.keys() else visit


def _opted_out(visit: Visit, target: Target, signals: frozenset[str]) -> Visit:
    reasons = _PAGE_OPT_OUTS if target.kind == "page" else _PICTURE_OPT_OUTS
    reason = next(reason for signal, reason in reasons.items() if signal in signals)
    row = replace(visit.row, fate="rejected", reason=reason, opt_out=_joined(signals))
    return replace(visit, row=row, payload=None)


def _answered(target: Target, response: Response, asked: Asked, fate: Fate, reason: str, detail: str = "") -> Visit:
    blank = unasked(target, fate, reason, detail, asked)
    body = response.body
    row = replace(
        blank.row,
        status=response.status,
        media_type=response.media_type,
        num_bytes=len(body or b""),
        sha256="" if body is None else hashlib.sha256(body).hexdigest(),
        etag=_validator(response, "etag"),
        last_modified=_validator(response, "last-modified"),
    )
    return Visit(row=row, payload=body if fate == "kept" else None, http_head=response.head, links=())


def _validator(response: Response, name: str) -> str:
    """Return a header that a later snapshot can ask with: printable and short, else ""."""
    value = response.header(name) or ""
    return value if len(value) <= _MAX_VALIDATOR and value.isascii() and value.isprintable() else ""


def _is_unwanted_type(target: Target, response: Response) -> bool:
    if target.kind == "sitemap":
        return False  # what it is shows in its content
    if target.kind == "image":
        return response.media_type not in READABLE_TYPES
    local = LOCAL_TEXT_TYPES if target.url.startswith("file:") else frozenset()
    return response.media_type not in PAGE_TYPES | local


def _header_directives(response: Response) -> frozenset[str]:
    return robots_directives(response.header_values("x-robots-tag"), PRODUCT)


def _header_opt_out(target: Target, response: Response) -> frozenset[str]:
    """Return the signals in a picture's headers; a page's are judged with those in it, since its links count."""
    return _header_directives(response) & _PICTURE_OPT_OUTS.keys() if target.kind == "image" else frozenset()


def _joined(signals: frozenset[str]) -> str:
    return ",".join(sorted(signals)) or "none"
