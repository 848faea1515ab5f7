"""The pictures that a page shows: where each lies, what is said of it in words, and of its licence."""

from dataclasses import dataclass

from bs4 import BeautifulSoup
from bs4.element import Tag

from crawl.captions import best_caption, surrounding_sentence
from crawl.licence_marks import LicenceMarks, licence_marks
from crawl.licence_statements import combined
from crawl.records import LinkRow
from crawl.structured_data import Node, described_pictures, texts
from crawl.urls import canonical_url


@dataclass(frozen=True)
class PageWords:
    """What a page says of its pictures away from where it shows them.

    Attributes:
        url: canonical URL of the page.
        base: what references in it are resolved against.
        described: its JSON-LD, by picture.
        opened: what its Open Graph tags say, by picture.
        marks: what it says of licences.
        language: it declares, "unknown" where none.
    """

    url: str
    base: str
    described: dict[str, list[Node]]
    opened: dict[str, list[str]]
    marks: LicenceMarks
    language: str


def page_words(soup: BeautifulSoup, url: str, base: str, language: str, *, tells_licences: bool) -> PageWords:
    """Return what a page says of its pictures.

    Args:
        soup: the page.
        url: its canonical URL.
        base: what its references are resolved against.
        language: it declares.
        tells_licences: whether it is worth looking for licences.
    """
    described = described_pictures(soup, base)
    marks = licence_marks(soup, url, base, described) if tells_licences else LicenceMarks()
    return PageWords(url, base, described, _open_graph(soup, base), marks, language)


def picture_link(element: Tag, target: str, figcaption: str, words: PageWords, depth: int) -> LinkRow:
    """Return the link to a picture with all that the page says of it.

    Args:
        element: its img element.
        target: its canonical URL.
        figcaption: text of the caption of the figure that it stands in.
        words: what else the page says.
        depth: of the link.
    """
    source = canonical_url(_attribute(element, "src"), words.base) if element.has_attr("src") else None
    urls = dict.fromkeys(url for url in (target, source) if url)
    caption, stood = best_caption(_offers(element, figcaption, words, list(urls)))
    said = words.marks.by_element.get(id(element), []) + [
        each for url in urls for each in words.marks.by_url.get(url, [])
    ]
    licence = combined(said)
    return LinkRow(
        from_url=words.url,
        to_url=target,
        kind="image",
        caption=caption,
        caption_source=stood,
        licence=licence.licence,
        licence_url=licence.url,
        author=licence.author,
        depth=depth,
        licence_method=licence.method,
        language=_attribute(element, "lang").strip().lower() or words.language,
    )


def _offers(element: Tag, figcaption: str, words: PageWords, urls: list[str]) -> list[tuple[str, str]]:
    """Return what might be a picture's caption and where it stands, the most trusted first."""
    nodes = [node for url in urls for node in words.described.get(url, [])]
    told = [text for name in ("caption", "description", "name") for node in nodes for text in texts(node.get(name))]
    offers = [
        (_attribute(element, "alt"), "alt"),
        (_attribute(element, "title"), "title"),
        (figcaption, "figcaption"),
        (_attribute(element, "aria-label"), "aria_label"),
        *((text, "json_ld") for text in told),
        *((text, "og") for url in urls for text in words.opened.get(url, [])),
    ]
    if best_caption(offers)[1] == "none":
        offers.append((surrounding_sentence(element), "sentence"))
    return offers


def _open_graph(soup: BeautifulSoup, base: str) -> dict[str, list[str]]:
    """Return what the page's own picture is called: its og:image:alt, or the page's title."""
    found: dict[str, list[str]] = {}
    for element in soup.find_all("meta", limit=500):
        name = (_attribute(element, "property") or _attribute(element, "name")).strip().lower()
        if name.startswith("og:"):
            found.setdefault(name, []).append(_attribute(element, "content"))
    pictures = [*found.get("og:image", []), *found.get("og:image:url", []), *found.get("og:image:secure_url", [])]
    said = [*found.get("og:image:alt", []), *found.get("og:title", [])]
    urls = (canonical_url(picture, base) for picture in pictures[:1])
    return {url: said for url in urls if url is not None}


def _attribute(element: Tag, name: str) -> str:
    value = element.get(name)
    return "" if value is None else value if isinstance(value, str) else " ".join(value)
