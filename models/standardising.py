"""Features of mean 0 and deviation 1."""

import torch
from torch import Tensor


def scaling(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each feature, float64 (D,); of sparse ones 0 and 1: they stay sparse."""
    if x.is_sparse:
        return torch.zeros(x.shape[1], dtype=torch.float64), torch.ones(x.shape[1], dtype=torch.float64)
    scale, mean = torch.std_mean(x.double(), 0)
    return mean, torch.where(scale > 1e-6, scale, 1)


def scaled(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Return features (N, D) as float64 of mean 0 and deviation 1, which the gradient descends much faster."""
    return x.double() if x.is_sparse else (x.double() - mean) / scale
