"""What a page links to and shows, and what it asks of crawlers.

Source: HTML Standard (https://html.spec.whatwg.org/), for base, srcset, picture and rel.
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning
from bs4.element import NavigableString, Tag

from crawl.encoding import decode_page
from crawl.licence_marks import may_tell_licences
from crawl.markup import has_more_attributes
from crawl.opt_outs import ALL_RESPECTED, OptOuts, decide_opt_outs, tdm_signals
from crawl.page_pictures import PageWords, page_words, picture_link
from crawl.pictures import picture_reference
from crawl.records import UNKNOWN, LinkRow
from crawl.robots import robots_directives
from crawl.settings import PRODUCT
from crawl.urls import canonical_url

MAX_TAGS = 30_000
"""Elements a page may have, as counted by their start tags.

Measured: BeautifulSoup takes up to 40 µs and 1.6 KB for each, 47 MB for so many; of 494 real pages none has over 1,800.
"""

MAX_NESTING = 512
"""Elements that may stand within one another. Source: Blink, kMaximumHTMLParserDOMTreeDepth."""

MAX_ATTRIBUTES = 50_000
"""Attributes that the tags of a page may have, all together. Measured: each takes 200 bytes; no real page has 4,000."""

_MAX_CAPTION_NODES = 1000


class PageError(Exception):
    """A page that is not taken apart; the message is the reason, a snake_case fact."""


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What stands around the elements of a page; elements are named by `id`, 0 is none.

    Attributes:
        depths: element to the number of elements it stands in.
        figures: element to the figure it stands in.
        pictures: element to the picture element it stands in.
        sources: picture element to its source elements.
        captions: figure to the text of its figcaption.
    """

    depths: dict[int, int]
    figures: dict[int, int]
    pictures: dict[int, int]
    sources: dict[int, list[Tag]]
    captions: dict[int, str]


@dataclass(frozen=True, slots=True)
class Page:
    """What was found on a page.

    Attributes:
        title: text of its title element, white space folded.
        language: language named by its html element, lower case, "unknown" where none is.
        robots: directives of its robots meta elements that are meant for us, lower case, and "tdm_reserved" where a
            meta element reserves the rights to mine it.
        links: links and pictures in document order, but for those its opt-outs or "nofollow" keep from us.
    """

    title: str
    language: str
    robots: frozenset[str]
    links: tuple[LinkRow, ...]


def read_page(
    payload: bytes,
    url: str,
    charset: str | None,
    picture_width: int,
    *,
    depth: int = 0,
    directives: frozenset[str] = frozenset(),
    opt_outs: OptOuts = ALL_RESPECTED,
) -> Page:
    """Return what a page links to, shows and asks.

    Args:
        payload: the page as sent, content coding removed.
        url: canonical URL it was had from.
        charset: character encoding named by HTTP, None where none was.
        picture_width: width in pixels wanted of a picture that is offered in several.
        depth: depth of the page; what it links to is one deeper.
        directives: robots directives and opt-outs that came with it in HTTP, or that the site states.
        opt_outs: which opt-outs are respected.

    Raises:
        PageError: the page has more than `MAX_TAGS` tags ("too_many_tags"), more than `MAX_NESTING` within one another
            ("nested_too_deeply"), or tags with more than `MAX_ATTRIBUTES` attributes ("too_many_attributes").
    """
    if payload.count(b"<") - payload.count(b"</") > MAX_TAGS:
        raise PageError("too_many_tags")
    text = decode_page(payload, charset)
    if has_more_attributes(text, MAX_ATTRIBUTES):
        raise PageError("too_many_attributes")
    soup = _parsed(text)
    surroundings = _surroundings(soup)
    robots = robots_directives(_meta_contents(soup, ("robots", PRODUCT)), PRODUCT, may_name_crawlers=False)
    robots |= tdm_signals(_meta_contents(soup, ("tdm-reservation",)))
    base = _base_url(soup, url)
    words = page_words(soup, url, base, _language(soup), tells_licences=may_tell_licences(text))
    links = _links(soup, surroundings, words, picture_width, depth + 1)
    asked = robots | directives
    if "nofollow" in asked:
        links = (link for link in links if link.kind != "page")
    decision = decide_opt_outs(asked, "page", opt_outs)
    if decision.withholds_pictures:
        links = _withheld(links, decision.against_pictures)
    return Page(
        title=_text_of(soup.title) if soup.title else "",
        language=words.language,
        robots=robots,
        links=tuple(links),
    )


