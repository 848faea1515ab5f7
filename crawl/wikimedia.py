"""Tree pictures of Wikimedia Commons and the Wikipedia articles that show them, found through the MediaWiki API.

The API only says what there is: the pictures and articles themselves are asked for like any other, robots.txt first.

Source: https://www.mediawiki.org/wiki/API:Query, https://www.mediawiki.org/wiki/API:Continue,
https://www.mediawiki.org/wiki/Extension:CommonsMetadata (extmetadata), and Extension:GlobalUsage (globalusage).
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from crawl.html import plain_text
from crawl.http import FetchError
from crawl.licence_statements import CONFLICT
from crawl.licences import spdx_of_name, spdx_of_url
from crawl.pictures import READABLE_TYPES
from crawl.records import UNKNOWN, LinkRow
from crawl.urls import canonical_url

logger = logging.getLogger(__name__)

GetJson = Callable[[str, Mapping[str, str]], dict[str, Any]]
"""Asks an API: endpoint and parameters in, JSON object out."""

_BASE = {"action": "query", "format": "json", "formatversion": "2", "maxlag": "5"}
_MAX_ANSWERS = 50
"""Answers read for one category; files used on very many pages come in many."""

_MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class WikimediaSettings:
    """What to look for.

    Attributes:
        categories: names of categories, without "Category:".
        max_category_depth: subcategories below them that are walked, 0 for none.
        max_categories: categories walked in all.
        max_files: pictures listed in all.
        max_articles: articles listed in all.
        wikis: host names of the Wikipedias whose articles are listed.
        thumbnail_width: width in pixels of the copies asked for; a narrower original is taken as it is.
        api: canonical URL of the API.
    """

    categories: tuple[str, ...]
    max_category_depth: int = 1
    max_categories: int = 200
    max_files: int = 500
    max_articles: int = 100
    wikis: tuple[str, ...] = ("en.wikipedia.org",)
    thumbnail_width: int = 640
    api: str = "https://commons.wikimedia.org/w/api.php"


def discover(settings: WikimediaSettings, get_json: GetJson) -> Iterator[LinkRow]:
    """Yield a link for each picture found, with caption, author and licence, and for each article that shows one.

    Categories are walked breadth first, each once; all links have depth 0 and begin at the file's description page.

    Raises:
        FetchError: the API could not be had, or answered with an error ("api_error").
    """
    files: set[str] = set()
    articles: set[str] = set()
    for category in islice(_categories(settings, get_json), settings.max_categories):
        for page in _files(category, settings, get_json):
            picture = _picture(page)
            if picture is None or picture.to_url in files:
                continue
            if len(files) >= settings.max_files:
                return
            files.add(picture.to_url)
            yield picture
            for article in _articles(page, picture.from_url, settings):
                if article.to_url not in articles and len(articles) < settings.max_articles:
                    articles.add(article.to_url)
                    yield article


def _categories(settings: WikimediaSettings, get_json: GetJson) -> Iterator[str]:
    """Yield the titles of the categories to read, breadth first."""
    due = deque((f"Category:{name.removeprefix('Category:')}", 0) for name in settings.categories)
    seen = {title for title, _ in due}
    while due:
        title, depth = due.popleft()
        yield title
        if depth == settings.max_category_depth:
            continue
        params = {"list": "categorymembers", "cmtitle": title, "cmtype": "subcat", "cmlimit": "500"}
        for answer in _answers(params, settings, get_json):
            for member in answer.get("query", {}).get("categorymembers", ()):
                if member["title"] not in seen:
                    seen.add(member["title"])
                    due.append((member["title"], depth + 1))


def _files(category: str, settings: WikimediaSettings, get_json: GetJson) -> Iterator[dict[str, Any]]:
    """Yield the files of a category, each with all the API says of it; a batch of them may take several answers."""
    params = {
        "generator": "categorymembers",
        "gcmtitle": category,
        "gcmtype": "file",
        "gcmlimit": "50",
        "prop": "imageinfo|globalusage",
        "iiprop": "url|mime|extmetadata",
        "iiurlwidth": str(settings.thumbnail_width),
        "iiextmetadatafilter": "ImageDescription|Artist|LicenseShortName|LicenseUrl",
        "iiextmetadatalanguage": "en",
        "gulimit": "500",
        "guprop": "url|namespace",
        "gufilterlocal": "1",
    }
    batch: dict[int, dict[str, Any]] = {}
    for answer in _answers(params, settings, get_json):
        for page in answer.get("query", {}).get("pages", ()):
            known = batch.setdefault(page["pageid"], {"imageinfo": [], "globalusage": []})
            known["imageinfo"] += page.get("imageinfo", ())
            known["globalusage"] += page.get("globalusage", ())
        if answer.get("batchcomplete"):
            yield from batch.values()
            batch = {}
    yield from batch.values()


def _answers(params: Mapping[str, str], settings: WikimediaSettings, get_json: GetJson) -> Iterator[dict[str, Any]]:
    """Yield the answers to a query and to its continuations.

    Raises:
        FetchError: the API answered with an error.
    """
    more: dict[str, str] = {}
    for _ in range(_MAX_ANSWERS):
        answer = get_json(settings.api, {**_BASE, **params, **more})
        if "error" in answer:
            error = answer["error"]
            raise FetchError("api_error", f"{settings.api}: {error.get('code')}: {error.get('info')}")
        yield answer
        if "continue" not in answer:
            return
        more = {name: str(value) for name, value in answer["continue"].items()}
    category = params.get("gcmtitle") or params.get("cmtitle")
    logger.warning("%s: more than %d answers; the rest of it is left out", category, _MAX_ANSWERS)


def _picture(page: Mapping[str, Any]) -> LinkRow | None:
    """Return the link to a file's thumbnail, None where the file is no picture we can read."""
    info: Mapping[str, Any] = next(iter(page["imageinfo"]), {})
    url = canonical_url(info.get("thumburl") or info.get("url") or "")
    description = canonical_url(info.get("descriptionurl") or "")
    if url is None or description is None or info.get("mime") not in READABLE_TYPES:
        return None
    caption = _metadata(info, "ImageDescription")
    licence_url = canonical_url(_metadata(info, "LicenseUrl")) or UNKNOWN
    licence, method = _licence(spdx_of_name(_metadata(info, "LicenseShortName")), spdx_of_url(licence_url))
    return LinkRow(
        from_url=description,
        to_url=url,
        kind="image",
        caption=caption,
        caption_source="api" if caption else "none",
        licence=licence,
        licence_url=licence_url,
        author=_metadata(info, "Artist") or UNKNOWN,
        licence_method=method,
        language="en",  # as asked for
    )


