"""A text cut up once for all rules, and how a rule says what it found."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from crawl.verdict import Verdict

# What lays out lists and tables in an extracted text, and is no word of it.
LAYOUT_SIGNS = frozenset({"-", "|"})
PARAGRAPH_BREAK = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Measured:
    """A text, and what it is made of.

    Attributes:
        text: the whole.
        words: what stands between white space, but for lone signs that lay out lists and tables.
        lines: what stands between line breaks, stripped, blank ones left out.
        paragraphs: what stands between blank lines, empty ones left out.
    """

    text: str
    words: Sequence[str]
    lines: Sequence[str]
    paragraphs: Sequence[str]


def measure(text: str) -> Measured:
    r"""Cut a text up.

    >>> measure("An oak.\n\nAn ash\nand an elm.").lines
    ['An oak.', 'An ash', 'and an elm.']
    """
    lines = [stripped for line in text.split("\n") if (stripped := line.strip())]
    paragraphs = [paragraph for paragraph in PARAGRAPH_BREAK.split(text.strip()) if paragraph]
    return Measured(text, split_words(text), lines, paragraphs)


def split_words(text: str) -> list[str]:
    """Return the words of a text, as all rules count them.

    >>> split_words("- An oak-tree | 30 m.")
    ['An', 'oak-tree', '30', 'm.']
    """
    return [word for word in text.split() if word not in LAYOUT_SIGNS]


def divide(part: float, whole: float) -> float:
    """Return part / whole, and 0 where there is no whole."""
    return part / whole if whole else 0.0


def reject_below(reason: str, value: float, least: float) -> Verdict | None:
    """Reject what lies below its least allowed value."""
    return Verdict("rejected", reason, f"{value:.4g} < {least:g}") if value < least else None


def reject_above(reason: str, value: float, most: float) -> Verdict | None:
    """Reject what lies above its most allowed value."""
    return Verdict("rejected", reason, f"{value:.4g} > {most:g}") if value > most else None


def check_fraction(name: str, value: float) -> None:
    """Refuse what is no fraction.

    Raises:
        ValueError: `value` does not lie in 0…1.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}; a fraction lies in 0…1")
