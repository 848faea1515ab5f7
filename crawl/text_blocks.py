"""The text of a whole page, block by block: for pages of which no part stands out as the main text.

A block is what stands between the edges of paragraphs, headings, list items and the like. Blocks that are mostly
links, such as the entries of a menu, are left out, and so are those without a letter or digit.
"""

import re
from dataclasses import dataclass, field

from lxml import etree, html

BLOCK_TAGS = re.compile(
    "address|article|blockquote|body|caption|center|d[dlt]|details|div|fieldset|figcaption|figure|h[1-6]|header|hr|li|"
    "main|ol|p|pre|section|summary|t(able|body|foot|head|r)|ul"
)
NO_TEXT_TAGS = ("aside", "footer", "form", "math", "noscript", "script", "style", "svg", "template")
BREAKS = {"br": "\n", "td": " ", "th": " "}
# A menu's entry is a link from end to end; a sentence seldom is to more than a half.
MAX_LINKED_SHARE = 0.5


@dataclass
class _Reader:
    """The blocks read so far, and the one being read: its pieces, and how many of its words stand in links."""

    blocks: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    num_linked_words: int = 0
    num_links_open: int = 0

    def add(self, piece: str | None) -> None:
        if piece:
            self.pieces.append(piece)
        if piece and self.num_links_open:
            self.num_linked_words += len(piece.split())

    def end_block(self) -> None:
        text = "".join(self.pieces)
        says_something = any(character.isalnum() for character in text)
        if says_something and self.num_linked_words <= MAX_LINKED_SHARE * len(text.split()):
            self.blocks.append(text)
        self.pieces, self.num_linked_words = [], 0


def read_blocks(body: html.HtmlElement) -> list[str]:
    r"""Return the blocks of an element that are text, in document order; line breaks are the page's `<br>`.

    >>> read_blocks(html.fromstring("<div><a href='/'>Home</a><h1>Oaks</h1>They grow<br>slowly.<hr>* * *</div>"))
    ['Oaks', 'They grow\nslowly.']
    """
    reader = _Reader()
    walk = etree.iterwalk(body, events=("start", "end"))
    for event, element in walk:
        if BLOCK_TAGS.fullmatch(element.tag):
            reader.end_block()
        if element.tag == "a":
            reader.num_links_open += 1 if event == "start" else -1
        if event == "start" and element.tag in NO_TEXT_TAGS:
            walk.skip_subtree()
        elif event == "start":
            reader.add(_folded(element.text))
        else:
            reader.add(BREAKS.get(element.tag))
            reader.add(_folded(element.tail) if element is not body else None)
    reader.end_block()
    return [re.sub(" *\n *", "\n", block).strip() for block in reader.blocks]


def _folded(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")
