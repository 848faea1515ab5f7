"""What a page says of the licences of its pictures: links in a figure or small box, RDFa, microdata and JSON-LD.

What covers the whole page is no evidence for a picture on it: pages show pictures that are not theirs. Nor is what a
sentence says of something else (`crawl.licence_subjects`).

Source: Creative Commons, "ccREL" (2008); W3C, "RDFa Lite 1.1"; HTML Standard, "Microdata"; https://schema.org/license.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from bs4 import BeautifulSoup
from bs4.element import NavigableString, PageElement, Tag

from crawl.licence_statements import Statement, statement_of_link, statement_of_words
from crawl.licence_subjects import speaks_of_a_picture
from crawl.licences import spdx_of_url
from crawl.records import UNKNOWN
from crawl.structured_data import Node, is_picture, named, texts
from crawl.urls import canonical_url

_SIGNS = (
    *("licen", "creativecommons", "imageobject", "photograph", "cc by", "cc-by", "cc0"),
    *("rights reserved", "rechte vorbehalten", "droits réservés", "derechos reservados", "diritti riservati"),
)
"""Of which a page holds one, in any case, or says nothing of licences."""

_LICENCE_NAMES = frozenset({"license", "cc:license", "dct:license", "dcterms:license", "xhv:license", "schema:license"})
_AUTHOR_NAMES = frozenset({"cc:attributionname", "attributionname", "dc:creator", "dct:creator", "dcterms:creator"})
_BOXES = frozenset({"li", "td", "dd", "p", "span", "div"})
_BREAKS = frozenset({"br", "p", "div", "li", "td", "dd", "dt", "figure", "figcaption", "footer", "article", "section"})
_NO_CONTENT = frozenset({"header", "footer", "nav", "script", "style", "noscript", "template", "link", "meta"})
_MAX_LEVELS, _MAX_BOX_NODES, _MAX_BOX_CHARACTERS, _MAX_MARKS, _MAX_THING_NODES = 4, 100, 300, 1000, 500


@dataclass
class LicenceMarks:
    """What was found on a page.

    Attributes:
        by_url: of a picture, by its canonical URL.
        by_element: of an img element, by its `id`.
    """

    by_url: defaultdict[str, list[Statement]] = field(default_factory=lambda: defaultdict(list))
    by_element: defaultdict[int, list[Statement]] = field(default_factory=lambda: defaultdict(list))


def may_tell_licences(text: str) -> bool:
    """Return whether it is worth looking: one reading of a page as text spares nearly all of them a walk."""
    lower = text.lower()
    return any(sign in lower for sign in _SIGNS)


def licence_marks(soup: BeautifulSoup, url: str, base: str, described: dict[str, list[Node]]) -> LicenceMarks:
    """Return what a page says of its pictures' licences.

    Args:
        soup: the page.
        url: its canonical URL.
        base: what its references are resolved against.
        described: its JSON-LD, see `structured_data.described_pictures`.
    """
    marks = LicenceMarks()
    for picture, nodes in described.items():
        marks.by_url[picture] += [_statement_of_node(node, base) for node in nodes]
    for element in islice((element for element in soup.find_all(True) if _is_mark(element)), _MAX_MARKS):
        if element.name == "figcaption":
            _note_words(marks, element)
        elif _is_thing(element):
            _note_thing(marks, element, base)
        elif _names(element, "property") & _AUTHOR_NAMES:
            _note_author(marks, element, url, base)
        else:
            _note_link(marks, element, url, base)
    return marks


def _is_mark(element: Tag) -> bool:
    if element.name == "figcaption" or _is_thing(element) or _is_licence(element):
        return True
    return bool(_names(element, "property") & _AUTHOR_NAMES) or (element.name == "a" and _is_deed(element))


def _is_licence(element: Tag) -> bool:
    """Return whether an element says that it links a licence; what an item says of itself is read with the item."""
    return bool((_names(element, "rel") | _names(element, "property")) & _LICENCE_NAMES)


def _is_deed(element: Tag) -> bool:
    return spdx_of_url(_value(element, "href")) != UNKNOWN


def _is_thing(element: Tag) -> bool:
    return any(element.has_attr(name) and is_picture(_value(element, name)) for name in ("itemtype", "typeof"))


def _note_link(marks: LicenceMarks, element: Tag, url: str, base: str) -> None:
    """Notes a link to a licence, for the picture it is about, or else those of its figure or box."""
    target = _value(element, "href") or _value(element, "resource")
    licence_url = canonical_url(target, base) if target else None
    if licence_url is None or element.has_attr("itemprop"):
        return
    about = _about(element, base)
    if about is not None:
        if about != url:
            marks.by_url[about].append(statement_of_link("rdfa", licence_url))
        return
    statement = statement_of_link("rel" if _is_licence(element) else "link", licence_url)
    block = next((parent for parent in islice(element.parents, _MAX_LEVELS) if parent.name in _BREAKS), None)
    if block is not None and not speaks_of_a_picture(*_around(block, element)):
        return
    for picture in _pictures_beside(element):
        marks.by_element[id(picture)].append(statement)


def _around(block: Tag, link: Tag) -> tuple[str, str]:
    """Return the text of a block up to the end of a link in it, and what comes behind."""
    before, linked = _told(block, link), _text(link)
    return f"{before} {linked}", _told(block).removeprefix(before).lstrip().removeprefix(linked)


def _note_author(marks: LicenceMarks, element: Tag, url: str, base: str) -> None:
    about, author = _about(element, base), _text(element) or _value(element, "content")
    if about is not None and about != url and author:
        marks.by_url[about].append(Statement("rdfa", author=author))


def _note_words(marks: LicenceMarks, caption: Tag) -> None:
    figure = next((parent for parent in islice(caption.parents, _MAX_LEVELS) if parent.name == "figure"), None)
    statement = statement_of_words("words", _told(caption))
    if figure is not None and statement.licences:
        for picture in figure.find_all("img"):
            marks.by_element[id(picture)].append(statement)


def _note_thing(marks: LicenceMarks, thing: Tag, base: str) -> None:
    """Notes what an item of microdata or RDFa that is a picture says of itself."""
    method = "microdata" if thing.has_attr("itemtype") else "rdfa"
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in ("about", "resource", "itemid", "src"):
        found["contenturl"] += filter(None, [_value(thing, name)])
    for element in _own_elements(thing):
        for name in _names(element, "itemprop") | _names(element, "property"):
            found[name.rpartition(":")[2]].append(_held(element))
    pictures = {canonical_url(text, base) for name in ("contenturl", "url") for text in found[name]} - {None}
    author = ", ".join(
        next((found[name] for name in ("creator", "author", "copyrightholder", "credittext") if found[name]), [])
    )
    statements = [_licence_statement(method, text, base, author) for text in found["license"]]
    asked = (canonical_url(text, base) for text in found["acquirelicensepage"])
    statements += [Statement(method, url=page, author=author or UNKNOWN) for page in asked if page]
    for picture in pictures:
        marks.by_url[str(picture)] += statements or [Statement(method, author=author or UNKNOWN)]


def _statement_of_node(node: Node, base: str) -> Statement:
    """Return what a JSON-LD object says."""
    creators = (named(node.get(name), "name") for name in ("creator", "author", "copyrightHolder"))
    author = ", ".join(next(filter(None, creators), [])) or ", ".join(texts(node.get("creditText")))
    told = [
        _licence_statement("json_ld", text, base, author)
        for text in named(node.get("license"), "url", "@id", "sameAs", "name")
    ]
    pages = [canonical_url(text, base) for text in texts(node.get("acquireLicensePage"))]
    urls = [each.url for each in told if each.url != UNKNOWN] or [page for page in pages if page]
    licences = frozenset[str]().union(*(each.licences for each in told))
    return Statement("json_ld", licences, (urls or [UNKNOWN])[0], author or UNKNOWN)


def _licence_statement(method: str, text: str, base: str, author: str) -> Statement:
    """Return what the value of a licence says: an address, or words such as "CC BY 4.0"."""
    words = statement_of_words(method, text, author or UNKNOWN)
    is_address = "/" in text and " " not in text
    url = canonical_url(text, base) if is_address else None
    return statement_of_link(method, url, author or UNKNOWN) if url else words


def _pictures_beside(element: Tag) -> list[Tag]:
    """Return the pictures a link to a licence is beside: those of its figure, or the one of its small box."""
    for level, parent in enumerate(element.parents):
        if parent.name == "figure":
            return list(parent.find_all("img"))
        if level >= _MAX_LEVELS or parent.name not in _BOXES | {"a", "b", "i", "em", "small", "strong", "figcaption"}:
            return []
        pictures = [picture for picture in parent.find_all("img", limit=3) if not _is_badge(picture)]
        if pictures:
            is_its_box = len(pictures) == 1 and _is_small(parent) and not _holds_the_page(parent)
            return pictures if is_its_box else []
    return []


def _is_badge(picture: Tag) -> bool:
    """Return whether a picture shows a licence, and is not licensed."""
    return "creativecommons.org" in _value(picture, "src") or (picture.parent is not None and _is_deed(picture.parent))


def _is_small(box: Tag) -> bool:
    nodes = list(islice(box.descendants, _MAX_BOX_NODES))
    characters = sum(len(node) for node in nodes if type(node) is NavigableString)
    return len(nodes) < _MAX_BOX_NODES and characters <= _MAX_BOX_CHARACTERS


def _holds_the_page(box: Tag) -> bool:
    """Return whether nothing but a page's head, foot and menu stands outside a box, as far as a few nodes tell."""
    for each in (box, *islice(box.parents, 3 * _MAX_LEVELS)):
        if each.name == "body":
            return True
        siblings = (islice(nodes, _MAX_BOX_NODES) for nodes in (each.previous_siblings, each.next_siblings))
        if any(_is_content(sibling) for sibling in chain(*siblings)):
            return False
    return True


