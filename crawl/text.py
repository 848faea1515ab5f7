"""Clean pages: untrusted HTML in, the main text or a verdict out.

Menus, footers and side bars are left out by trafilatura, whose result we lay out ourselves: paragraphs are parted by a
blank line, list items and table rows stand on lines of their own, and what was preformatted keeps its line breaks and
indentation.
"""

import codecs
import logging
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from lxml import etree, html

from crawl.encoding import decode_page
from crawl.records import UNKNOWN
from crawl.text_blocks import read_blocks
from crawl.text_rules import TextSettings, judge_text
from crawl.verdict import Verdict

__all__ = ["CleanText", "TextSettings", "clean_page", "clean_plain_text"]

# Bytes that no text has. Source: MIME Sniffing standard, sections 3 (binary data byte) and 5 (resource header).
BINARY_BYTES = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
NUM_HEADER_BYTES = 1445
# Source: BCP 47, section 2.1.
LANGUAGE_TAG = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")

# What white space would not survive folding stands as private-use characters until the end: line breaks and indentation
# of preformatted text, the bullet of an item, the end of a paragraph, the blank between a word and marked-up words.
LINE_MARK, SPACE_MARK, BULLET_MARK, PARAGRAPH_MARK, BLANK_MARK = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004"
MARKS = re.compile(r"[\ue000-\ue004]")
# What HTML itself sets apart from the text; where trafilatura finds little, it would take these along.
NO_TEXT_TAGS = ("nav", "select", "button", "video", "audio", "iframe")
INLINE_TAGS = ("a", "abbr", "b", "cite", "code", "dfn", "em", "i", "kbd", "q", "samp", "small", "span", "strong", "var")
BLOCK_TAGS = re.compile(
    "article|blockquote|details|div|dl|fieldset|figure|footer|form|h[1-6]|header|hr|iframe|input|li|main|ol|p|pre|section|"
    "table|textarea|ul"
)
# Classes by which trafilatura knows the main text. Source: its BODY_XPATH.
MAIN_TEXT_CLASSES = frozenset({"art-postcontent", "cell", "content", "entry", "post", "postarea", "story", "text"})
# Characters in paragraphs from which on trafilatura passes over divs: three times its MIN_EXTRACTED_SIZE.
MIN_PARAGRAPH_TEXT = 750
# Soft hyphens, zero-width spaces and byte order marks are seen by nobody and part words; so are control characters.
INVISIBLE = re.compile(r"[\u00ad\u200b\u2060\ufeff\x00-\x08\x0e-\x1f\x7f-\x9f]")

# What lxml gives out but does not take back. Source: XML 1.0, section 2.2.
NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

BREAKS = {
    **dict.fromkeys(
        ("p", "head", "quote", "list", "table", "div", "section", "body", "main", "graphic"), PARAGRAPH_MARK
    ),
    **dict.fromkeys(("row", "lb"), "\n"),
}


@dataclass(frozen=True, slots=True)
class CleanText:
    """The main text of a page.

    Attributes:
        title: the page's title, else its first heading, else "".
        text: the main text in NFC, paragraphs parted by a blank line.
        language: the language the page declares, as a lower-case BCP 47 tag, or "unknown".
        num_words: words of the text, parted by white space.
    """

    title: str
    text: str
    language: str
    num_words: int


def clean_page(payload: bytes, url: str, charset: str | None, settings: TextSettings) -> CleanText | Verdict:
    """Return the main text of an HTML page, with the title and language it declares.

    `charset` is the one in the Content-Type header. Rejects `too_many_bytes`, `not_text`, `no_text`, `too_many_nodes`
    and whatever `crawl.text_rules` finds.
    """
    if len(payload) > settings.max_bytes:
        return Verdict("rejected", "too_many_bytes", f"{len(payload)} > {settings.max_bytes}")
    if not payload.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        binary = BINARY_BYTES.search(payload[:NUM_HEADER_BYTES])
        if binary:
            return Verdict("rejected", "not_text", f"byte 0x{binary[0].hex()} at {binary.start()}")
    tree = _parse_page(decode_page(payload, charset))
    if tree is None:
        return Verdict("rejected", "no_text", "the page is empty")
    num_nodes = sum(1 for _ in tree.iter())
    if num_nodes > settings.max_nodes:
        return Verdict("rejected", "too_many_nodes", f"{num_nodes} > {settings.max_nodes}")
    title, language = _find_title(tree), _find_language(tree)
    text = _extract_text(tree, url)
    return judge_text(text, settings) or CleanText(title, text, language, len(text.split()))


