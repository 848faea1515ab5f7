"""A small U-Net that is told how noisy its picture is, and in words, where there are some, what it shows.

Source: Ronneberger et al. 2015, "U-Net" (arXiv:1505.04597) for the shape; Ho et al. 2020, "Denoising diffusion
probabilistic models" (arXiv:2006.11239) for residual blocks that hear the step and for attention at the coarsest scale.
"""

import itertools
import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.captions import WordTable

GROUP_WIDTH = 16
"""Channels normalised together."""

NUM_WAVES = 32
"""Sines, and as many cosines, that a level's angle is told by; the fastest turns 16 times between clean and noise."""


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut; what the network is told scales and shifts what stands between them."""

    def __init__(self, in_channels: int, out_channels: int, embedding_width: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(max(1, in_channels // GROUP_WIDTH), in_channels)
        self.conv_in = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.scale_shift = nn.Linear(embedding_width, 2 * out_channels)
        self.norm_out = nn.GroupNorm(max(1, out_channels // GROUP_WIDTH), out_channels)
        self.conv_out = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, in_channels, H, W) and (B, embedding_width) to (B, out_channels, H, W)."""
        h = self.conv_in(F.silu(self.norm_in(x)))
        scale, shift = self.scale_shift(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.norm_out(h) * (1 + scale) + shift
        return self.shortcut(x) + self.conv_out(F.silu(h))  # type: ignore[no-any-return]


class SpatialAttention(nn.Module):
    """Every place looks at every other, so that left and right of a crown agree."""

    def __init__(self, channels: int, head_width: int = 32) -> None:
        super().__init__()
        self.num_heads = max(1, channels // head_width)
        self.norm = nn.GroupNorm(max(1, channels // GROUP_WIDTH), channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        B, C, H, W = x.shape
        qkv = self.qkv(self.norm(x)).reshape(B, 3, self.num_heads, C // self.num_heads, H * W)
        q, k, v = qkv.transpose(-1, -2).unbind(dim=1)  # each (B, heads, H·W, C / heads)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(mixed.transpose(-1, -2).reshape(B, C, H, W))  # type: ignore[no-any-return]


class LevelEmbedding(nn.Module):
    """What the residual blocks hear: the level's angle as waves, and the words of the caption.

    Args:
        width: channels of the embedding.
        has_words: whether captions are told.
    """

    waves: Tensor

    def __init__(self, width: int, has_words: bool) -> None:
        super().__init__()
        turns = 16 ** torch.linspace(0, 1, NUM_WAVES)
        self.register_buffer("waves", turns * 2 * math.pi / (math.pi / 2), persistent=False)
        self.level = nn.Linear(2 * NUM_WAVES, width)
        self.words = WordTable(width) if has_words else None
        self.mix = nn.Linear(width, width)

    def forward(self, angle: Tensor, words: Tensor | None) -> Tensor:
        """(B,) radians and (B, MAX_WORDS) to (B, width)."""
        turned = angle[:, None] * self.waves
        told = self.level(torch.cat([turned.cos(), turned.sin()], dim=1))
        if self.words is not None and words is not None:
            told = told + self.words(words)
        return F.silu(self.mix(F.silu(told)))


class UNet(nn.Module):
    """Picture and level in, picture of the same shape out.

    Args:
        channels: of the picture, 3 or 1.
        widths: channels at each scale, finest first; each scale has half the side of the one before.
        num_blocks: residual blocks per scale, on the way down and again on the way up.
        patch: the finest scale works on patches of `patch × patch` pixels; 2 quarters the cost.
        has_words: whether it is told captions.
    """

    def __init__(self, channels: int, widths: Sequence[int], num_blocks: int, patch: int, has_words: bool) -> None:
        super().__init__()
        self.patch = patch
        self.multiple = patch * 2 ** (len(widths) - 1)
        embedding_width = 2 * widths[0]
        self.embedding = LevelEmbedding(embedding_width, has_words)
        self.conv_in = nn.Conv2d(channels * patch * patch, widths[0], 3, padding=1)
        self.down, self.up, self.shrink, self.grow = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for fine, coarse in itertools.pairwise(widths):
            self.down.append(_blocks([fine] * (num_blocks + 1), embedding_width))
            self.shrink.append(nn.Conv2d(fine, coarse, 3, stride=2, padding=1))
            self.grow.append(nn.Conv2d(coarse, fine, 1))
            self.up.append(_blocks([2 * fine] + [fine] * num_blocks, embedding_width))
        self.middle = _blocks([widths[-1]] * 3, embedding_width)
        self.attention = SpatialAttention(widths[-1])
        self.norm_out = nn.GroupNorm(max(1, widths[0] // GROUP_WIDTH), widths[0])
        self.conv_out = nn.Conv2d(widths[0], channels * patch * patch, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, angle: Tensor, words: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) radians and (B, MAX_WORDS) to (B, C, H, W); sides that do not divide are padded and cut.

        Args:
            x: about zero mean and unit variance.
            angle: of each picture's level, in [0, π/2]; see `models.levels`.
            words: of its caption, see `models.captions`; zeros, or None, say nothing.
        """
        H, W = x.shape[-2:]
        x = F.pad(x, (0, -W % self.multiple, 0, -H % self.multiple), mode="replicate")
        embedding = self.embedding(angle, words)
        h = self.conv_in(F.pixel_unshuffle(x, self.patch))
        kept: list[Tensor] = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            h = _run(blocks.children(), h, embedding)
            kept.append(h)
            h = shrink(h)
        h = _run(self.middle[:1], h, embedding)
        h = _run(self.middle[1:], self.attention(h), embedding)
        for blocks, grow in zip(reversed(self.up), reversed(self.grow), strict=True):
            h = F.interpolate(grow(h), scale_factor=2, mode="nearest")
            h = _run(blocks.children(), torch.cat([h, kept.pop()], dim=1), embedding)
        out = F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(h))), self.patch)
        return out[..., :H, :W]


def _blocks(widths: Sequence[int], embedding_width: int) -> nn.ModuleList:
    pairs = itertools.pairwise(widths)
    return nn.ModuleList([ResidualBlock(before, after, embedding_width) for before, after in pairs])


def _run(blocks: Iterable[nn.Module], h: Tensor, embedding: Tensor) -> Tensor:
    for block in blocks:
        h = block(h, embedding)
    return h
