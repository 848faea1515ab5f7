"""What sites list of themselves: sitemaps in XML, as text and as feeds, indexes of them, gzipped or not.

Source: https://www.sitemaps.org/protocol.html; Google's image sitemap extension
(https://developers.google.com/search/docs/crawling-indexing/sitemaps/image-sitemaps); RFC 4287 (Atom), RSS 2.0.
The protocol's rule about folders (a sitemap in /walk/ lists what is below it) is not kept by sites, nor by us.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from crawl.content_coding import BodyDecoder, CodingError, ExpansionError
from crawl.licences import spdx_of_url
from crawl.records import UNKNOWN, LinkRow, Target
from crawl.sitemap_xml import Entries, SitemapError, entries_of_text, entries_of_xml
from crawl.urls import canonical_url, host_of, is_within

MAX_SITEMAP_BYTES = 52_428_800
"""Bytes of a sitemap, decompressed. Source: sitemaps.org, "50MB (52,428,800 bytes)"."""

_MAX_ROBOTS_BYTES = 512_000
_GZIP_MAGIC = b"\x1f\x8b"
_SITEMAP_LINE = re.compile(r"^[^\S\n]*site-?map[^\S\n]*:[^\S\n]*(\S+)", re.I | re.M)
_W3C_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?)?)?")


class ListedPage(NamedTuple):
    """One URL of a sitemap, canonical, and when it was changed last: ISO 8601, "" where that is not told."""

    url: str
    lastmod: str


class ListedImage(NamedTuple):
    """One picture of a sitemap.

    Attributes:
        page_url: canonical URL of the page that shows it.
        url: its own canonical URL, on any host.
        caption: its caption, else its title, white space folded, "" where there is neither.
        licence_url: canonical URL of its licence, "" where none is named.
    """

    page_url: str
    url: str
    caption: str
    licence_url: str


class Sitemap(NamedTuple):
    """What one sitemap lists.

    Attributes:
        pages: its URLs, in order.
        sitemaps: the sitemaps an index lists, in order.
        images: the pictures on those pages.
        rejected: how many entries were left out, by reason: "bad_url" (none, or not http), "other_host" and
            "too_many_urls" (those behind the first 50,000); pictures as "bad_image_url"; and "malformed", which is 1
            where the XML breaks off and what stands before is all there is.
    """

    pages: tuple[ListedPage, ...]
    sitemaps: tuple[ListedPage, ...]
    images: tuple[ListedImage, ...]
    rejected: Mapping[str, int]


def read_sitemap(body: bytes, url: str, vouching_hosts: Collection[str] = ()) -> Sitemap:
    """Return what a sitemap lists; what it is shows in its content, not in its name.

    Args:
        body: as fetched.
        url: canonical URL it was fetched from.
        vouching_hosts: hosts whose robots.txt names this sitemap; it may list their URLs beside those of its own
            host. A host stands for itself with and without "www.". Source: sitemaps.org, "Cross Submits".

    Raises:
        SitemapError: it is no sitemap, or would take too much to read.
    """
    data = _decompressed(body).removeprefix(b"\xef\xbb\xbf").lstrip()
    hosts = {host_of(url), *vouching_hosts}
    found = entries_of_text(data) if _is_text(data) else entries_of_xml(data)
    return _sitemap(found, hosts)


def links_of(found: Sitemap, target: Target) -> Iterator[LinkRow]:
    """Yield the links that a sitemap amounts to, which was asked for as `target`."""
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
            licence_method="sitemap" if image.licence_url else UNKNOWN,
        )


def sitemaps_of(robots_body: bytes) -> list[str]:
    r"""Return the sitemaps a robots.txt names, canonical, each once, in order.

    >>> sitemaps_of(b"User-agent: *\nDisallow:\nSitemap: https://trees.example/map.xml\n")
    ['https://trees.example/map.xml']

    Source: sitemaps.org, "Specifying the Sitemap location in your robots.txt file"; the line belongs to no group.
    """
    text = robots_body[:_MAX_ROBOTS_BYTES].decode("utf-8-sig", "replace").replace("\r", "\n")
    urls = (canonical_url(found) for found in _SITEMAP_LINE.findall(text))
    return list(dict.fromkeys(url for url in urls if url is not None))


def _decompressed(body: bytes) -> bytes:
    try:
        decoder = BodyDecoder("gzip" if body.startswith(_GZIP_MAGIC) else "", MAX_SITEMAP_BYTES)
        data = decoder.decode(body)
        decoder.finish()
    except ExpansionError as error:
        raise SitemapError("expands_too_much", str(error)) from error
    except CodingError as error:
        raise SitemapError("bad_gzip", str(error)) from error
    if decoder.is_over:
        raise SitemapError("too_many_bytes", f"more than {MAX_SITEMAP_BYTES} bytes")
    return data


def _is_text(data: bytes) -> bool:
    """Return whether this is a list of URLs in plain text, one a line, as its first one tells."""
    first = data.split(maxsplit=1)[:1]
    return bool(first) and first[0][:8].lower().startswith((b"http://", b"https://"))


def _sitemap(found: Entries, hosts: Collection[str]) -> Sitemap:
    rejected = Counter(too_many_urls=found.num_others, malformed=int(not found.is_whole))
    listed: dict[str, list[ListedPage]] = {"page": [], "sitemap": []}
    images: list[ListedImage] = []
    for entry in found.entries:
        page = canonical_url(entry.url)
        if page is None:
            rejected["bad_url"] += 1
        elif not is_within(page, hosts):
            rejected["other_host"] += 1
        else:
            listed[entry.kind].append(ListedPage(page, _iso_time(entry.time)))
            for fields in entry.images:
                image = _image(page, fields)
                if image is None:
                    rejected["bad_image_url"] += 1
                else:
                    images.append(image)
    return Sitemap(tuple(listed["page"]), tuple(listed["sitemap"]), tuple(images), dict(+rejected))


def _image(page_url: str, image: Mapping[str, str]) -> ListedImage | None:
    url = canonical_url(image.get("loc", ""))
    if url is None:
        return None
    caption = " ".join((image.get("caption") or image.get("title") or "").split())
    return ListedImage(page_url, url, caption, canonical_url(image.get("license", "")) or "")


def _iso_time(text: str) -> str:
    """Return a time as ISO 8601: a W3C date as it is, a date of RFC 5322 converted, "" for anything else."""
    if not text or _W3C_TIME.fullmatch(text):
        return text
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return ""
