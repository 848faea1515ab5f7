"""A small causal transformer: from the words so far to the distribution of the next word.

Each block adds what attention, and then a feed-forward, make of its input to it. In symbols, with x (B, T, C) and, for
each of the heads, q, k, v (B, heads, T, D), D = C / heads:

    RMSNorm(x) = g · x / √(mean of x² over the channels + ε)
    q = rotate(RMSNorm(W_q h)), k = rotate(RMSNorm(W_k h)), v = W_v h        h = RMSNorm(x)
    x ← x + W_o softmax(q kᵀ / √D + mask) v
    x ← x + W₂ max(0, W₁ RMSNorm(x))²

The mask leaves a word itself and the words before it and, where documents are told, only those of its own document.

Source: Vaswani et al. 2017, "Attention is all you need" (arXiv:1706.03762); pre-norm blocks and the scaled start of
residual projections as in Radford et al. 2019, "Language models are unsupervised multitask learners"; rotary positions
from Su et al. 2021, "RoFormer" (arXiv:2104.09864); RMSNorm from Zhang and Sennrich 2019 (arXiv:1910.07467); normed
queries and keys from Henry et al. 2020, "Query-key normalization for transformers" (arXiv:2010.04245); squared ReLU
from So et al. 2021, "Primer" (arXiv:2109.08668); one matrix for words in and words out from Press and Wolf 2017
(arXiv:1608.05859); FlashAttention, which never writes the (T, T) weights, from Dao et al. 2022 (arXiv:2205.14135).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROTARY_BASE = 10_000.0
"""Longest wavelength of the rotary positions, in words (Su et al. 2021, section 3.2.2)."""

EPSILON = 1e-6
"""Keeps RMSNorm from dividing by zero. Source: Touvron et al. 2023, "LLaMA", its published code."""

ROWS_TOGETHER = 64
"""The dictionary's matrix has a multiple of so many rows, since GPUs multiply whole tiles; those left over say nothing.

Source: Karpathy's nanoGPT, which pads 50,257 words to 50,304.
"""


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
        is_tied: whether one matrix serves words in and words out.
    """

    num_words: int
    context: int
    width: int
    num_layers: int
    num_heads: int
    dropout: float
    is_tied: bool = True


class Norm(nn.RMSNorm):
    """Channels (…, C) scaled to a mean square of 1, then each by its gain, in the number type that they come in."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return F.rms_norm(x, self.normalized_shape, self.weight.type_as(x), self.eps)


class CausalAttention(nn.Module):
    """Each position mixes what it and the positions before it hold."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.dropout = shape.dropout
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.norm_query = Norm(shape.width // shape.num_heads)
        self.norm_key = Norm(shape.width // shape.num_heads)
        self.out = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, C) to the same shape; `cos` and `sin` (T, D / 2); `mask` as `document_mask` returns it."""
        q, k, v = self._heads(x, cos, sin)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None)
        return self.out(mixed.transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]

    def weights(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return what `forward` weighs the words so far with, one row a word: (B, heads, T, T), each row's sum 1."""
        q, k, _ = self._heads(x, cos, sin)
        T = x.shape[1]
        is_later = torch.ones(T, T, dtype=torch.bool, device=x.device).triu(1)
        return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(is_later, -torch.inf).softmax(dim=-1)

    def _heads(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, heads, T, D)."""
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k = self.norm_query(q), self.norm_key(k)
        return rotate(q, cos, sin).type_as(v), rotate(k, cos, sin).type_as(v), v


class SquaredReLU(nn.Module):
    """max(0, x)² of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return F.relu(x).square()


class Block(nn.Module):
    """Attention, then a feed-forward of four times the width, each beside a shortcut."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        C = shape.width
        self.norm_attention = Norm(C)
        self.attention = CausalAttention(shape)
        self.norm_feed = Norm(C)
        self.feed = nn.Sequential(nn.Linear(C, 4 * C, bias=False), SquaredReLU(), nn.Linear(4 * C, C, bias=False))
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, C) to the same shape."""
        x = x + self.dropout(self.attention(self.norm_attention(x), cos, sin, mask))
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
        num_rows = -(-shape.num_words // ROWS_TOGETHER) * ROWS_TOGETHER
        self.embedding = nn.Embedding(num_rows, shape.width)
        self.dropout = nn.Dropout(shape.dropout)
        self.blocks = nn.ModuleList([Block(shape) for _ in range(shape.num_layers)])
        self.norm = Norm(shape.width)
        self.head = nn.Linear(shape.width, num_rows)
        if shape.is_tied:
            self.head.weight = self.embedding.weight
        cos, sin = rotary_table(shape.context, shape.width // shape.num_heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._start_small(log_unigram)

    def forward(self, tokens: Tensor, documents: Tensor | None = None) -> Tensor:
        """Return the logits of the word after each, (B, T, num_words).

        Args:
            tokens: (B, T) int64 word numbers, T ≤ context.
            documents: (B, T) the document that each belongs to; words of others are not looked at. None: look at all.
        """
        T = tokens.shape[1]
        mask = None if documents is None else document_mask(documents)
        x = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, self.cos[:T], self.sin[:T], mask)
        return self.head(self.norm(x))[..., : self.shape.num_words]  # type: ignore[no-any-return]

    @torch.no_grad()
    def attention(self, tokens: Tensor) -> Tensor:
        """Return how much each word looks at those so far, float32 (num_layers, num_heads, T, T), for tokens (T,)."""
        T = len(tokens)
        cos, sin = self.cos[:T], self.sin[:T]
        x, weights = self.embedding(tokens[None]), []
        for block in self.blocks:
            assert isinstance(block, Block)
            weights.append(block.attention.weights(block.norm_attention(x), cos, sin)[0])
            x = block(x, cos, sin, None)
        return torch.stack(weights).float()

    def flops_per_word(self, num_words: int) -> float:
        """Return the floating-point operations that training takes for each of windows of T = `num_words` words.

        6 for each number that a word is multiplied by, and 12 · layers · C · T for attention: two products of (T, C)
        forward, and twice as many back.

        Source: Chowdhery et al. 2022, "PaLM" (arXiv:2204.02311), appendix B.
        """
        multiplied = sum(p.numel() for p in self.parameters())
        if not self.shape.is_tied:
            multiplied -= self.embedding.weight.numel()
        return 6.0 * multiplied + 12.0 * self.shape.num_layers * self.shape.width * num_words

    def _start_small(self, log_unigram: Tensor | None) -> None:
        residual_std = 0.02 / math.sqrt(2 * self.shape.num_layers)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                is_residual = name.endswith(("out.weight", "feed.2.weight"))
                nn.init.normal_(parameter, std=residual_std if is_residual else 0.02)
        nn.init.zeros_(self.head.bias)
        if log_unigram is not None:
            self.head.bias.data[: len(log_unigram)] = log_unigram


def document_mask(documents: Tensor) -> Tensor:
    """Return which words each word may look at: bool (B, 1, T, T), itself and those before it in its document.

    Args:
        documents: (B, T) the document that each word belongs to; what fills a window up is one of its own.
    """
    T = documents.shape[1]
    is_earlier = torch.ones(T, T, dtype=torch.bool, device=documents.device).tril()
    return ((documents[:, :, None] == documents[:, None, :]) & is_earlier)[:, None]


def rotary_table(context: int, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, each (context, head_width / 2)."""
    frequency = ROTARY_BASE ** (-torch.arange(0, head_width, 2) / head_width)
    angle = torch.arange(context)[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of channels (i, i + half) of (…, T, head_width) by its position's angle."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)
