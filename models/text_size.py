"""How much text tokens stand for, so that models with different tokenizers can be compared: bytes and words."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shards.tokenizer import ByteTokenizer, WordTokenizer, split_words
from shards.tokens import Tokenizer


class TextSize(NamedTuple):
    """How much text there is.

    Attributes:
        num_bytes: of its UTF-8, ends of documents apart.
        num_words: those that `shards.tokenizer` splits it into, and the ends of documents.
    """

    num_bytes: int
    num_words: int


def unit_of(tokenizer: Tokenizer) -> str:
    """Return what one token of a tokenizer is called."""
    names = {WordTokenizer: "word", ByteTokenizer: "byte"}
    return names.get(type(tokenizer), "token")


def predicted_size(tokenizer: Tokenizer, tokens: NDArray[np.integer]) -> TextSize:
    """Return the size of the text that all tokens (L,) of a window but its first stand for.

    A word is counted where it begins. Words are written as `decode` writes them: one space apart, unknown ones as
    `<unk>`. A character that two windows share counts a few bytes too many.

    >>> predicted_size(ByteTokenizer(), np.frombuffer(b"an old oak", np.uint8))
    TextSize(num_bytes=9, num_words=2)
    """
    whole, first = _size(tokenizer, tokens), _size(tokenizer, tokens[:1])
    return TextSize(whole.num_bytes - first.num_bytes, whole.num_words - first.num_words)


def bits_per_byte(nats: float, num_bytes: int) -> float:
    """Return the bits it takes to write each byte of a text, whose tokens together take so many nats.

    Source: Gao et al. 2020, "The Pile" (arXiv:2101.00027), section 3.1.

    >>> bits_per_byte(math.log(256) * 10, 10)
    8.0
    """
    return nats / math.log(2) / max(1, num_bytes)


def _size(tokenizer: Tokenizer, tokens: NDArray[np.integer]) -> TextSize:
    ends = np.flatnonzero(tokens == tokenizer.eos_id)
    pieces = [piece[piece != tokenizer.eos_id] for piece in np.split(tokens, ends)]
    if isinstance(tokenizer, WordTokenizer):
        num_bytes = sum(len(tokenizer.decode(piece.tolist()).encode()) for piece in pieces)
        return TextSize(num_bytes, len(tokens))
    texts = [tokenizer.decode(piece.tolist()) for piece in pieces]
    is_bytes = isinstance(tokenizer, ByteTokenizer)
    num_bytes = len(tokens) - len(ends) if is_bytes else sum(len(text.encode()) for text in texts)
    return TextSize(num_bytes, sum(len(split_words(text)) for text in texts) + len(ends))