def clean_plain_text(payload: bytes, charset: str | None, settings: TextSettings) -> CleanText | Verdict:
    """Return a document that is text already, as it stands: its title is its first line, a heading's marks left out.

    Rejects as `clean_page`.
    """
    if len(payload) > settings.max_bytes:
        return Verdict("rejected", "too_many_bytes", f"{len(payload)} > {settings.max_bytes}")
    decoded = unicodedata.normalize("NFC", INVISIBLE.sub("", decode_page(payload, charset)))
    lines = [line.rstrip() for line in decoded.splitlines()]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    if not text.strip():
        return Verdict("rejected", "no_text", "the document is empty")
    title = text.lstrip().partition("\n")[0].lstrip("# ").strip()
    return judge_text(text, settings) or CleanText(title, text, UNKNOWN, len(text.split()))


def _parse_page(text: str) -> html.HtmlElement | None:
    """Return the tree, made ready for extraction; libxml2 cuts what is nested deeper than 256."""
    text = MARKS.sub("", text)
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        tree = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return None
    for element in tree.iter():
        if element.text and NO_XML.search(element.text):
            element.text = NO_XML.sub(" ", element.text)
        if element.tail and NO_XML.search(element.tail):
            element.tail = NO_XML.sub(" ", element.tail)
    for element in list(tree.iter(*NO_TEXT_TAGS)):
        element.drop_tree()
    for block in tree.iter("pre"):
        _mark_element(block)
    _mark_blanks(tree)
    _rename_anchors(tree)
    _turn_divs_into_paragraphs(tree)
    _forget_repeated_marks(tree)
    _wrap_in_main(tree)
    return tree


def _mark_element(block: html.HtmlElement) -> None:
    for element in block.iter():
        element.text = _mark_breaks(element.text)
        if element is not block:
            element.tail = _mark_breaks(element.tail)


def _mark_blanks(tree: html.HtmlElement) -> None:
    """Keep "by <code>u</code>" from becoming "byu": trafilatura strips the text of list items at such seams."""
    for element in tree.iter(*INLINE_TAGS):
        before, parent = element.getprevious(), element.getparent()
        if before is not None and before.tail and before.tail.strip() and before.tail[-1].isspace():
            before.tail = before.tail.rstrip() + BLANK_MARK
        elif (
            before is None and parent is not None and parent.text and parent.text.strip() and parent.text[-1].isspace()
        ):
            parent.text = parent.text.rstrip() + BLANK_MARK
        if element.tail and element.tail.strip() and element.tail[0].isspace():
            element.tail = BLANK_MARK + element.tail.lstrip()


def _rename_anchors(tree: html.HtmlElement) -> None:
    """Named anchors are no links, but count as such where menus are told from text by their links."""
    for anchor in list(tree.iter("a")):
        if anchor.get("href") is None:
            anchor.tag = "span"


def _turn_divs_into_paragraphs(tree: html.HtmlElement) -> None:
    """Make paragraphs of the divs that hold text only, on pages that use both and have most of their text in divs.

    trafilatura looks into divs where paragraphs are few, and passes over them where paragraphs have enough text: of a
    chapter with some of each it would lose the larger half.
    """
    length = sum(len(paragraph.text_content()) for paragraph in tree.iter("p"))
    if length < MIN_PARAGRAPH_TEXT or 2 * length >= len(tree.text_content()):
        return
    for div in list(tree.iter("div")):
        has_text = bool((div.text or "").strip()) or any((child.tail or "").strip() for child in div)
        if has_text and not any(BLOCK_TAGS.fullmatch(element.tag) for element in div.iterdescendants()):
            div.tag = "p"


