"""The rows a crawl writes: what was asked for, what came back, what was found on it."""

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Literal

import pyarrow as pa

UNKNOWN = "unknown"
"""Stands where a licence, an author, a language or a rule could not be read; it never counts as permission."""

NO_EXTRA = "{}"
"""Stands where a source carried no further columns along: an empty JSON object."""

Kind = Literal["page", "image", "sitemap"]
Fate = Literal["kept", "rejected", "failed"]


@dataclass(frozen=True, slots=True)
class Target:
    """One URL that is due to be asked for.

    Attributes:
        url: canonical URL (see `crawl.urls.canonical_url`).
        kind: whether a page, a picture or a sitemap is expected there.
        depth: links between the nearest seed and this URL; a seed has 0, a picture its page's depth + 1.
        page_url: page on which it was found, "" for a seed.
        caption: caption that stood beside the link, "" where there was none.
        num_redirects: as in `LinkRow`.
        caption_source: as in `LinkRow`.
        licence: as in `LinkRow`.
        licence_url: as in `LinkRow`.
        author: as in `LinkRow`.
        source: as in `LinkRow`.
        extra: as in `LinkRow`.
        expected_hash: as in `LinkRow`.
        licence_method: as in `LinkRow`.
        language: as in `LinkRow`.
    """

    url: str
    kind: Kind
    depth: int
    page_url: str
    caption: str
    num_redirects: int = 0
    caption_source: str = "none"
    licence: str = UNKNOWN
    licence_url: str = UNKNOWN
    author: str = UNKNOWN
    source: str = ""
    extra: str = NO_EXTRA
    expected_hash: str = ""
    licence_method: str = UNKNOWN
    language: str = UNKNOWN


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What became of one URL that was asked for; there is exactly one row per URL.

    Attributes:
        url: canonical URL asked for.
        final_url: where a redirect pointed, else the URL itself.
        host: host name without port.
        kind: "page", "image" or "sitemap", as expected by whoever linked to it.
        fate: "kept", "rejected" (not wanted) or "failed" (could not be had).
        reason: snake_case fact, "" when kept.
        detail: what exactly was seen, in words, "" where the reason says it all.
        status: HTTP status, 0 where no answer came.
        media_type: media type of the answer without parameters, lower case, "" if unknown.
        num_bytes: length of the decoded payload, 0 where none was read.
        sha256: hex digest of the decoded payload, "" where none was read.
        warc_file: WARC file holding the payload, "" where none was stored: a name in the crawl's folder, or a path to
            that of an earlier snapshot ("../FINGERPRINT/NAME") where the payload has not changed since.
        warc_offset: where its gzip member begins in that file, -1 where none was stored.
        fetched_at: time of the answer, ISO 8601 in UTC to the second, "" if never asked.
        attempts: requests made for this URL, 0 if none.
        robots_rule: rule of robots.txt that decided, "none" where none applied, "unknown" if never looked up.
        opt_out: "none", or the opt-out signals seen, sorted, joined with commas.
        depth: as in `Target`.
        source: name of the recipe's source that led here.
        etag: the answer's ETag header, "" where there was none.
        last_modified: the answer's Last-Modified header, "" where there was none.
        unchanged_since: when the payload was fetched, where an earlier snapshot had the same; else "".
    """

    url: str
    final_url: str
    host: str
    kind: Kind
    fate: Fate
    reason: str
    detail: str
    status: int
    media_type: str
    num_bytes: int
    sha256: str
    warc_file: str
    warc_offset: int
    fetched_at: str
    attempts: int
    robots_rule: str
    opt_out: str
    depth: int
    source: str = ""
    etag: str = ""
    last_modified: str = ""
    unchanged_since: str = ""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier snapshot has of a URL.

    Attributes:
        etag: as in `LedgerRow`.
        last_modified: as in `LedgerRow`.
        sha256: as in `LedgerRow`.
        warc_file: where its payload is, as `LedgerRow` of the new snapshot would name it.
        warc_offset: as in `LedgerRow`.
        fetched_at: when that payload was fetched.
    """

    etag: str
    last_modified: str
    sha256: str
    warc_file: str
    warc_offset: int
    fetched_at: str


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One link or picture found, with the evidence that stood beside it.

    Attributes:
        from_url: page on which it was found.
        to_url: canonical URL it leads to.
        kind: "page" for a link, "image" for a picture, "sitemap" for one that robots.txt or another one names.
        caption: text for the picture or of the link, white space folded, may be "".
        caption_source: where the caption stood: "api", "sidecar" (a file beside it), "list" (a column of a list),
            "alt", "title", "figcaption", "aria_label", "json_ld", "og", "sitemap", "sentence" (that the picture stands
            in or beside), "text" or "none".
        licence: licence named beside it, "unknown" where none was.
        licence_url: where that licence stands, "unknown" where none was linked.
        author: author named beside it, "unknown" where none was.
        depth: depth of the target, as in `Target`.
        source: name of the recipe's source that led here, directly or over other links.
        extra: further columns that the source carried along, as a JSON object, "{}" where there are none.
        expected_hash: what the source says of the file, as "sha256:…" (or sha1, md5) in hex, "" where it says nothing.
        opt_out: what the page says against use of the pictures on it, "none" where nothing that is respected. Such a
            link is not followed; where others offer the same picture, it speaks against them.
        licence_method: how the licence was found, one of `licence_statements.METHODS`; "conflict" where what was found
            contradicts itself, and then the licence is "unknown"; "unknown" where nothing was found.
        language: of the page or element that the caption stands in, as declared there; "unknown" where none.
        num_redirects: redirects that led here from what was linked to, one behind the other and over any number of
            hosts; 0 where the link leads here by itself.
    """

    from_url: str
    to_url: str
    kind: Kind
    caption: str = ""
    caption_source: str = "none"
    licence: str = UNKNOWN
    licence_url: str = UNKNOWN
    author: str = UNKNOWN
    depth: int = 0
    source: str = ""
    extra: str = NO_EXTRA
    expected_hash: str = ""
    opt_out: str = "none"
    licence_method: str = UNKNOWN
    language: str = UNKNOWN
    num_redirects: int = 0


def target_of(link: LinkRow) -> Target:
    """Return the target a link asks for, with all that stood beside the link."""
    return Target(
        url=link.to_url,
        kind=link.kind,
        depth=link.depth,
        page_url=link.from_url,
        caption=link.caption,
        caption_source=link.caption_source,
        licence=link.licence,
        licence_url=link.licence_url,
        author=link.author,
        source=link.source,
        extra=link.extra,
        expected_hash=link.expected_hash,
        licence_method=link.licence_method,
        language=link.language,
        num_redirects=link.num_redirects,
    )


def link_of(target: Target, to_url: str) -> LinkRow:
    """Return a link to where a target's URL leads, with all that stood beside the link to the target."""
    return LinkRow(
        from_url=target.page_url,
        to_url=to_url,
        kind=target.kind,
        caption=target.caption,
        caption_source=target.caption_source,
        licence=target.licence,
        licence_url=target.licence_url,
        author=target.author,
        depth=target.depth,
        source=target.source,
        extra=target.extra,
        expected_hash=target.expected_hash,
        licence_method=target.licence_method,
        language=target.language,
        num_redirects=target.num_redirects,
    )