def _withheld(links: Iterable[LinkRow], opt_out: str) -> Iterator[LinkRow]:
    """Yield links with those to pictures marked, or without them where what is said is of the page alone."""
    for link in links:
        if link.kind != "image":
            yield link
        elif opt_out != "none":
            yield replace(link, opt_out=opt_out)


def plain_text(fragment: str) -> str:
    """Return the text of a piece of HTML, white space folded.

    >>> plain_text("<b>Quercus</b> robur &amp; friends")
    'Quercus robur & friends'
    """
    return _folded(_parsed(fragment).get_text())


def _parsed(text: str) -> BeautifulSoup:
    with warnings.catch_warnings():
        # XML sent as HTML, and a page that is one bare URL, are read as browsers read them.
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        return BeautifulSoup(text, "lxml")


def _meta_contents(soup: BeautifulSoup, names: Iterable[str]) -> list[str]:
    """Return the contents of the meta elements with one of the names, in any case."""
    return [
        _attribute(element, "content")
        for element in soup.find_all("meta")
        if _attribute(element, "name").strip().lower() in names
    ]


def _language(soup: BeautifulSoup) -> str:
    if soup.html is None:
        return UNKNOWN
    return (_attribute(soup.html, "lang") or _attribute(soup.html, "xml:lang")).strip().lower() or UNKNOWN


def _base_url(soup: BeautifulSoup, url: str) -> str:
    """Return what relative references are resolved against: the first base element that names a URL, or the page."""
    for element in soup.find_all("base", href=True):
        return canonical_url(_attribute(element, "href"), url) or url
    return url


def _links(
    soup: BeautifulSoup, surroundings: _Surroundings, words: PageWords, picture_width: int, depth: int
) -> Iterable[LinkRow]:
    for element in soup.find_all(["a", "area", "img"]):
        if element.name == "img":
            link = _picture_link(element, surroundings, words, picture_width, depth)
        else:
            link = _page_link(element, words.url, words.base, depth)
        if link is not None:
            yield link


def _surroundings(soup: BeautifulSoup) -> _Surroundings:
    """Return what stands around each picture, from one walk: looking upwards from each would be quadratic."""
    found = _Surroundings({id(soup): 0}, {}, {}, {}, {})
    for element in soup.find_all(True):
        parent = id(element.parent)
        found.depths[id(element)] = found.depths[parent] + 1
        if found.depths[id(element)] > MAX_NESTING:
            raise PageError("nested_too_deeply")
        figure = id(element) if element.name == "figure" else found.figures.get(parent, 0)
        picture = id(element) if element.name == "picture" else found.pictures.get(parent, 0)
        found.figures[id(element)], found.pictures[id(element)] = figure, picture
        if element.name == "source" and picture:
            found.sources.setdefault(picture, []).append(element)
        elif element.name == "figcaption" and figure:
            found.captions.setdefault(figure, _text_of(element))
    return found


def _page_link(element: Tag, url: str, base: str, depth: int) -> LinkRow | None:
    target = canonical_url(_attribute(element, "href"), base) if element.has_attr("href") else None
    if target is None or target == url or "nofollow" in _attribute(element, "rel").lower().split():
        return None
    text = _text_of(element)
    return LinkRow(
        from_url=url,
        to_url=target,
        kind="page",
        caption=text,
        caption_source="text" if text else "none",
        depth=depth,
    )


def _picture_link(
    element: Tag, surroundings: _Surroundings, words: PageWords, picture_width: int, depth: int
) -> LinkRow | None:
    # The sources of a picture element belong to its first img only.
    sources = surroundings.sources.pop(surroundings.pictures[id(element)], [])
    reference = picture_reference(element, sources, picture_width)
    target = canonical_url(reference, words.base) if reference else None
    if target is None:
        return None
    figcaption = surroundings.captions.get(surroundings.figures[id(element)], "")
    return picture_link(element, target, figcaption, words, depth)


def _text_of(element: Tag) -> str:
    """Return an element's text from its first `_MAX_CAPTION_NODES` nodes, white space folded."""
    nodes = islice(element.descendants, _MAX_CAPTION_NODES)
    return _folded("".join(node for node in nodes if type(node) is NavigableString))


def _attribute(element: Tag, name: str) -> str:
    """Return an attribute as one string, "" where it is absent; BeautifulSoup splits some, such as rel."""
    value = element.get(name)
    if value is None:
        return ""
    return value if isinstance(value, str) else " ".join(value)


def _folded(text: str) -> str:
    return " ".join(text.split())
