"""Pixels as the values a denoiser computes with, and back."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_pixels(x: Tensor) -> NDArray[np.uint8]:
    """Return values (…, C, S, S) as pixels (…, S, S, C): the nearest u with `x = (2u − 255) / 256`, cut to 0..255."""
    return np.asarray(((256 * x + 255) / 2).round().clamp(0, 255).to(torch.uint8).movedim(-3, -1).cpu().numpy())


def to_values(pixels: NDArray[np.uint8] | Tensor) -> Tensor:
    """Return pixels (B, S, S, C) as values `x = (2u − 255) / 256`, float32 (B, C, S, S), on a tensor's own device."""
    u = pixels if isinstance(pixels, Tensor) else torch.tensor(pixels)
    return ((2 * u.float() - 255) / 256).permute(0, 3, 1, 2).contiguous()
