"""How much work the nesting of a page would make a parser, told before it is parsed.

What lies in `d` open elements costs a parser of the HTML Standard `d` steps a tag, and each formatting element left
open is opened again in every paragraph that follows: 1,000 different `<b>` and 1,000 `<p>` become a million elements.

Source: HTML Standard, "Parsing HTML documents": "reconstruct the active formatting elements" and its Noah's Ark clause.
"""

import re
from collections import defaultdict

# Measured with resiliparse: a page at either bound takes it 2 s and 250 MB at most.
MAX_STEPS = 100_000_000
MAX_REOPENED = 1_000_000
# The fewest tags that could pass one of the bounds: all of them open, or half open and half opening them again.
MIN_TAGS_OF_DEEP_PAGES = 2_000
NUM_ALIKE_REOPENED = 3

_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)([^>]*)")
_FORMATTING = frozenset({"b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"})
# Elements that have no end tag, or need none where the next of their kind begins. Those of SVG that end in "/>" are not
# told from others: a parser goes by where it stands.
_NEVER_OPEN = frozenset(
    (
        *(
            "a",
            "area",
            "base",
            "br",
            "col",
            "embed",
            "hr",
            "img",
            "input",
            "link",
            "meta",
            "param",
            "source",
            "track",
            "wbr",
        ),
        *("dd", "dt", "li", "option", "p", "rp", "rt", "tbody", "td", "tfoot", "th", "thead", "tr"),
    )
)


def is_nested_too_deeply(markup: str) -> bool:
    """Return whether a page has so many elements inside one another that parsing it would take too long.

    >>> is_nested_too_deeply("<div>" * 40_000)
    True
    >>> is_nested_too_deeply("<div></div>" * 40_000)
    False
    """
    num_tags = markup.count("<")
    if num_tags < MIN_TAGS_OF_DEEP_PAGES:
        return False
    num_open = 0
    formatting: defaultdict[str, list[str]] = defaultdict(list)
    num_formatting = 0
    for tag in _TAG.finditer(markup):
        name = tag[2].lower()
        if name in _FORMATTING:
            num_formatting += _open_or_close(formatting[name], tag)
        elif name not in _NEVER_OPEN:
            num_open = max(0, num_open + (-1 if tag[1] else 1))
        if (num_open + num_formatting) * num_tags > MAX_STEPS or num_formatting * num_tags > MAX_REOPENED:
            return True
    return False


def _open_or_close(opened: list[str], tag: re.Match[str]) -> int:
    """Return by how much the count of open formatting elements changes; of those alike at most three count."""
    if tag[1]:
        return -1 if opened and opened.pop() is not None else 0
    if opened.count(tag[3]) >= NUM_ALIKE_REOPENED:
        return 0
    opened.append(tag[3])
    return 1
