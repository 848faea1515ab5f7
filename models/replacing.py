"""Stepping down where pixels were replaced, not mixed with static: by static (`sparse`) or by white (`whiteout`).

At step k the first k / K of the pixels, in an order drawn by chance, are replaced. One begins with all of them so, and
at each step down those that are no longer replaced become what the denoiser takes them for.

White tells nothing: every picture that is grown from it begins as the same white picture, for which the denoiser has
one answer, the mean picture. All the chance there is lies in the order of the pixels, and trees grown in one order are
the same tree; static holds a chance for every value of every pixel.

Source: Bansal et al. 2022, "Cold diffusion: inverting arbitrary image transforms without noise" (arXiv:2208.09392),
algorithm 1.
"""

import numpy as np
import torch
from torch import Tensor

from models.denoising import Denoiser
from models.solvers import Level, StepDown
from shards.corruption import corrupted_pixels
from shards.noise import PIXEL_STREAM, random_rows


def still_replaced(model: Denoiser, seed: int, count: int, step: int) -> Tensor:
    """Return which pixels of pictures 0, 1, … are replaced at a step, bool (count, 1, S, S); fewer at each step down.

    Args:
        model: whose size and steps they are.
        seed: of the order.
        count: pictures.
        step: k, 0..K.
    """
    S = model.shape.size
    if step == 0:
        return torch.zeros(count, 1, S, S, dtype=torch.bool, device=model.a.device)
    words = random_rows(seed, range(count), [0] * count, PIXEL_STREAM, S * S)
    mask = corrupted_pixels(words, np.full(count, step), model.num_steps)
    return torch.from_numpy(mask).view(count, 1, S, S).to(model.a.device)


def lay_bare(model: Denoiser, seed: int) -> StepDown:
    """Return the way of stepping down on which pixels are laid bare in the order that a seed draws."""

    def step_down(x: Tensor, clean: Tensor, noise: Tensor, here: Level, there: Level) -> Tensor:
        return torch.where(still_replaced(model, seed, len(x), int(there.step)), x, clean)

    return step_down
