"""Captions as what a network can be told: the words of each, hashed to places in a small table of vectors.

Source: Weinberger et al. 2009, "Feature hashing for large scale multitask learning" (arXiv:0902.2206); that a picture's
words in no order guide it well enough, Joulin et al. 2016, "Bag of tricks" (arXiv:1607.01759).
"""

import re
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

NUM_PLACES = 4096
"""Vectors in the table; place 0 is that of no word."""

MAX_WORDS = 24
"""Words of a caption that count, from its beginning."""

_WORD = re.compile(r"\w+")


def hash_words(captions: Sequence[str]) -> Tensor:
    """Return the places of the words of captions, int64 (B, MAX_WORDS), filled up with 0; case does not count.

    >>> hash_words(["An oak, an Oak", ""])[:, :5].tolist()
    [[2094, 3103, 2094, 3103, 0], [0, 0, 0, 0, 0]]
    """
    places = torch.zeros(len(captions), MAX_WORDS, dtype=torch.int64)
    for row, caption in enumerate(captions):
        words = _WORD.findall(caption.lower())[:MAX_WORDS]
        hashed = [1 + zlib.crc32(word.encode()) % (NUM_PLACES - 1) for word in words]
        places[row, : len(hashed)] = torch.tensor(hashed, dtype=torch.int64)
    return places


class WordTable(nn.Module):
    """The mean vector of a caption's words; zeros, which say nothing, where there are none."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(NUM_PLACES, width, mode="mean", padding_idx=0)

    def forward(self, words: Tensor) -> Tensor:
        """(B, MAX_WORDS) int64 to (B, width)."""
        found: Tensor = self.bag(words)
        return found
