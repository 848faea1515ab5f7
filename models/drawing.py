"""Words drawn one after another from the distributions that a language model predicts."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from models.word_networks import WordNetwork


@dataclass(frozen=True)
class Drawing:
    """How the next word is chosen from the predicted distribution.

    Attributes:
        seed: of the drawing.
        temperature: above 0; 1 is the predicted distribution itself, less is more cautious.
        top_k: only so many of the likeliest words are left; 0 leaves all.
        top_p: only the likeliest words that together have this probability are left; 1 leaves all.
        is_greedy: whether the likeliest word is always taken.
        banned: words that are never drawn.
    """

    seed: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    is_greedy: bool = False
    banned: Collection[int] = ()


class Drawn(NamedTuple):
    """A word drawn, and the distribution (num_words,) that it was drawn from."""

    word: int
    probabilities: Tensor


def next_word_probabilities(logits: Tensor, drawing: Drawing) -> Tensor:
    """Return the distribution (num_words,) to draw from, given a model's logits (num_words,).

    Of two words just as likely, the first in the dictionary is kept.

    Source: top-k, Fan et al. 2018 (arXiv:1805.04833); top-p, Holtzman et al. 2020, "The curious case of neural text
    degeneration" (arXiv:1904.09751), section 3.1: the fewest words whose probabilities sum to p or more.
    """
    logits = logits.float().clone()
    logits[list(drawing.banned)] = -torch.inf
    ordered, words = (logits / drawing.temperature).sort(descending=True, stable=True)
    probabilities = ordered.softmax(dim=0)
    if drawing.top_k:
        probabilities[drawing.top_k :] = 0
        probabilities /= probabilities.sum()
    before = probabilities.cumsum(dim=0) - probabilities
    if drawing.top_p < 1:
        probabilities[before >= drawing.top_p] = 0
    return torch.zeros_like(probabilities).scatter(0, words, probabilities / probabilities.sum())


@torch.no_grad()
def draw_words(model: WordNetwork, words: Sequence[int], drawing: Drawing) -> Iterator[Drawn]:
    """Yield the words drawn after `words`, without end.

    Args:
        model: the language model, in evaluation mode.
        words: what stands before, at least one word; the model sees the last T of them.
        drawing: how each is chosen.
    """
    chance = torch.Generator().manual_seed(drawing.seed)
    device = next(model.parameters()).device
    text = list(words)
    while True:
        seen = torch.tensor([text[-model.shape.context :]], device=device)
        probabilities = next_word_probabilities(model(seen)[0, -1].cpu(), drawing)
        if drawing.is_greedy:
            word = int(probabilities.argmax())
        else:
            word = int(torch.multinomial(probabilities, 1, generator=chance))
        text.append(word)
        yield Drawn(word, probabilities)
