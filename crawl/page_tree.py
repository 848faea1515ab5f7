"""The tree of a page, made ready for trafilatura: what its extraction would lose or misread is marked or renamed."""

import re

from lxml import etree, html

# What white space would not survive folding stands as private-use characters until the end: line breaks and indentation
# of preformatted text, the bullet of an item, the end of a paragraph, the blank between a word and marked-up words, and
# the break between blocks that would be joined.
LINE_MARK, SPACE_MARK, BULLET_MARK, PARAGRAPH_MARK, BLANK_MARK = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004"
BLOCK_MARK = "\ue005"
MARKS = re.compile(r"[\ue000-\ue005]")
# What HTML itself sets apart from the text; where trafilatura finds little, it would take these along.
NO_TEXT_TAGS = ("nav", "select", "button", "video", "audio", "iframe")
INLINE_TAGS = ("a", "abbr", "b", "cite", "code", "dfn", "em", "i", "kbd", "q", "samp", "small", "span", "strong", "var")
ITEM_TAGS = ("li", "dd")
BLOCK_TAGS = re.compile(
    "article|blockquote|details|div|dl|fieldset|figure|footer|form|h[1-6]|header|hr|iframe|input|li|main|ol|p|pre|section|"
    "table|textarea|ul"
)
# Classes by which trafilatura knows the main text. Source: its BODY_XPATH.
MAIN_TEXT_CLASSES = frozenset({"art-postcontent", "cell", "content", "entry", "post", "postarea", "story", "text"})
# Characters in paragraphs from which on trafilatura passes over divs: three times its MIN_EXTRACTED_SIZE.
MIN_PARAGRAPH_TEXT = 750

# What lxml gives out but does not take back. Source: XML 1.0, section 2.2.
NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse_page(text: str) -> html.HtmlElement | None:
    """Return the tree, or None where the page is empty; libxml2 cuts what is nested deeper than 256."""
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
    _mark_blocks(tree)
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


def _mark_blocks(tree: html.HtmlElement) -> None:
    """Keep the paragraphs of an item, and what an empty block parts, from running into one another.

    trafilatura joins the text of blocks within an item, and drops what is empty.
    """
    num_items_open = 0
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        if element.tag in ITEM_TAGS:
            num_items_open += 1 if event == "start" else -1
        elif event == "end" and element.tag in ("p", "div"):
            _mark_block(element, num_items_open > 0)


def _mark_block(block: html.HtmlElement, is_in_item: bool) -> None:
    parent, is_empty = block.getparent(), len(block) == 0 and not (block.text or "").strip()
    is_first = block.getprevious() is None and (parent is None or not (parent.text or "").strip())
    if is_in_item and not is_empty and not is_first:
        block.text = BLOCK_MARK + (block.text or "").lstrip()
    if (is_in_item or is_empty) and (block.tail or "").strip():
        block.tail = BLOCK_MARK + block.tail.lstrip()


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
