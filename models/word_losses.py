"""How well a language model knows the next word, beside counts of words and of pairs of words."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.baselines import Bigram, WordCounts, unigram
from models.text_size import bits_per_byte, predicted_size
from models.word_networks import WordNetwork
from shards.dataset import WindowDataset

NOT_COUNTED = -100
"""Stands for a next word that does not count: what fills up a window."""


MAX_JUDGED_LOGITS = 2**28
"""Logits at a time where text is judged, 1 GB of them: a large dictionary allows fewer windows together."""

COUNTED_TOGETHER = 64
"""Windows at a time where words are counted."""


class Windows(NamedTuple):
    """A batch of windows as a network takes them.

    Attributes:
        tokens: (B, T) int64, the words seen.
        following: (B, T) int64, the word after each; `NOT_COUNTED` where it does not count.
        documents: (B, T) int32, the document that the word after each stands in; None where all are looked at.
    """

    tokens: Tensor
    following: Tensor
    documents: Tensor | None


def to_windows(batch: Mapping[str, Any], device: torch.device) -> Windows:
    """Return a batch of the loader's as tensors on the device; `documents` only where the loader was asked for them."""
    whole = batch["tokens"].astype(np.int64)
    following = np.where(batch["mask"], whole[:, 1:], NOT_COUNTED)
    parts = (np.ascontiguousarray(whole[:, :-1]), following, batch.get("documents"))
    return Windows(*(None if part is None else _move(part, device) for part in parts))  # type: ignore[arg-type]


def _move(array: np.ndarray[Any, Any], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def cross_entropy(model: WordNetwork, windows: Windows, precision: torch.dtype = torch.float32) -> Tensor:
    """Return the cross-entropy of each next word, (B, T), in nats; zero of those that do not count."""
    with torch.autocast(windows.tokens.device.type, precision, enabled=precision != torch.float32):
        logits = model(windows.tokens, windows.documents)
    losses = F.cross_entropy(
        logits.flatten(0, 1).float(), windows.following.flatten(), ignore_index=NOT_COUNTED, reduction="none"
    )
    return losses.view_as(windows.tokens)


@torch.no_grad()
def mean_loss(model: WordNetwork, held_out: WindowDataset, separate: bool = False) -> float:
    """Return the mean cross-entropy of the next words of windows held out, in nats per word.

    Args:
        model: put into evaluation mode.
        held_out: its windows.
        separate: whether documents in one window are masked from each other.
    """
    model.eval()
    device = next(model.parameters()).device
    logits_per_window = held_out.spec.context * held_out.tokenizer.vocab_size
    batch_size = max(1, min(COUNTED_TOGETHER, MAX_JUDGED_LOGITS // logits_per_window))
    total, count = 0.0, 0
    fields = ("tokens", "mask", *(("documents",) if separate else ()))
    for batch in held_out.loader(batch_size, finite=True, shuffle=False, fields=fields):
        batch["mask"] &= batch["valid"][:, None]
        total += float(cross_entropy(model, to_windows(batch, device)).sum())
        count += int(batch["mask"].sum())
    return total / max(1, count)


def compare(
    model: WordNetwork,
    held_out: WindowDataset,
    counts: WordCounts,
    separate: bool = False,
) -> dict[str, Any]:
    """Return the cross-entropies of the model and of counts of words, over the same next words of the same windows.

    Returns:
        `losses`: the cross-entropy in nats per word of `model`, `bigram` and `unigram`. `beats`: whether the model's is
        the least. `split` and `num_words` say what they were taken on. `bits_per_byte` and `word_perplexity` of each
        compare with models of other tokenizers, see `models.text_size`.
    """
    word_probability, bigram = unigram(counts), Bigram(counts)
    sums, num_words, num_bytes, num_text_words = np.zeros(2), 0, 0, 0
    for batch in held_out.loader(COUNTED_TOGETHER, finite=True, shuffle=False, fields=("tokens", "mask")):
        mask = batch["mask"] & batch["valid"][:, None]
        before, after = batch["tokens"][:, :-1][mask], batch["tokens"][:, 1:][mask]
        sums -= np.log(word_probability[after]).sum(), np.log(bigram.probability(before, after)).sum()
        num_words += len(after)
        for tokens, length in zip(batch["tokens"], mask.sum(axis=1), strict=True):
            size = predicted_size(held_out.tokenizer, tokens[: length + 1])
            num_bytes, num_text_words = num_bytes + size.num_bytes, num_text_words + size.num_words
    of_counts = sums / max(1, num_words)
    losses = {
        "model": mean_loss(model, held_out, separate),
        "bigram": float(of_counts[1]),
        "unigram": float(of_counts[0]),
    }
    nats = {name: loss * num_words for name, loss in losses.items()}
    return {
        "losses": losses,
        "beats": losses["model"] < min(losses["bigram"], losses["unigram"]),
        "split": held_out.split,
        "num_words": num_words,
        "num_bytes": num_bytes,
        "num_text_words": num_text_words,
        "bits_per_byte": {name: bits_per_byte(total, num_bytes) for name, total in nats.items()},
        "word_perplexity": {name: _perplexity(total / max(1, num_text_words)) for name, total in nats.items()},
    }


def _perplexity(nats: float) -> float:
    return math.exp(min(nats, 700))  # above, it is no float


def print_comparison(results: Mapping[str, Any]) -> None:
    """Print what `compare` returned as a table."""
    print(f"next word, {results['num_words']} words of split {results['split']}")
    print("                    nats/word  perplexity  bits/byte  word perplexity")
    for name, label in (("model", "language model"), ("bigram", "counts of pairs"), ("unigram", "counts of words")):
        loss, bits, words = (results[column][name] for column in ("losses", "bits_per_byte", "word_perplexity"))
        print(f"  {label:16s}  {loss:9.3f}  {_perplexity(loss):10.1f}  {bits:9.3f}  {words:15.1f}")
