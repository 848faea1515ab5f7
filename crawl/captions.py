"""What a page says in words of a picture, the most telling first, and what says nothing.

Source: W3C, "Accessible Name and Description Computation 1.2", for aria-label; https://ogp.me for og:image:alt.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice, takewhile

from bs4.element import NavigableString, PageElement, Tag

SOURCES = ("alt", "title", "figcaption", "aria_label", "json_ld", "og", "sentence", "text")
"""Where a page says something of a picture, in order of trust; the last is a link's own text."""

MAX_CHARACTERS = 1000

_FILE_NAME = re.compile(r"\S.{0,200}\.(?:jpe?g|png|gif|webp|avif|bmp|tiff?|svg|heic)\s*", re.I)
_CAMERA_NAME = re.compile(
    r"(?:img|dsc[fn]?|pict?|p|mvc|dji|gopr|pxl|vid|cimg|sam|wp|screenshot|screen shot|unnamed|untitled|unbenannt)"
    r"[\W_]*\d[\d\W_]*(?:copy|kopie|copie)?|whatsapp (?:image|bild) \d[\d\W_]*(?:at|um) [\d\W_]+(?:[ap]m)?",
    re.I,
)
_SIZED_NAME = re.compile(r"\S+[_-]\d{2,5}x\d{2,5}", re.I)
"""As content management systems name a picture's smaller versions."""

_MACHINE_NAME = re.compile(r"(?=\S*\d)[0-9a-f_-]{12,}|\S{40,}", re.I)
_ADDRESS = re.compile(r"(?:https?:|www\.)\S+", re.I)
_WORD = re.compile(r"[^\W\d_]+")

# One or more of these and nothing else tells what kind of thing it is, and nothing of what it shows.
_EMPTY = """
    image images img photo photos photograph picture pictures pic pics foto fotos bild bilder imagen
    immagine fotografia grafik graphic graphics icon icons logo banner header footer background
    thumbnail thumb thumbs avatar spacer placeholder blank empty none null undefined untitled unnamed
    default featured hero cover slide slider gallery figure fig loading loader lazy alt text caption
    title description here the a of no full size click to enlarge view larger large small medium preview
    screenshot advertisement ad
"""
_EMPTY_WORDS = frozenset(_EMPTY.split())

_ENDS = tuple(".!?。！？…")
_SENTENCE_END = re.compile(r"(?<=[.!?。！？…])\s+")
_BLOCKS = frozenset({"p", "div", "li", "td", "dd", "figure", "section", "article", "blockquote"})
_MIN_SENTENCE_WORDS, _MAX_SENTENCE_WORDS, _MAX_NODES, _MAX_LEVELS = 4, 60, 60, 3


def best_caption(offers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return the first text that says something, and where it stood; "" and "none" where all are empty.

    Args:
        offers: texts and where each stood, the most trusted first.
    """
    for text, source in offers:
        folded = " ".join(text.split())[:MAX_CHARACTERS]
        if says_something(folded):
            return folded, source
    return "", "none"


def says_something(text: str) -> bool:
    """Return whether a caption tells what a picture shows: names of files and of cameras' pictures do not.

    >>> [says_something(text) for text in ("Oak in May", "IMG_0117.JPG", "Photo 3", "...", "樫")]
    [True, False, False, False, True]
    """
    words = _WORD.findall(text)
    if not words or all(word.lower() in _EMPTY_WORDS for word in words):
        return False
    patterns = (_FILE_NAME, _CAMERA_NAME, _SIZED_NAME, _MACHINE_NAME, _ADDRESS)
    return not any(pattern.fullmatch(text) for pattern in patterns)


def surrounding_sentence(picture: Tag) -> str:
    """Return the sentence that a picture stands in or beside, "" where its block has none or shows another picture."""
    for block in islice(picture.parents, _MAX_LEVELS):
        if block.name in _BLOCKS:
            sentence = _sentence_in(block, picture)
            if sentence is None or sentence:
                return sentence or ""
    return ""


def _sentence_in(block: Tag, picture: Tag) -> str | None:
    """Return the sentence nearest to a picture in a block, "" where there is none, None where others share it."""
    nodes = list(islice(block.descendants, _MAX_NODES))
    if any(isinstance(node, Tag) and node.name == "img" and node is not picture for node in nodes):
        return None
    before = _text(takewhile(lambda node: node is not picture, nodes))
    after = _text(nodes[len(list(takewhile(lambda node: node is not picture, nodes))) :])
    left, right = _SENTENCE_END.split(before), _SENTENCE_END.split(after)
    begun = "" if before.endswith(_ENDS) else left[-1]
    for sentence in (f"{begun} {right[0]}".strip(), left[-1]):
        # Menus and lists have words, and no end of a sentence.
        if sentence.endswith(_ENDS) and _MIN_SENTENCE_WORDS <= len(sentence.split()) <= _MAX_SENTENCE_WORDS:
            return sentence
    return ""


def _text(nodes: Iterable[PageElement]) -> str:
    return " ".join("".join(_strings(nodes)).split())


def _strings(nodes: Iterable[PageElement]) -> Iterator[str]:
    """Yield the texts among nodes, each block's apart from the next."""
    for node in nodes:
        if type(node) is NavigableString:
            yield str(node)
        elif isinstance(node, Tag) and node.name in _BLOCKS | {"br"}:
            yield " "