def _forget_repeated_marks(tree: html.HtmlElement) -> None:
    """Remove the class of elements marked as the main text, where several bear the same mark.

    trafilatura would take the first for the whole, and put it before what stands above it.
    """
    marked: dict[str, list[html.HtmlElement]] = {}
    for element in tree.iter("article", "div", "main", "section"):
        if element.get("class") in MAIN_TEXT_CLASSES:
            marked.setdefault(element.get("class"), []).append(element)
    for elements in marked.values():
        if len(elements) > 1:
            for element in elements:
                del element.attrib["class"]


def _wrap_in_main(tree: html.HtmlElement) -> None:
    """Put the body of a page into one main element where it has neither main nor article.

    trafilatura then takes headings along, which its last resort for such pages leaves out: on a DocBook site 94 of 94
    instead of 34. On the article-extraction benchmark F1 stays at 0.96.
    """
    body = tree.find("body")
    if body is None or tree.find(".//main") is not None or tree.find(".//article") is not None:
        return
    main = html.Element("main")
    main.text, body.text = body.text, None
    main.extend(list(body))
    body.append(main)


def _mark_breaks(text: str | None) -> str | None:
    if not text:
        return text
    lines = text.replace("\r\n", "\n").expandtabs(8).replace("\n", LINE_MARK)
    return re.sub(r"  +", lambda spaces: SPACE_MARK * len(spaces[0]), lines)


def _find_title(tree: html.HtmlElement) -> str:
    for path in (".//head/title", ".//h1"):
        element = tree.find(path)
        title = _tidy("".join(element.itertext())) if element is not None else ""
        if title:
            return " ".join(title.split())
    return ""


def _find_language(tree: html.HtmlElement) -> str:
    """The root declares it, or else the first element that does so, where it holds at least half of the text."""
    for element in tree.iter("*"):
        declared = element.get("lang") or element.get("xml:lang")
        if declared:
            tag = declared.strip().lower().replace("_", "-")
            holds_most = 2 * len(element.text_content()) >= len(tree.text_content())
            return tag if holds_most and LANGUAGE_TAG.fullmatch(tag) else UNKNOWN
    return UNKNOWN


def _extract_text(tree: html.HtmlElement, url: str) -> str:
    from trafilatura import bare_extraction  # noqa: PLC0415  (half a second to import)

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it logs a line for every page it finds nothing in
    # deduplicate would remember pages from before: the same page would give another text later.
    # fast leaves out two more extractors, which find no more here and lose headings and preformatted text.
    document = bare_extraction(tree, url=url, fast=True, include_comments=False, deduplicate=False)
    if document is None:
        return ""
    if _is_whole_page(document.body):
        return _tidy(PARAGRAPH_MARK.join(read_blocks(tree.find(".//body"))))
    return _tidy(_lay_out(document.body))


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


def _tidy(text: str) -> str:
    """Return the text in NFC, marks turned back, without invisible characters and without blanks that show nothing."""
    text = text.replace(BLANK_MARK, " ")
    text = re.sub(r"[^\S\n]+", " ", unicodedata.normalize("NFC", INVISIBLE.sub("", text)))
    text = re.sub(f"({BULLET_MARK}[\\s{PARAGRAPH_MARK}]*)+", "- ", text)  # a paragraph begins beside its bullet
    text = re.sub(f"\\s*{PARAGRAPH_MARK}[\\s{PARAGRAPH_MARK}]*", PARAGRAPH_MARK, text)
    text = re.sub(r" *\n[ \n]*", "\n", text)
    text = re.sub(f"(^|[\n{PARAGRAPH_MARK}])\\| ", r"\1", text)  # bars part cells, rows do not begin with one
    text = text.replace(PARAGRAPH_MARK, "\n\n").replace(LINE_MARK, "\n").replace(SPACE_MARK, " ")
    text = re.sub(r"[^\S\n]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n").rstrip()
