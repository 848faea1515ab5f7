"""How pages are read, and what their text must be."""

from dataclasses import dataclass, field
from typing import Literal

from crawl.private_data import FINDERS
from crawl.text_rules import RuleSettings

Extractor = Literal["cascade", "fast", "best"]


@dataclass(frozen=True, slots=True)
class TextSettings:
    """What is looked at, how, and what a text must be.

    Attributes:
        extractor: `best` extracts the main text of every page, `cascade` of those only whose quick text passes the
            rules, and `fast` keeps the quick text.
        rules: what a text must be.
        private_data: kinds of `crawl.private_data` that are replaced by placeholders.
        max_bytes: largest page looked at, in bytes.
        max_nodes: most elements in a page whose main text is extracted.
        languages: two- or three-letter codes of those wanted; none for all.
        timeout_s: most processor time, in seconds, for the main text of a page with so many elements that it gets a
            clock, as a last resort.
    """

    extractor: Extractor = "cascade"
    rules: RuleSettings = field(default_factory=RuleSettings)
    private_data: tuple[str, ...] = tuple(FINDERS)
    max_bytes: int = 5_000_000
    max_nodes: int = 30_000
    languages: tuple[str, ...] = ()
    timeout_s: int = 60

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_nodes", "timeout_s"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; a page has at least 1")
