"""A small causal transformer: from the words so far to the distribution of the next word.

Source: Vaswani et al. 2017, "Attention is all you need" (arXiv:1706.03762); pre-norm blocks and the scaled start of
residual projections as in Radford et al. 2019, "Language models are unsupervised multitask learners"; rotary positions
from Su et al. 2021, "RoFormer" (arXiv:2104.09864); one matrix for words in and words out from Press and Wolf 2017
(arXiv:1608.05859).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROTARY_BASE = 10_000.0
"""Longest wavelength of the rotary positions, in words (Su et al. 2021, section 3.2.2)."""


@dataclass(frozen=True)
class GPTShape:
    """Everything that decides the network's tensors.

    Attributes:
        num_words: size of the tokenizer's dictionary.
        context: T, the most words looked back at.
        width: channels per word, a multiple of 2 · num_heads.
        num_layers: blocks of attention and feed-forward.
        num_heads: attention heads per block.
        dropout: share of activations dropped in training, in [0, 1).
    """

    num_words: int
    context: int
    width: int
    num_layers: int
    num_heads: int
    dropout: float


class CausalAttention(nn.Module):
    """Each position mixes what it and the positions before it hold."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.dropout = shape.dropout
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(B, T, C) to the same shape; `cos` and `sin` are (T, C / heads / 2)."""
        B, T, C = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = rotate(qkv[0], cos, sin), rotate(qkv[1], cos, sin), qkv[2]  # each (B, heads, T, C / heads)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(B, T, C))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention, then a feed-forward of four times the width, each beside a shortcut."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(shape.width)
        self.attention = CausalAttention(shape)
        self.norm_feed = nn.LayerNorm(shape.width)
        self.feed = nn.Sequential(
            nn.Linear(shape.width, 4 * shape.width), nn.GELU(), nn.Linear(4 * shape.width, shape.width)
        )
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(B, T, C) to the same shape."""
        x = x + self.dropout(self.attention(self.norm_attention(x), cos, sin))
        return x + self.dropout(self.feed(self.norm_feed(x)))  # type: ignore[no-any-return]


class GPT(nn.Module):
    """Words so far in, logits of each next word out.

    Args:
        shape: sizes of the network.
        log_unigram: (num_words,) log probability of each word anywhere; where the output starts from, so that no time
            goes into learning which words are common.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: GPTShape, log_unigram: Tensor | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.num_words, shape.width)
        self.dropout = nn.Dropout(shape.dropout)
        self.blocks = nn.ModuleList([Block(shape) for _ in range(shape.num_layers)])
        self.norm = nn.LayerNorm(shape.width)
        self.bias = nn.Parameter(torch.zeros(shape.num_words) if log_unigram is None else log_unigram.clone())
        cos, sin = rotary_table(shape.context, shape.width // shape.num_heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._start_small()

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 word numbers, T ≤ context, to (B, T, num_words) logits of the word after each."""
        T = tokens.shape[1]
        x = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, self.cos[:T], self.sin[:T])
        return F.linear(self.norm(x), self.embedding.weight, self.bias)

    def _start_small(self) -> None:
        residual_std = 0.02 / math.sqrt(2 * self.shape.num_layers)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                is_residual = name.endswith(("out.weight", "feed.2.weight"))
                nn.init.normal_(parameter, std=residual_std if is_residual else 0.02)


def rotary_table(context: int, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, each (context, head_width / 2)."""
    frequency = ROTARY_BASE ** (-torch.arange(0, head_width, 2) / head_width)
    angle = torch.arange(context)[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of channels (i, i + half) of (…, T, head_width) by its position's angle."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)