@dataclass(frozen=True, slots=True)
class Visit:
    """One URL asked for, with everything that came of it.

    Attributes:
        row: its ledger row; `warc_file` and `warc_offset` are filled in by whoever stores the payload.
        payload: decoded body, only where the fate is "kept".
        http_head: status line and headers as received, ending with an empty line; b"" where none came.
        links: links and pictures found on it, in document order.
        earlier: what an earlier snapshot has of it, where the payload is still that.
    """

    row: LedgerRow
    payload: bytes | None
    http_head: bytes
    links: tuple[LinkRow, ...]
    earlier: Earlier | None = None


def _schema(row_type: type) -> pa.Schema:
    """Return the Arrow schema of a row: integers as int64, all else as text, nothing nullable."""
    return pa.schema(
        [
            pa.field(field.name, pa.int64() if field.type is int else pa.string(), nullable=False)
            for field in fields(row_type)
        ]
    )


LEDGER_SCHEMA: pa.Schema = _schema(LedgerRow)
LINK_SCHEMA: pa.Schema = _schema(LinkRow)

_LEDGER_VALUES, _LINK_VALUES = attrgetter(*LEDGER_SCHEMA.names), attrgetter(*LINK_SCHEMA.names)


def ledger_columns(row: LedgerRow) -> dict[str, Any]:
    """Return a row's values by column; `dataclasses.asdict`, which copies them deeply, takes ten times as long."""
    return dict(zip(LEDGER_SCHEMA.names, _LEDGER_VALUES(row), strict=True))


def link_columns(link: LinkRow) -> dict[str, Any]:
    """Return a link's values by column."""
    return dict(zip(LINK_SCHEMA.names, _LINK_VALUES(link), strict=True))
