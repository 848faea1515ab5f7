"""The average of the weights a training passes through: steadier than any of them, and what pictures are grown with.

Source: Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion models" (arXiv:2312.02696),
section 3.1: the average reaches back over a fixed share of the training so far, however long that is.
"""

import torch
from torch import nn

GAMMA = 6.94
"""γ of an average whose width is a tenth of the training so far (σ_rel = 0.10). Source: there, section C.1."""


def keep(step: int) -> float:
    """Return the share β of the average that stays after optimiser step 1, 2, …: (1 − 1/step)^(γ + 1).

    >>> keep(1), round(keep(1000), 4)
    (0.0, 0.9921)
    """
    return float((1 - 1 / step) ** (GAMMA + 1))


@torch.no_grad()
def take_in(average: nn.Module, model: nn.Module, step: int) -> None:
    """Move the averaged weights toward the model's, after optimiser step 1, 2, …; buffers are left alone."""
    pairs = zip(average.parameters(), model.parameters(), strict=True)
    kept, new = map(list, zip(*pairs, strict=True))
    torch._foreach_lerp_(kept, new, 1 - keep(step))
