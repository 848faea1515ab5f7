"""What of an input could not be used: counted and shown, never passed over."""

from typing import NamedTuple

_MAX_TEXT = 200


class Damage(NamedTuple):
    """One piece of an input that nothing came of.

    Attributes:
        source: file, or URL, it stands in.
        row: which row of it, the first being 1; 0 where the whole is meant.
        reason: snake_case fact, such as "bad_url".
        text: what stood there or what was wrong, at most 200 characters.
    """

    source: str
    row: int
    reason: str
    text: str


def damage(source: str, row: int, reason: str, text: str) -> Damage:
    """Return a `Damage` whose text is cut to length, all of it fit to be written as UTF-8."""
    return Damage(_writable(source), row, reason, _writable(text[:_MAX_TEXT]))


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
