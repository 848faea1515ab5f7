"""What every tokenizer is: text as numbers and back."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.uint16] | NDArray[np.uint32]

UNKNOWN, END = "<unk>", "<eos>"


class TokenizerError(ValueError):
    """A file is no tokenizer."""


class Tokenizer(Protocol):
    """What every tokenizer can do; ids run from 0 to `vocab_size - 1`."""

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""

    @property
    def eos_id(self) -> int:
        """The id of `<eos>`, which closes a document."""

    @property
    def dtype(self) -> str:
        """The smallest type string that holds every id, `<u2` or `<u4`."""

    def encode(self, text: str) -> Tokens:
        """Return the ids of a text, `(n,)` of `dtype`, without `<eos>`."""

    def decode(self, ids: Iterable[int]) -> str:
        """Return readable text; `<eos>` and `<unk>` are written as such."""

    def token(self, token_id: int) -> str:
        """Return one token as readable text."""

    def to_json(self) -> str:
        """Return the text of the tokenizer's file."""

    def sha256(self) -> str:
        """Return the SHA-256 of the tokenizer's file, in hex."""


def smallest_dtype(vocab_size: int) -> str:
    """Return the type string that holds `vocab_size` ids: `<u2` or `<u4`."""
    return "<u2" if vocab_size <= 2**16 else "<u4"


def canonical(value: Mapping[str, Any]) -> str:
    """Return a tokenizer's file: JSON in one form only, so that equal tokenizers have equal files."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=0) + "\n"
