r"""Text as numbers and back: a dictionary of words, byte pairs, or bytes.

The words of a text are, in this order of preference:

1. a number with points or commas inside: `3.14`, `1,200`;
2. a run of letters, digits and underscores, with apostrophes and hyphens inside: `oak's`, `wind-blown`;
3. a break: white space with one newline is `"\n"`, with more is `"\n\n"`; other white space only separates;
4. any other character by itself.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.bpe import BpeTokenizer
from shards.object_path import AnyPath, ObjectPath
from shards.tokens import END, UNKNOWN, Tokenizer, TokenizerError, Tokens, canonical, smallest_dtype

TOKENIZER_NAME = "tokenizer.json"
LINE, PARAGRAPH = "\n", "\n\n"

_WORD = re.compile(r"\d+(?:[.,]\d+)+|\w+(?:['’\-]\w+)*|\s+|[^\w\s]")
_SPACED_WORD = re.compile(r"\n|\S+")
_CLINGS_TO_THE_LEFT = frozenset(".,;:!?)]}%…»”’'")
_CLINGS_TO_THE_RIGHT = frozenset("([{«“‘")


@dataclass(frozen=True)
class WordTokenizer:
    """A dictionary of words; id 0 is `<unk>`, id 1 `<eos>`, and the words follow.

    Attributes:
        words: The words, the commonest first; empty where one was blanked, so that the others keep their ids.
        lower_case: Whether texts are put in lower case.
        spaced: Whether texts are split at white space alone, as those are that were split into words before.
        built_sha256: Of the file as it was built, if words were blanked since; windows know their tokenizer by it.
    """

    words: tuple[str, ...]
    lower_case: bool = False
    spaced: bool = False
    built_sha256: str = ""

    kind = "words"
    unk_id = 0
    eos_id = 1

    @property
    def vocab_size(self) -> int:
        """How many ids there are: the words, `<unk>` and `<eos>`."""
        return len(self.words) + 2

    @property
    def dtype(self) -> str:
        """`<u2` where every id fits into 16 bits, `<u4` else."""
        return smallest_dtype(self.vocab_size)

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {word: number + 2 for number, word in enumerate(self.words) if word}

    def encode(self, text: str) -> Tokens:
        """Return the ids of a text's words, `(n,)` of `dtype`, without `<eos>`.

        >>> WordTokenizer(("oak", "the")).encode("the old oak").tolist()
        [3, 0, 2]
        """
        get = self._ids.get
        return np.array(
            [get(word, self.unk_id) for word in split_words(text, self.lower_case, self.spaced)], self.dtype
        )

    def token(self, token_id: int) -> str:
        """Return one word; `<unk>` for one that was blanked."""
        return (UNKNOWN, END)[token_id] if token_id < 2 else self.words[token_id - 2] or UNKNOWN

    def decode(self, ids: Iterable[int]) -> str:
        """Return readable text: no space before closing punctuation, nor after an opening bracket.

        Of a text's ids without `<unk>` and `<eos>` it has those ids again; its white space may be another than the
        text's, which is written in NFC.

        >>> WordTokenizer(("oak", ".")).decode([2, 3])
        'oak.'
        """
        words = [self.token(int(token_id)) for token_id in ids]
        return " ".join(words).replace(" \n", "\n").replace("\n ", "\n") if self.spaced else join_words(words)

    def to_json(self) -> str:
        """Return the text of the tokenizer's file."""
        value = {"kind": self.kind, "lower_case": self.lower_case, "words": list(self.words)}
        spaced = {"spaced": True} if self.spaced else {}
        built = {"built_sha256": self.built_sha256} if self.built_sha256 else {}
        return canonical(value | spaced | built)

    def sha256(self) -> str:
        """Return the SHA-256 of the tokenizer's file as it was built, in hex."""
        return self.built_sha256 or hashlib.sha256(self.to_json().encode()).hexdigest()

    def only(self, is_used: NDArray[np.bool_]) -> "WordTokenizer":
        """Return this dictionary with all words blanked but these, bool `(vocab_size,)`; itself if all are used.

        >>> WordTokenizer(("oak", "the")).only(np.array([True, True, False, True])).words
        ('', 'the')
        """
        words = tuple(word if used else "" for word, used in zip(self.words, is_used[2:].tolist(), strict=True))
        return self if words == self.words else replace(self, words=words, built_sha256=self.sha256())


