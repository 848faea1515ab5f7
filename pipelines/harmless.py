"""Crawled text that does a terminal no harm.

Whatever comes from the web is hostile there too: a caption may hold escape sequences that rename the window, hide what
follows or answer in the user's name. No control character of it is ever passed on. This module imports nothing heavy,
so that errors can be told through it.
"""

import unicodedata

MAX_CHARACTERS = 400
"""Of a caption, an address or the like that are shown."""

_JOINERS = frozenset("\u00ad\u200c\u200d")
"""Of the invisible characters those that writing needs."""
_HARMFUL = frozenset(("Cc", "Cf", "Cs", "Co"))
"""General categories of Unicode: controls, invisible formatting (it may turn text round), surrogates, private use."""


def harmless(text: str, encoding: str = "utf-8", most: int = MAX_CHARACTERS) -> str:
    r"""The text on one line, its control and invisible characters spelled out, and none that the terminal cannot show.

    >>> harmless("an oak\x1b[31m\nin red")
    'an oak\\x1b[31m in red'

    Args:
        text: may come from anywhere.
        encoding: the terminal's.
        most: characters of it that are shown; the end of more is "...".
    """
    cut = text if len(text) <= most else text[:most] + "..."
    spelled = "".join(map(_spelled, " ".join(cut.split())))
    return spelled.encode(encoding, "replace").decode(encoding)


def _spelled(letter: str) -> str:
    if unicodedata.category(letter) in _HARMFUL and letter not in _JOINERS:
        return letter.encode("unicode_escape").decode()
    return letter
