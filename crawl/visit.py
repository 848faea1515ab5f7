"""What one answer is worth: the ledger row, the payload to keep and the links found, from bytes already had."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from crawl.html import PageError, read_page
from crawl.http import FetchError
from crawl.opt_outs import XMP_PROHIBITED, OptOutDecision, OptOuts, decide_opt_outs, tdm_signals
from crawl.pictures import READABLE_TYPES
from crawl.records import UNKNOWN, Earlier, Fate, LedgerRow, LinkRow, Target, Visit, link_of
from crawl.response import Response
from crawl.robots import robots_directives
from crawl.settings import PRODUCT, FetchSettings
from crawl.sitemap_xml import SitemapError
from crawl.sitemaps import links_of, read_sitemap
from crawl.urls import canonical_url, host_of, without_parameters
from crawl.warc import StoredResponse
from crawl.xmp import data_mining_prohibition

PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
"""Media types of pages that are asked for and kept."""

LOCAL_TEXT_TYPES = frozenset({"text/plain", "text/markdown"})
"""Media types of documents besides, where they are files on disk."""

_MAX_VALIDATOR = 1024
"""Characters of an ETag or Last-Modified header that are remembered."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Asked:
    """How a URL was asked for: requests made, the robots rule that let us, when the answer came.

    `site_signals` are the opt-outs that the site's own files state for it.
    """

    attempts: int = 0
    robots_rule: str = UNKNOWN
    fetched_at: str = ""
    site_signals: frozenset[str] = frozenset()


def timestamp() -> str:
    """Return the time, ISO 8601 in UTC to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_body_wanted(target: Target, response: Response, opt_outs: OptOuts) -> bool:
    """Return whether an answer is worth reading: status 200, a type we want, and no opt-out of a picture's headers.

    A page that opts out is read for its links.
    """
    if response.status != 200 or _is_unwanted_type(target, response):
        return False
    return target.kind != "image" or decide_opt_outs(_headers_ask(response), "image", opt_outs).reason is None


def opted_out_unasked(target: Target, asked: Asked, opt_outs: OptOuts) -> Visit | None:
    """Return the visit of a URL that its site states an opt-out for beforehand, None where it may be asked for."""
    decision = decide_opt_outs(asked.site_signals, target.kind, opt_outs)
    if decision.reason is None:
        return None
    visit = unasked(target, "rejected", decision.reason, "", asked)
    return replace(visit, row=replace(visit.row, opt_out=decision.recorded))


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
    link = replace(link_of(target, location), num_redirects=target.num_redirects + 1)
    return replace(visit, row=replace(visit.row, final_url=location), links=(link,))


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
    page links count, unless it says nofollow; its pictures do not. Links lead to URLs without `drop_parameters`.
    """
    visit = _judged(target, response, asked, settings)
    if not visit.links:
        return visit
    return replace(visit, links=tuple(_known_as(link, settings.drop_parameters) for link in visit.links))


def _known_as(link: LinkRow, drop_parameters: tuple[str, ...]) -> LinkRow:
    url = without_parameters(link.to_url, drop_parameters)
    return link if url == link.to_url else replace(link, to_url=url)


def _judged(target: Target, response: Response, asked: Asked, settings: FetchSettings) -> Visit:
    if response.status in _REDIRECTS:
        return _answered(target, response, asked, "failed", "bad_redirect", response.header("location") or "")
    if response.status != 200:
        return _answered(target, response, asked, "failed", f"http_{response.status}")
    asks = asked.site_signals | _headers_ask(response)
    if target.kind == "image":
        visit = _judge_picture(target, response, asked, asks, settings.opt_outs)
        return _with_hash_checked(visit, target, response)
    if _is_unwanted_type(target, response):
        return _of_unwanted_type(target, response, asked)
    if target.kind == "sitemap":
        return _judge_sitemap(target, response, asked)
    visit = _judge_page(target, response, asked, asks, settings)
    return _with_hash_checked(visit, target, response)


def _with_hash_checked(visit: Visit, target: Target, response: Response) -> Visit:
    """Return a visit, rejected where its file is not the one that its source speaks of."""
    algorithm, _, expected = target.expected_hash.partition(":")
    if not algorithm or response.body is None or visit.row.fate != "kept":
        return visit
    found = hashlib.new(algorithm, response.body, usedforsecurity=False).hexdigest()
    if found == expected.lower():
        return visit
    detail = f"expected {target.expected_hash}, it is {algorithm}:{found}"
    row = replace(visit.row, fate="rejected", reason="hash_mismatch", detail=detail)
    return replace(visit, row=row, payload=None, links=())


def _judge_sitemap(target: Target, response: Response, asked: Asked) -> Visit:
    """Return what a sitemap lists as links; those of other hosts only where their robots.txt named it."""
    kept = _answered(target, response, asked, "kept", "")
    assert kept.payload is not None
    vouching = [host_of(target.page_url)] if target.page_url else []
    try:
        found = read_sitemap(kept.payload, target.url, vouching)
    except SitemapError as error:
        row = replace(kept.row, fate="rejected", reason=f"sitemap_{error.reason}", detail=str(error))
        return replace(kept, row=row, payload=None)
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(found.rejected.items()))
    return replace(kept, row=replace(kept.row, detail=told), links=tuple(links_of(found, target)))


def _judge_picture(target: Target, response: Response, asked: Asked, asks: frozenset[str], opt_outs: OptOuts) -> Visit:
    detail = ""
    if response.body is not None and (prohibition := data_mining_prohibition(response.body)):
        asks, detail = asks | {XMP_PROHIBITED}, prohibition
    decision = decide_opt_outs(asks, "image", opt_outs)
    if decision.reason is None and _is_unwanted_type(target, response):
        return _of_unwanted_type(target, response, asked)
    return _with_opt_outs(_answered(target, response, asked, "kept", "", detail), decision)


def _judge_page(
    target: Target, response: Response, asked: Asked, asks: frozenset[str], settings: FetchSettings
) -> Visit:
    assert response.body is not None
    kept = _answered(target, response, asked, "kept", "")
    if response.media_type in LOCAL_TEXT_TYPES:
        return _with_opt_outs(kept, decide_opt_outs(asks, "page", settings.opt_outs))
    try:
        page = read_page(
            response.body,
            target.url,
            response.charset,
            settings.picture_width,
            depth=target.depth,
            directives=asks,
            opt_outs=settings.opt_outs,
        )
    except PageError as error:
        return replace(kept, row=replace(kept.row, fate="rejected", reason=str(error)), payload=None)
    decision = decide_opt_outs(asks | page.robots, "page", settings.opt_outs)
    links = tuple(replace(link, source=target.source) for link in page.links)
    return _with_opt_outs(replace(kept, links=links), decision)


def _with_opt_outs(visit: Visit, decision: OptOutDecision) -> Visit:
    """Return a visit with what was said recorded, rejected and without its payload where that is to be."""
    if decision.recorded == visit.row.opt_out and decision.reason is None:
        return visit
    row = replace(visit.row, opt_out=decision.recorded)
    if decision.reason is None:
        return replace(visit, row=row)
    return replace(visit, row=replace(row, fate="rejected", reason=decision.reason), payload=None)


def _of_unwanted_type(target: Target, response: Response, asked: Asked) -> Visit:
    return _answered(target, response, asked, "rejected", "unwanted_type", response.media_type or "no media type")


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


def _headers_ask(response: Response) -> frozenset[str]:
    """Return the robots directives and opt-outs in an answer's headers."""
    directives = robots_directives(response.header_values("x-robots-tag"), PRODUCT)
    return directives | tdm_signals(response.header_values("tdm-reservation"))