def _licence(by_name: str, by_url: str) -> tuple[str, str]:
    """Return the licence by its name and by its address, which may leave out the port, and how it was found."""
    if UNKNOWN in (by_name, by_url):
        known = by_url if by_name == UNKNOWN else by_name
        return known, UNKNOWN if known == UNKNOWN else "api"
    return (by_name, "api") if by_name.startswith(by_url) else (UNKNOWN, CONFLICT)


def _articles(page: Mapping[str, Any], description_url: str, settings: WikimediaSettings) -> Iterator[LinkRow]:
    """Yield links to the articles, of the chosen Wikipedias, that show a file."""
    for use in page["globalusage"]:
        url = canonical_url(use.get("url") or "")
        if url is None or use.get("wiki") not in settings.wikis or str(use.get("ns")) != "0":
            continue
        title = str(use.get("title", "")).replace("_", " ")
        yield LinkRow(
            from_url=description_url,
            to_url=url,
            kind="page",
            caption=title,
            caption_source="api" if title else "none",
        )


def _metadata(info: Mapping[str, Any], name: str) -> str:
    """Return a field of extmetadata as plain text; the API gives HTML."""
    value = str(info.get("extmetadata", {}).get(name, {}).get("value", ""))
    return plain_text(value)[:_MAX_TEXT]
