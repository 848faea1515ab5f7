"""Which paths a pattern covers, in the notation of robots.txt: "*" stands for anything, a closing "$" for the end.

Source: RFC 9309, section 2.2.3.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from crawl.urls import origin_of

_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_KEPT_ESCAPES = frozenset({"%2F", "%2A", "%24"})  # "/", "*" and "$" mean something in a pattern

Owner = TypeVar("Owner")


def path_of(url: str) -> str:
    """Return path and query of a canonical URL with its escapes in upper case, "/" where it has none."""
    path = url.removeprefix(origin_of(url)) if url else ""
    return _with_upper_escapes(path) or "/"


def escaped(pattern: str) -> str:
    """Return a pattern with bytes beyond ASCII escaped, and all escapes in upper case."""
    if not pattern.isascii():
        pattern = "".join(character if character < "\x80" else f"%{ord(character):02X}" for character in pattern)
    return _with_upper_escapes(pattern)


def unescaped(text: str) -> str:
    """Return a path or pattern with every escape resolved that a pattern does not give a meaning.

    >>> unescaped("/%6Fak%2Fash")
    '/oak%2Fash'
    """
    if "%" not in text:
        return text
    return _ESCAPE.sub(
        lambda escape: escape.group() if escape.group() in _KEPT_ESCAPES else chr(int(escape.group()[1:], 16)), text
    )


def _with_upper_escapes(text: str) -> str:
    return _ESCAPE.sub(lambda escape: escape.group().upper(), text) if "%" in text else text


class PathPattern(NamedTuple):
    """A pattern taken apart.

    Attributes:
        first: what every path it covers begins with.
        others: what follows later in the path, in this order.
        anchored: whether the last of them stands at its end.
    """

    first: str
    others: tuple[str, ...]
    anchored: bool

    @classmethod
    def parse(cls, pattern: str) -> "PathPattern":
        """Return the parts of a pattern as written."""
        first, *others = pattern.removesuffix("$").split("*")
        return cls(first, tuple(others), pattern.endswith("$"))

    def covers(self, path: str) -> bool:
        """Return whether it covers a path, in time linear in both (no regular expression of a stranger's)."""
        if not path.startswith(self.first):
            return False
        position = len(self.first)
        if not self.others:
            return not self.anchored or position == len(path)
        for part in self.others[:-1] if self.anchored else self.others:
            found = path.find(part, position)
            if found < 0:
                return False
            position = found + len(part)
        last = self.others[-1]
        return not self.anchored or (path.endswith(last) and len(path) - len(last) >= position)


class PatternIndex(Generic[Owner]):
    """Finds whose patterns cover a path without trying each: they are kept by how the path must begin."""

    def __init__(self, patterns: Iterable[tuple[str, Owner]]) -> None:
        self._by_beginning: dict[str, list[tuple[PathPattern, Owner]]] = {}
        for text, owner in patterns:
            pattern = PathPattern.parse(text)
            self._by_beginning.setdefault(pattern.first, []).append((pattern, owner))
        self._lengths = sorted({len(beginning) for beginning in self._by_beginning})

    def covering(self, path: str) -> Iterator[Owner]:
        """Yield the owner of each pattern that covers a path."""
        for length in self._lengths:
            if length > len(path):
                return
            for pattern, owner in self._by_beginning.get(path[:length], ()):
                if pattern.covers(path):
                    yield owner