def _is_content(node: PageElement) -> bool:
    if isinstance(node, Tag):
        return node.name not in _NO_CONTENT and (node.find("img") is not None or bool(_text(node)))
    return type(node) is NavigableString and not node.isspace()


def _about(element: Tag, base: str) -> str | None:
    """Return what RDFa within an element is about, None where nothing is said."""
    for each in (element, *islice(element.parents, 3 * _MAX_LEVELS)):
        if each.has_attr("about"):
            return canonical_url(_value(each, "about") or base, base)
        if _is_thing(each) and each.has_attr("resource"):
            return canonical_url(_value(each, "resource"), base)
        if _is_thing(each):
            return base
    return None


def _own_elements(thing: Tag) -> Iterator[Tag]:
    """Yield the elements in an item, but for what is in items within it."""
    due, seen = list(thing.children)[::-1], 0
    while due and seen < _MAX_THING_NODES:
        node = due.pop()
        seen += 1
        if isinstance(node, Tag):
            yield node
            if not node.has_attr("itemscope") and not node.has_attr("typeof"):
                due += list(node.children)[::-1]


def _held(element: Tag) -> str:
    """Return the value of a property: where it links, what it holds, or the name of the item that it is."""
    for name in ("href", "src", "content", "resource"):
        if element.has_attr(name):
            return _value(element, name)
    inner: Iterable[Tag] = islice((each for each in element.descendants if isinstance(each, Tag)), _MAX_BOX_NODES)
    names = (each for each in inner if "name" in _names(each, "itemprop") | _names(each, "property"))
    return _text(next(names, element))


def _text(element: Tag) -> str:
    nodes = islice(element.descendants, _MAX_BOX_NODES)
    return " ".join("".join(node for node in nodes if type(node) is NavigableString).split())


def _told(element: Tag, until: Tag | None = None) -> str:
    """Return the text in an element, or as far as another in it, with a stop wherever a line breaks."""
    parts: list[str] = []
    for node in islice(element.descendants, _MAX_BOX_NODES):
        if node is until:
            break
        if isinstance(node, Tag):
            parts += ["; "] * (node.name in _BREAKS)
        elif type(node) is NavigableString:
            parts.append(node)
    return " ".join("".join(parts).split())


def _names(element: Tag, attribute: str) -> frozenset[str]:
    value = _value(element, attribute)
    return frozenset(value.lower().split()) if value else frozenset()


def _value(element: Tag, attribute: str) -> str:
    value = element.get(attribute)
    return "" if value is None else value if isinstance(value, str) else " ".join(value)
