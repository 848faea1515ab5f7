"""How many attributes the tags of a page have, counted as browsers read it, before a parser makes objects of them.

Source: HTML Standard, "Tokenization": comments, elements whose content is no markup, attributes in quotes and without.
"""

import re

_SPACE = r" \t\n\f\r"
_TAG = re.compile(rf"<(?:!--|([a-zA-Z][^{_SPACE}/>]*))")
_ATTRIBUTE = re.compile(
    rf"[{_SPACE}/]*[^{_SPACE}/>][^{_SPACE}/>=]*"
    rf"""(?:[{_SPACE}]*=[{_SPACE}]*(?:"[^"]*"|'[^']*'|[^{_SPACE}>"'][^{_SPACE}>]*)?)?"""
)
_BEFORE_ATTRIBUTES = " \t\n\f\r/\"'"
"""One of these parts an attribute from what stands before it."""
_UNMARKED = frozenset({"iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"})
"""Elements whose content is text up to their end tag."""


def has_more_attributes(text: str, limit: int) -> bool:
    """Return whether the tags of a page have more than so many attributes, all together.

    >>> has_more_attributes('<p id=oak class="old > tree"><!-- <p a b c> -->a b c', 2)
    False
    >>> has_more_attributes("<p a b><p c>", 2)
    True
    """
    if sum(map(text.count, _BEFORE_ATTRIBUTES)) <= limit:
        return False
    position = count = 0
    while (tag := _TAG.search(text, position)) is not None:
        position = tag.end()
        if tag[1] is None:
            position = _behind("-->", text, position)
            continue
        while (attribute := _ATTRIBUTE.match(text, position)) is not None:
            position, count = attribute.end(), count + 1
            if count > limit:
                return True
        if tag[1].lower() in _UNMARKED:
            position = _behind(f"</{tag[1]}", text, position)
    return False


def _behind(end: str, text: str, position: int) -> int:
    """Return where the next `end` has been passed, the text's length where there is none."""
    found = re.compile(re.escape(end), re.IGNORECASE).search(text, position)
    return len(text) if found is None else found.end()
