"""A page, taken apart as a browser would: its tags, their attributes, and its text."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """A page, taken apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Notes a tag."""
        self.texts.append(" ")
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        """Parts what stood in it from what follows."""
        self.texts.append(" ")

    def handle_data(self, data: str) -> None:
        """Notes a text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All of it, blanks folded."""
        return " ".join("".join(self.texts).split())
