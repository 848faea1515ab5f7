"""From static to pictures: the ladder climbed down, from step K to step 0."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.denoising import Denoiser
from shards.noise import static


@dataclass(frozen=True)
class Growth:
    """Pictures grown out of static, and how.

    Attributes:
        noisy: (N + 1, B, C, S, S): pure static, then what each step left, the finished pictures last.
        clean: (N, B, C, S, S): what each step took the finished picture to be.
    """

    noisy: Tensor
    clean: Tensor


def statics(seed: int, count: int, shape: tuple[int, int, int]) -> Tensor:
    """Return (count, C, S, S) of standard normal static; picture i always has the same one for the same seed.

    Args:
        seed: 0 to 2⁶³ − 1.
        count: pictures.
        shape: (S, S, C), as the shards store pictures.
    """
    drawn = np.stack([static(seed, number, 0, shape) for number in range(count)])
    return torch.from_numpy(drawn.astype(np.float32)).permute(0, 3, 1, 2)


def steps_down(num_steps: int, wanted: int) -> list[int]:
    """Return `wanted` steps of a ladder of `num_steps`, evenly spread, from its top down to 0.

    >>> steps_down(5, 5), steps_down(5, 2)
    ([5, 4, 3, 2, 1, 0], [5, 2, 0])

    Raises:
        ValueError: the ladder has fewer steps, or none is wanted.
    """
    if not 1 <= wanted <= num_steps:
        raise ValueError(f"{wanted} steps: the ladder this model learned allows 1 to {num_steps}")
    return [num_steps * left // wanted for left in range(wanted, -1, -1)]


@torch.no_grad()
def grow(model: Denoiser, static: Tensor, steps: Sequence[int]) -> Growth:
    """Climb down the ladder: at each step predict the clean picture and the noise, and mix them again with less noise.

    The step from pure static is taken in closed form (see `gaussian`), unless it is the only one.

    Source: Song et al. 2021, "Denoising diffusion implicit models" (arXiv:2010.02502), equation 12 with σ = 0.

    Args:
        model: a denoiser.
        static: (B, C, S, S), standard normal.
        steps: falling, from K down to 0.
    """
    x = model.start(static)
    noisy, clean = [x], []
    for step, following in itertools.pairwise(steps):
        clean_now, noise_now = model.predict(x, torch.full((len(x),), step, device=x.device))
        a, b = model.factors(following)
        if model.factors(step)[0] == 0 and following > 0:
            x = model.pictures.first_step(x, clean_now, a, b)
        else:
            x = a * clean_now + b * noise_now
        noisy.append(x)
        clean.append(clean_now)
    return Growth(torch.stack(noisy), torch.stack(clean))
