"""Boilerplate that shows only across a site: menus, cookie notes, "Share this", which stand in most of its documents.

A line is boilerplate where at least `min_documents` different documents of a host hold it, and they are `min_share` of
those in their language; how often it stands within one document says nothing. Lines are alike whose words are, in any
case and with any punctuation. Whoever finds boilerplate needs hashes alone: `LINE` rows of all documents of a host.

A line goes with its paragraph or not at all: code is full of lines that stand in most of its documents, and so are
tables and verse, but between lines of their own.

Not lost is what stands in copies only: where too little of a document would be left, and most of what would go has no
document with a smaller key, it is the copy that stays, whole. Near duplicates of it are settled elsewhere.

Measured on 15 pages about trees and 246 of a handbook in two languages, and on six books of Rust's documentation (695
pages): from a share of one half on, headings and notices of templates go ("Coming Soon!!! Check back for updates!", "If
you came here via a link or web search, …") and nothing else, but for three empty programs; at 0.4 options go that 36 of
83 manual pages explain in the same words, which is prose.

Source: Wenzek et al. 2019, "CCNet" (arXiv:1911.00359), section 3.1, for lines known by 64-bit hashes of their words;
there all that come again in a shard go. Penedo et al. 2024, "The FineWeb Datasets" (arXiv:2406.17557), found that worse
than none: so hosts are looked at one by one, and only what most documents hold goes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from crawl.word_hashes import Hashes, plain_words

LINE = np.dtype([("group", "<u8"), ("line", "<u8"), ("document", "<u8")])
"""A line of a document: the host and language, the host and line, and the document, as hashes; line 0 is any line."""

COMMON = np.dtype([("line", "<u8"), ("document", "<u8")])
"""A line that is boilerplate on its host, and the smallest document that holds it."""

Rows = npt.NDArray[np.void]

_ANY = 0


@dataclass(frozen=True, slots=True)
class HostLines:
    """How common a line must be to be boilerplate; see the module.

    Attributes:
        min_documents: of a host, that hold it; at least 2.
        min_share: of the host's documents in one language, above 0 and up to 1.
    """

    min_documents: int = 5
    min_share: float = 0.5

    def __post_init__(self) -> None:
        if self.min_documents < 2:
            raise ValueError(f"min_documents is {self.min_documents}; a line of one document is no boilerplate: give 2")
        if not 0 < self.min_share <= 1:
            raise ValueError(f"min_share is {self.min_share}: give a share above 0 and up to 1")


@dataclass(frozen=True, slots=True)
class Remaining:
    """A text without boilerplate.

    Attributes:
        text: what is left.
        num_lines: that went, those without a word between them not counted.
        is_first: whether of most of the words that went no document is smaller that holds them.
    """

    text: str
    num_lines: int
    is_first: bool


def host_name(url: str) -> str:
    """Return what a document's lines are common on: the host of its URL, or the folder of a local file.

    >>> host_name("https://trees.example/oak.html"), host_name("file:///trees/old/oak.txt")
    ('trees.example', '/trees')
    """
    parts = urlsplit(url)
    return parts.hostname or "/" + parts.path.lstrip("/").partition("/")[0]


def hash_host(url: str) -> int:
    """Return the hash of a document's host, 64 bits; documents of one host have the same."""
    return _hash(host_name(url))


def line_rows(text: str, url: str, language: str, key: str) -> Rows:
    """Return the `LINE` rows of a document, each line once, and one of any line.

    Args:
        text: of the document.
        url: where it was found.
        language: BCP 47; its first part counts.
        key: hex digits, of which the first 16 tell documents apart.
    """
    host = host_name(url)
    lines = np.unique(np.concatenate([np.array([_ANY], np.uint64), *_hash_lines(host, text)]))
    rows = np.empty(len(lines), LINE)
    rows["group"] = _hash(f"{host}\n{language.partition('-')[0]}")
    rows["line"], rows["document"] = lines, _number(key)
    return rows


def find_common_lines(rows: Rows, settings: HostLines) -> Rows:
    """Return the boilerplate among the lines of hosts, as `COMMON` rows in the order of their lines.

    Args:
        rows: `LINE` rows (N,) of all documents of these hosts, in any order; copies of a document count once.
        settings: how common a line must be.
    """
    rows = rows[np.lexsort((rows["document"], rows["line"], rows["group"]))]
    rows = rows[_changes(rows[["group", "line", "document"]])]
    starts = np.flatnonzero(_changes(rows[["group", "line"]]))
    firsts, counts = rows[starts], np.diff(np.append(starts, len(rows)))
    is_any = firsts["line"] == _ANY  # each group begins with it, for it is the smallest
    documents = counts[is_any][np.cumsum(is_any) - 1]
    is_common = ~is_any & (counts >= settings.min_documents) & (counts >= settings.min_share * documents)
    common = firsts[is_common][["line", "document"]].astype(COMMON)
    common = common[np.lexsort((common["document"], common["line"]))]
    distinct: Rows = common[_changes(common["line"])]
    return distinct


def remove_lines(text: str, url: str, key: str, common: Rows) -> Remaining:
    """Return a document's text without the paragraphs whose lines are all boilerplate; see `line_rows`, `COMMON`."""
    hashes = list(_hash_lines(host_name(url), text))
    holders = [_smallest_holders(lines, common) for lines in hashes] if _any_common(hashes, common) else []
    kept, num_lines, balance = [], 0, 0
    for paragraph, documents in zip(text.split("\n\n"), holders, strict=False):
        if documents is None:
            kept.append(paragraph)
            continue
        is_first = 2 * np.count_nonzero(documents == np.uint64(_number(key))) > len(documents)
        balance += len(paragraph.split()) * (1 if is_first else -1)
        num_lines += len(documents)
    return Remaining("\n\n".join(kept).strip("\n"), num_lines, balance > 0) if num_lines else Remaining(text, 0, False)


def _any_common(hashes: Sequence[Hashes], common: Rows) -> bool:
    return bool(_places(np.concatenate(hashes), common)[1].any())


def _smallest_holders(lines: Hashes, common: Rows) -> Hashes | None:
    """For each line the smallest document that holds it; None where one is no boilerplate, or there is none."""
    places, is_common = _places(lines, common)
    holders: Hashes = common["document"][places]
    return holders if len(lines) and is_common.all() else None


def _places(lines: Hashes, common: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where lines stand among common ones, and whether they do."""
    if not len(common):
        return np.zeros(len(lines), np.int64), np.zeros(len(lines), np.bool_)
    places = np.searchsorted(common["line"], lines).clip(max=len(common) - 1)
    return places, common["line"][places] == lines


def _hash_lines(host: str, text: str) -> Iterator[Hashes]:
    """The hashes of the lines of each paragraph; a line without a word has none."""
    for paragraph in text.split("\n\n"):
        told = (" ".join(plain_words(line)) for line in paragraph.split("\n"))
        yield np.array([_hash(f"{host}\n{line}") for line in told if line], np.uint64)


def _hash(text: str) -> int:
    """Above 0; two different texts have the same with probability 2⁻⁶⁴."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def _number(key: str) -> int:
    return int(key[:16], 16)


def _changes(rows: npt.NDArray[np.void] | Hashes) -> npt.NDArray[np.bool_]:
    """Of sorted rows, which differ from the one before."""
    return np.append(True, rows[1:] != rows[:-1]) if len(rows) else np.empty(0, np.bool_)
