"""Text as numbers by byte pair encoding: the commonest pairs of bytes become tokens, then pairs of those.

Trained with, or read from a file of, Hugging Face's `tokenizers`; its ids are theirs.

Source: Sennrich, Haddow, Birch 2016, "Neural Machine Translation of Rare Words with Subword Units"; Radford et al. 2019
(GPT-2), section 2.2, for bytes in the place of characters.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from shards.tokens import END, TokenizerError, Tokens, canonical, smallest_dtype

if TYPE_CHECKING:
    import tokenizers

ENDS = (END, "<|endoftext|>", "</s>")
"""What tokenizers of others call the end of a document."""


@dataclass(frozen=True)
class BpeTokenizer:
    """Byte pair encoding.

    Attributes:
        definition: the text of a `tokenizer.json` of Hugging Face's `tokenizers`.
        end: the token that closes a document.

    Raises:
        TokenizerError: the definition is none, the end is no token of it, or `tokenizers` is not installed.
    """

    definition: str
    end: str = END

    kind = "bpe"

    def __post_init__(self) -> None:
        if self._tokenizer.token_to_id(self.end) is None:
            raise TokenizerError(f"{self.end!r} is no token of it: name the one that closes a document")

    @cached_property
    def _tokenizer(self) -> "tokenizers.Tokenizer":
        library = _library()
        try:
            tokenizer: tokenizers.Tokenizer = library.Tokenizer.from_str(self.definition)
        except Exception as error:  # the library raises nothing more special
            raise TokenizerError(f"not a tokenizer of Hugging Face's ({error})") from error
        return tokenizer

    @cached_property
    def vocab_size(self) -> int:
        """How many ids there are: one more than the highest, added tokens included."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @cached_property
    def eos_id(self) -> int:
        """The id of the token that closes a document."""
        token_id = self._tokenizer.token_to_id(self.end)
        assert token_id is not None
        return int(token_id)

    @cached_property
    def dtype(self) -> str:
        """`<u2` where every id fits into 16 bits, `<u4` else."""
        return smallest_dtype(self.vocab_size)

    def encode(self, text: str) -> Tokens:
        """Return the ids of a text, `(n,)` of `dtype`, without a closing token."""
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, self.dtype)

    def token(self, token_id: int) -> str:
        """Return one token as text; a part of a longer character as `�`."""
        return self.decode([token_id])

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text."""
        return self._tokenizer.decode([int(token_id) for token_id in ids], skip_special_tokens=False)

    def to_json(self) -> str:
        """Return the text of the tokenizer's file; its `definition` is that of Hugging Face's."""
        return canonical({"kind": self.kind, "end": self.end, "definition": json.loads(self.definition)})

    def sha256(self) -> str:
        """Return the SHA-256 of the tokenizer's file, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def train_bpe(texts: Iterable[str], vocab_size: int) -> BpeTokenizer:
    """Return the byte-level tokenizer that encodes `texts` in the fewest tokens, greedily; the same texts, the same.

    Args:
        texts: the training text, in pieces that no token crosses.
        vocab_size: ids, `<eos>` and the 256 bytes included; fewer where the texts hold no more pairs.

    Raises:
        TokenizerError: `tokenizers` is not installed.
    """
    library = _library()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[END], initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return BpeTokenizer(tokenizer.to_str())


def read_bpe(definition: str, end: str | None = None) -> BpeTokenizer:
    """Return the tokenizer of a `tokenizer.json` of Hugging Face's, closing documents with `end`, or the usual token.

    Raises:
        TokenizerError: it is none, or has no such token.
    """
    try:
        known = {each["content"] for each in json.loads(definition)["added_tokens"]}
    except (ValueError, KeyError, TypeError) as error:
        raise TokenizerError(f"not a tokenizer of Hugging Face's ({type(error).__name__}: {error})") from error
    usual = next((each for each in ENDS if each in known), None)
    if end is None and usual is None:
        raise TokenizerError(f"none of its tokens is one of {', '.join(ENDS)}: name the one that closes a document")
    return BpeTokenizer(definition, end or str(usual))


def _library() -> Any:  # noqa: ANN401 - a module
    try:
        import tokenizers  # noqa: PLC0415 - only data sets of byte pairs need it
    except ImportError as error:
        raise TokenizerError("byte pairs need the package tokenizers: pip install tokenizers") from error
    return tokenizers
