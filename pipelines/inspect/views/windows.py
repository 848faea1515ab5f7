"""Windows: a list of them, and one with its words as chips, its documents and the text that they were made from."""

import bisect
import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.inspect.places import key_or_none
from pipelines.inspect.query import Query
from pipelines.inspect.selection import sample_number
from pipelines.inspect.sources import READING, Source, Trouble
from shards.dataset import WindowDataset
from shards.tokenizer import WordTokenizer, split_words

ON_A_PAGE = 12
AROUND = 240
"""Characters of a document's text shown before and behind the part that a window holds."""

BREAKS = {"\n": "↵", "\n\n": "¶"}


@dataclass(frozen=True)
class Line:
    """A window of the list; `wrong` says why it cannot be shown, where it cannot."""

    key: str
    before: str
    next: str
    num_tokens: int
    url: str
    wrong: str = ""


@dataclass(frozen=True)
class Windows:
    """A page of windows; `before` and `after` are what `first` is on the pages beside it."""

    split: str
    splits: list[str]
    lines: list[Line]
    first: int
    total: int
    before: int | None
    after: int | None
    troubles: list[Trouble]


@dataclass(frozen=True)
class Chip:
    """One token.

    Attributes:
        text: as it is shown.
        next: the token that comes next, "" behind the last.
        is_unknown: whether the dictionary lacks the word; then `text` is the word of the source.
        is_end: whether it ends a document.
        begins: number of the document that begins here, −1 for none.
        number: its place in the window.
    """

    text: str
    next: str
    is_unknown: bool
    is_end: bool
    begins: int
    number: int


@dataclass(frozen=True)
class Piece:
    """A document in a window: its place, and its text before, within and behind the window."""

    key: str
    url: str
    start: int
    length: int
    offset: int
    before: str
    within: str
    behind: str
    num_unknown: int


@dataclass(frozen=True)
class Window:
    """One window; its neighbours' keys are "" where there is none."""

    split: str
    key: str
    chips: list[Chip]
    decoded: str
    pieces: list[Piece]
    num_tokens: int
    context: int
    position: int
    tokenizer: str
    before: str
    after: str
    troubles: list[Trouble]


def windows(source: Source, query: Query) -> Windows:
    """A page of windows.

    Raises:
        QueryError: a parameter is impossible.
        DatasetError: there are no windows.
    """
    splits = source.splits("windows")
    split = query.choice("split", splits)
    dataset = source.windows(split)
    first = query.whole("first", 0, 0, len(dataset))
    last = min(first + ON_A_PAGE, len(dataset))
    lines = [_line(dataset, number) for number in range(first, last)]
    before, after = max(0, first - ON_A_PAGE) if first else None, last if last < len(dataset) else None
    return Windows(split, splits, lines, first, len(dataset), before, after, [])


def window(source: Source, query: Query) -> Window:
    """One window.

    Raises:
        QueryError: there is none with that key.
        DatasetError: it is damaged, or there are no windows.
    """
    split = query.choice("split", source.splits("windows"))
    dataset = source.windows(split)
    number = sample_number(dataset, query.text("key"))
    sample = dataset[number]
    tokens = sample["tokens"][: sample["length"]].tolist()
    documents = sample["meta"]["documents"]
    texts, troubles = _texts(source, {piece["key"] for piece in documents})
    words = list(_source_words(dataset, tokens, documents, texts))
    return Window(
        split,
        sample["key"],
        list(_chips(dataset, tokens, documents, words)),
        dataset.tokenizer.decode(tokens),
        [_piece(dataset, tokens, piece, texts.get(piece["key"])) for piece in documents],
        len(tokens),
        dataset.spec.context,
        sample["meta"]["position"],
        str(getattr(dataset.tokenizer, "kind", "bpe")),
        key_or_none(dataset, number - 1),
        key_or_none(dataset, number + 1),
        troubles,
    )


def shown_token(text: str) -> str:
    """A token as it is shown: breaks as signs, a blank as one that can be seen."""
    return BREAKS.get(text) or text.replace("\n", "↵") or "∅"


