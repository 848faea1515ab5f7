"""The main text of a page: menus, footers and side bars are left out by trafilatura, and its result laid out by us.

Paragraphs are parted by a blank line, list items and table rows stand on lines of their own, and what was preformatted
keeps its line breaks and indentation.
"""

import logging
import re
from collections import Counter

from lxml import etree, html

from crawl.page_tree import BLANK_MARK, BLOCK_MARK, BULLET_MARK, LINE_MARK, PARAGRAPH_MARK, SPACE_MARK
from crawl.text_blocks import read_blocks
from crawl.visible_text import TRAILING_BLANKS, visible_text

BREAKS = {
    **dict.fromkeys(
        ("p", "head", "quote", "list", "table", "div", "section", "body", "main", "graphic"), PARAGRAPH_MARK
    ),
    **dict.fromkeys(("row", "lb"), "\n"),
}


def extract_main_text(tree: html.HtmlElement, url: str) -> str:
    """Return the main text of a tree that `page_tree.parse_page` made, "" where there is none."""
    from trafilatura import bare_extraction  # noqa: PLC0415  (half a second to import)

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it logs a line for every page it finds nothing in
    # deduplicate would remember pages from before: the same page would give another text later.
    # fast leaves out two more extractors, which find no more here and lose headings and preformatted text.
    document = bare_extraction(tree, url=url, fast=True, include_comments=False, deduplicate=False)
    if document is None:
        return ""
    if _is_whole_page(document.body):
        return tidy(PARAGRAPH_MARK.join(read_blocks(tree.find(".//body"))))
    return tidy(_lay_out(document.body))


def _is_whole_page(body: etree._Element) -> bool:
    """Whether trafilatura, for want of 250 characters of main text, gave all text of the page, a line an element.

    The paragraphs it finds have no line breaks. Menus stand in that text, and headings run on into what follows.
    """
    return len(body) == 1 and len(body[0]) == 0 and body[0].tag == "p" and "\n" in (body[0].text or "")


def _lay_out(body: etree._Element) -> str:
    """Return the text of trafilatura's tree with its breaks: blank lines, or line breaks inside lists and tables."""
    parts: list[str] = []
    inside: Counter[str] = Counter()
    for event, element in etree.iterwalk(body, events=("start", "end")):
        if event == "start":
            parts += [_break_before(element.tag, inside), _fold(element.text)]
            inside[element.tag] += 1
        else:
            inside[element.tag] -= 1
            parts += [_break_after(element.tag, inside), _fold(element.tail)]
    return "".join(parts)


def _break_before(tag: str, inside: Counter[str]) -> str:
    if tag == "cell":
        return " | "
    if inside["cell"]:
        return " "
    if tag == "item":
        return f"\n{BULLET_MARK}"
    return "\n" if inside["item"] and tag in BREAKS else BREAKS.get(tag, "")


def _break_after(tag: str, inside: Counter[str]) -> str:
    return "" if tag in ("cell", "item") else _break_before(tag, inside)


def _fold(text: str | None) -> str:
    return re.sub(r"\s+", " ", text) if text else ""


def tidy(text: str) -> str:
    """Return the text in NFC, marks turned back, without invisible characters and without blanks that show nothing."""
    text = text.replace(BLANK_MARK, " ")
    text = re.sub(r"[^\S\n]+", " ", visible_text(text))
    text = re.sub(
        f"({BULLET_MARK}[\\s{PARAGRAPH_MARK}{BLOCK_MARK}]*)+", "- ", text
    )  # a paragraph begins beside its bullet
    text = re.sub(f"(?<!\\s)\\s*{BLOCK_MARK}[\\s{BLOCK_MARK}]*", "\n", text)
    text = re.sub(f"(?<!\\s)\\s*{PARAGRAPH_MARK}[\\s{PARAGRAPH_MARK}]*", PARAGRAPH_MARK, text)
    text = re.sub(r" *\n[ \n]*", "\n", text)
    text = re.sub(f"(^|[\n{PARAGRAPH_MARK}])\\| ", r"\1", text)  # bars part cells, rows do not begin with one
    text = text.replace(PARAGRAPH_MARK, "\n\n").replace(LINE_MARK, "\n").replace(SPACE_MARK, " ")
    text = TRAILING_BLANKS.sub("\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n").rstrip()
