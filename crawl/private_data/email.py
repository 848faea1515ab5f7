"""E-mail addresses."""

import re
from collections.abc import Iterator

# Source: RFC 5321, section 4.5.3.1 for the lengths; the HTML standard, "valid e-mail address", for the characters of
# the local part, less those that no address on a page was seen to use; RFC 6531 lets letters of any script stand, which
# RFC 5890 spells xn--.
ADDRESS = re.compile(
    r"(?<![\w.+%-])[\w+%-](?:[\w.+%'-]{0,62}[\w+%-])?@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(xn--[A-Za-z0-9-]{2,59}|[^\W\d_]{2,24})(?![\w@-])"
)
# Not domains, but the names of files: logo@2x.png.
FILE_ENDINGS = frozenset(
    (
        *("avif", "bmp", "css", "gif", "gz", "htm", "html", "ico", "jpeg", "jpg", "js", "json", "map", "mjs", "php"),
        *("png", "svg", "tgz", "webp", "zip"),
    )
)


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield where an e-mail address stands.

    >>> list(find("Ask oak@trees.example, not @oak or logo@2x.png."))
    [(4, 21)]
    """
    if "@" not in text:
        return
    for address in ADDRESS.finditer(text):
        if address[1].lower() not in FILE_ENDINGS:
            yield address.span()
