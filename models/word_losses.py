"""How well a language model knows the next word, beside counts of words and of pairs of words."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.baselines import Bigram, WordCounts, unigram
from models.gpt import GPT
from shards.dataset import WindowDataset


def cross_entropy(
    model: GPT, batch: Mapping[str, Any], device: torch.device, precision: torch.dtype = torch.float32
) -> Tensor:
    """Return the cross-entropy of each next word that counts in a batch of windows, (N,), in nats."""
    tokens = torch.from_numpy(batch["tokens"].astype(np.int64)).to(device)
    mask = torch.tensor(batch["mask"]).to(device)
    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
        logits = model(tokens[:, :-1])
    return F.cross_entropy(logits[mask].float(), tokens[:, 1:][mask], reduction="none")


@torch.no_grad()
def mean_loss(model: GPT, held_out: WindowDataset, batch_size: int, device: torch.device) -> float:
    """Return the mean cross-entropy of the next words of windows held out, in nats per word."""
    model.eval()
    total, count = 0.0, 0
    for batch in held_out.loader(batch_size, finite=True, shuffle=False):
        batch["mask"] &= batch["valid"][:, None]
        entropies = cross_entropy(model, batch, device)
        total, count = total + float(entropies.sum()), count + len(entropies)
    return total / max(1, count)


def compare(
    model: GPT, held_out: WindowDataset, counts: WordCounts, batch_size: int, device: torch.device
) -> dict[str, Any]:
    """Return the cross-entropies of the model and of counts of words, over the same next words of the same windows.

    Returns:
        `losses`: the cross-entropy in nats per word of `model`, `bigram` and `unigram`. `beats`: whether the model's is
        the least. `split` and `num_words` say what they were taken on.
    """
    word_probability, bigram = unigram(counts), Bigram(counts)
    sums, num_words = np.zeros(2), 0
    for batch in held_out.loader(batch_size, finite=True, shuffle=False):
        mask = batch["mask"] & batch["valid"][:, None]
        before, after = batch["tokens"][:, :-1][mask], batch["tokens"][:, 1:][mask]
        sums -= np.log(word_probability[after]).sum(), np.log(bigram.probability(before, after)).sum()
        num_words += len(after)
    of_counts = sums / max(1, num_words)
    losses = {
        "model": mean_loss(model, held_out, batch_size, device),
        "bigram": float(of_counts[1]),
        "unigram": float(of_counts[0]),
    }
    beats = losses["model"] < min(losses["bigram"], losses["unigram"])
    return {"losses": losses, "beats": beats, "split": held_out.split, "num_words": num_words}


def print_comparison(results: Mapping[str, Any]) -> None:
    """Print what `compare` returned as a table."""
    print(f"next word, {results['num_words']} words of split {results['split']}")
    print("                    nats/word  perplexity")
    for name, label in (("model", "language model"), ("bigram", "counts of pairs"), ("unigram", "counts of words")):
        loss = results["losses"][name]
        print(f"  {label:16s}  {loss:9.3f}  {math.exp(loss):10.1f}")