@dataclass(frozen=True)
class ByteTokenizer:
    """The bytes of UTF-8 text; id 256 is `<eos>`."""

    kind = "bytes"
    eos_id = 256
    vocab_size = 257
    dtype = "<u2"

    def encode(self, text: str) -> Tokens:
        """Return the bytes of a text, uint16 `(n,)`, without `<eos>`."""
        return np.frombuffer(text.encode(), np.uint8).astype(self.dtype)

    def token(self, token_id: int) -> str:
        """Return one byte as text; a part of a longer character as `�`."""
        return self.decode([token_id])

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text; broken characters become `�`."""
        pieces = (END.encode() if token_id == self.eos_id else bytes([token_id]) for token_id in ids)
        return b"".join(pieces).decode(errors="replace")

    def to_json(self) -> str:
        """Return the text of the tokenizer's file."""
        return canonical({"kind": self.kind})

    def sha256(self) -> str:
        """Return the SHA-256 of the tokenizer's file, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def split_words(text: str, lower_case: bool = False, spaced: bool = False) -> list[str]:
    """Return the words of a text in Unicode's composed form (NFC), as the module says.

    A `spaced` text is split at white space alone, and each of its newlines is a word: WikiText-2's counts are such.

    >>> split_words("The oak's 3,5 m (tall).")
    ['The', "oak's", '3,5', 'm', '(', 'tall', ')', '.']
    """
    prepared = unicodedata.normalize("NFC", text.lower() if lower_case else text)
    return _SPACED_WORD.findall(prepared) if spaced else list(_words(_WORD.findall(prepared)))


def join_words(words: Iterable[str]) -> str:
    """Return words as readable text; split again, it gives the same words.

    A straight double quote opens and closes by turns within a paragraph.

    >>> join_words(['"', "Oak", '"', ",", "he", "said", "(", "twice", ")", "."])
    '"Oak", he said (twice).'
    """
    text: list[str] = []
    clings = True
    quoted = False
    for word in words:
        closes = word in _CLINGS_TO_THE_LEFT or (word == '"' and quoted) or word in (LINE, PARAGRAPH)
        text.append(word if clings or closes else f" {word}")
        if word == '"':
            quoted = not quoted
        elif word == PARAGRAPH:
            quoted = False
        clings = word in _CLINGS_TO_THE_RIGHT or (word == '"' and quoted) or word in (LINE, PARAGRAPH)
    return "".join(text)


def build_vocabulary(counts: Mapping[str, int], max_words: int, min_count: int = 1) -> tuple[str, ...]:
    """Return the words for a `WordTokenizer`: the commonest first, ties in the order of their code points.

    Args:
        counts: How often each word stands in the training text.
        max_words: The most words to keep, beside `<unk>` and `<eos>`.
        min_count: Rarer words are left out.
    """
    kept = [word for word, count in counts.items() if count >= min_count]
    return tuple(sorted(kept, key=lambda word: (-counts[word], word))[:max_words])


def from_json(text: str) -> Tokenizer:
    """Return the tokenizer that `to_json` wrote.

    Raises:
        TokenizerError: The text is something else.
    """
    try:
        value = json.loads(text)
        if value["kind"] == ByteTokenizer.kind:
            return ByteTokenizer()
        if value["kind"] == WordTokenizer.kind:
            words, (built_sha256,) = tuple(_strings(value["words"])), _strings([value.get("built_sha256", "")])
            return WordTokenizer(words, bool(value["lower_case"]), bool(value.get("spaced", False)), built_sha256)
        if value["kind"] == BpeTokenizer.kind:
            return BpeTokenizer(json.dumps(value["definition"]), value["end"])
        kind = value["kind"]
    except (ValueError, KeyError, TypeError) as error:
        raise TokenizerError(f"not a tokenizer ({type(error).__name__}: {error})") from error
    raise TokenizerError(f"unknown kind of tokenizer {kind!r}: this program knows words, bpe and bytes")


def load_tokenizer(path: AnyPath) -> Tokenizer:
    """Return the tokenizer in a file, or in a dataset folder's `tokenizer.json`.

    Raises:
        TokenizerError: The file is missing or something else; the message names it.
    """
    is_file = path.suffix == Path(TOKENIZER_NAME).suffix if isinstance(path, ObjectPath) else not path.is_dir()
    file = path if is_file else path / TOKENIZER_NAME
    try:
        return from_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise TokenizerError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TokenizerError(f"{file}: {error}") from error


def _words(found: Sequence[str]) -> Iterator[str]:
    """Yield the words, each run of white space as the break it stands for, if any."""
    for word in found:
        if not word.isspace():
            yield word
        elif (newlines := word.count("\n")) > 0:
            yield LINE if newlines == 1 else PARAGRAPH


def _strings(values: list[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise TypeError("a word is no text")
    return values
