"""What can be seen of a text."""

import re
import unicodedata

# Soft hyphens, zero-width spaces and byte order marks are seen by nobody and part words; so are control characters, and
# joiners that join nothing: beside them stands a blank, or one of the marks of `page_tree`.
INVISIBLE = re.compile(
    r"[\u00ad\u200b\u2060\ufeff\x00-\x08\x0e-\x1f\x7f-\x9f]"
    r"|(?<![^\s\ue000-\ue005])[\u200c\u200d]|[\u200c\u200d](?![^\s\ue000-\ue005])"
)
# Looked for from the first blank on only: a run of blanks that ends otherwise would be read from each of them.
TRAILING_BLANKS = re.compile(r"(?<![^\S\n])[^\S\n]+\n")


def visible_text(text: str) -> str:
    r"""Return a text in NFC, without characters that nobody sees.

    >>> visible_text("meadow\u00adland\ufeff")
    'meadowland'
    >>> visible_text("oak\n\u200d\nash")
    'oak\n\nash'
    """
    return unicodedata.normalize("NFC", INVISIBLE.sub("", text))
