"""The networks that predict a next word, by their names: `gpt`, `attention`, `no-attention`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.attention_rnn import AttentionRNN, AttentionShape
from models.gpt import GPT, GPTShape

MODELS = ("gpt", "attention", "no-attention")

WordNetwork = GPT | AttentionRNN
"""Called with tokens (B, T) and, if they matter, documents (B, T), it returns logits (B, T, num_words)."""

WordShape = GPTShape | AttentionShape


def build_network(shape: WordShape, log_unigram: Tensor | None = None) -> WordNetwork:
    """Return an untrained network of this shape; see `GPT` for `log_unigram`."""
    return GPT(shape, log_unigram) if isinstance(shape, GPTShape) else AttentionRNN(shape, log_unigram)


def shape_to_plain(shape: WordShape) -> dict[str, Any]:
    """Return a shape as a checkpoint holds it."""
    kind = "gpt" if isinstance(shape, GPTShape) else "attention"
    return {"kind": kind, **dataclasses.asdict(shape)}


def shape_from_plain(held: Mapping[str, Any]) -> WordShape:
    """Return the shape that `shape_to_plain` made plain."""
    values = {name: value for name, value in held.items() if name != "kind"}
    return GPTShape(**values) if held["kind"] == "gpt" else AttentionShape(**values)
