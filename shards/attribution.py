"""`ATTRIBUTION`: whose pictures a dataset holds, under which licence, and where they are: a line each."""

from collections.abc import Iterable
from typing import NamedTuple

NAME = "ATTRIBUTION"

_HEAD = (
    "# The pictures of this dataset, by licence and author: licence, author, address, page; a tab between them.\n"
    '# "unknown" where nothing was found, which never counts as permitted. The terms of each licence hold.\n'
)


class Credit(NamedTuple):
    """One line."""

    licence: str
    author: str
    url: str
    page_url: str


def attribution_text(credits_: Iterable[Credit]) -> str:
    r"""Return the text of the file: each line once, grouped by licence and author.

    >>> attribution_text([Credit("CC0-1.0", "Ann", "https://a.example/1.jpg", "")]).splitlines()[-1]
    'CC0-1.0\tAnn\thttps://a.example/1.jpg\t'
    """
    lines = {Credit(*(" ".join(value.split()) for value in credit)) for credit in credits_}
    return _HEAD + "".join("\t".join(line) + "\n" for line in sorted(lines))


def credits_in(text: str) -> list[Credit]:
    """Return the lines of a file."""
    return [Credit(*line.split("\t")) for line in text.splitlines() if not line.startswith("# ")]
