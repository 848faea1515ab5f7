"""From a prompt to text: words drawn one after another from the distribution a language model predicts."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from models.gpt import GPT


def next_word_probabilities(logits: Tensor, temperature: float, top_k: int, banned: Collection[int]) -> Tensor:
    """Return the distribution (num_words,) to draw from.

    Args:
        logits: (num_words,) of the model.
        temperature: above 0; 1 is the predicted distribution itself, less is more cautious.
        top_k: only so many of the likeliest words are left; 0 leaves all.
        banned: words that are never drawn.
    """
    logits = logits.float().clone()
    logits[list(banned)] = -torch.inf
    if 0 < top_k < len(logits):
        logits[logits < logits.topk(top_k).values[-1]] = -torch.inf
    return (logits / temperature).softmax(dim=0)


@torch.no_grad()
def continue_words(
    model: GPT,
    words: Sequence[int],
    num_words: int,
    *,
    seed: int,
    temperature: float,
    top_k: int,
    banned: Collection[int],
    eos_id: int,
) -> list[int]:
    """Return the words drawn after `words`, at most `num_words`; the end of the text is not among them.

    Args:
        model: the language model, in evaluation mode.
        words: what stands before, at least one word; the model sees the last T of them.
        num_words: where to stop at the latest.
        seed: of the drawing.
        temperature: see `next_word_probabilities`.
        top_k: see `next_word_probabilities`.
        banned: see `next_word_probabilities`.
        eos_id: the word that ends a text.
    """
    chance = torch.Generator().manual_seed(seed)
    device = model.bias.device
    text = list(words)
    for _ in range(num_words):
        seen = torch.tensor([text[-model.shape.context :]], device=device)
        logits = model(seen)[0, -1].cpu()
        probabilities = next_word_probabilities(logits, temperature, top_k, banned)
        drawn = int(torch.multinomial(probabilities, 1, generator=chance))
        if drawn == eos_id:
            break
        text.append(drawn)
    return text[len(words) :]