def _line(dataset: WindowDataset, number: int) -> Line:
    try:
        sample = dataset[number]
        tokens = sample["tokens"][: sample["length"]].tolist()
        decode = dataset.tokenizer.decode
        next_token = dataset.tokenizer.token(tokens[-1])
        return Line(sample["key"], decode(tokens[:-1]), next_token, len(tokens), sample["meta"]["documents"][-1]["url"])
    except READING as error:
        return Line("", "", "", 0, "", str(error))


def _texts(source: Source, keys: set[str]) -> tuple[dict[str, str], list[Trouble]]:
    """The texts of documents, as far as the text stage is there."""
    state = source.stage("text")
    if state is None:
        return {}, [Trouble("text", "the texts that these windows were made from are not here")]
    rows, troubles = source.rows(state, "documents-", "key", keys, ("key", "text"))
    return {row["key"]: row["text"] for row in rows}, troubles


def _source_words(
    dataset: WindowDataset, tokens: list[int], documents: list[dict[str, Any]], texts: dict[str, str]
) -> Iterator[str]:
    """The word of the source for each token: "" where the token itself says it."""
    tokenizer = dataset.tokenizer
    for piece in documents:
        words: list[str] = []
        if isinstance(tokenizer, WordTokenizer) and piece["key"] in texts:
            words = split_words(texts[piece["key"]], tokenizer.lower_case, tokenizer.spaced)
        own = words[piece["start"] : piece["start"] + piece["length"]]
        yield from own + [""] * (piece["length"] - len(own))


def _chips(
    dataset: WindowDataset, tokens: list[int], documents: list[dict[str, Any]], words: list[str]
) -> Iterator[Chip]:
    token = dataset.tokenizer.token
    begins = {piece["offset"]: number for number, piece in enumerate(documents)}
    unknown = getattr(dataset.tokenizer, "unk_id", -1)
    for number, each in enumerate(tokens):
        is_unknown = each == unknown
        word = words[number] if is_unknown and number < len(words) else ""
        following = shown_token(token(tokens[number + 1])) if number + 1 < len(tokens) else ""
        is_end = each == dataset.tokenizer.eos_id
        yield Chip(word or shown_token(token(each)), following, is_unknown, is_end, begins.get(number, -1), number)


def _piece(dataset: WindowDataset, tokens: list[int], piece: dict[str, Any], text: str | None) -> Piece:
    own = tokens[piece["offset"] : piece["offset"] + piece["length"]]
    unknown = getattr(dataset.tokenizer, "unk_id", -1)
    before, within, behind = ("", "", "") if text is None else _parted(dataset, text, piece["start"], piece["length"])
    places = (piece["start"], piece["length"], piece["offset"])
    num_unknown = sum(each == unknown for each in own)
    return Piece(piece["key"], piece["url"], *places, before[-AROUND:], within, behind[:AROUND], num_unknown)


def _parted(dataset: WindowDataset, text: str, start: int, length: int) -> tuple[str, str, str]:
    """A document's text before, within and behind some of its tokens."""
    tokenizer = dataset.tokenizer
    if isinstance(tokenizer, WordTokenizer):
        shown = unicodedata.normalize("NFC", text)
        words = split_words(text, tokenizer.lower_case, tokenizer.spaced)
        searched = shown.lower() if tokenizer.lower_case else shown
        reached = _reach(searched, words[:start], 0)
        places = (reached, _reach(searched, words[start : start + length], reached))
        begin, end = places if len(searched) == len(shown) else (_place_of_capitals(shown, place) for place in places)
        return shown[:begin], shown[begin:end], shown[end:]
    ids = tokenizer.encode(text).tolist()
    parts = (ids[:start], ids[start : start + length], ids[start + length :])
    before, within, behind = (tokenizer.decode(part) for part in parts)
    return before, within, behind


def _reach(searched: str, words: list[str], begin: int) -> int:
    """Where in a text its next words end; breaks between words are passed over."""
    place = begin
    for word in words:
        found = -1 if word.isspace() else searched.find(word, place)
        place = found + len(word) if found >= 0 else place
    return place


def _place_of_capitals(text: str, place: int) -> int:
    """Where in a text a place in its small letters lies, which may be more: those of "İ" are two."""
    ends = list(itertools.accumulate(len(letter.lower()) for letter in text))
    return bisect.bisect_left(ends, place) + 1 if place else 0
