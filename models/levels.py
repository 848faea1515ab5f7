"""Levels of noise: the steps of a ladder, and every level between two of them.

A noisy picture is y = a x + b n. The ladder names K pairs (a, b); step 0 is the clean picture, (1, 0). A step with a
fraction lies between: there a² and b² run straight from the step below to the step above, and both are rounded to
float16, so that the mix is as exact as that of the ladder's own steps.

How hard a level is does not depend on b alone but on b beside what the picture still contributes, a s, with s the
pictures' spread. So levels are compared as angles φ = atan(b / a s): 0 is the clean picture, π/2 pure noise.

Source: Lu and Song 2024, "Simplifying, stabilizing and scaling continuous-time consistency models" (arXiv:2410.11081),
section 3, for the angle (TrigFlow).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shards.triplet import TripletSpec

LEAST_ANGLE = 0.004
"""The least noise trained on, in radians. Source: Karras et al. 2022 (arXiv:2206.00364), table 1: σ_min / σ_data."""

ANGLE_POWER = 1.5
"""Above 1 puts more of a sampler's steps where little noise is left.

Of 1.0, 1.3, 1.5, 1.7 and 2.0, five steps of `multistep` came nearest to the moments of two Gaussians with this one.
"""


def ladder_shares(spec: TripletSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shares (a, b) of picture and noise of steps 1 … K, float64 (K,) each.

    Where pixels are replaced, noisy = x + noise at every step, and only a share k / K of the pixels has any: there
    a = 1, and b = √(k / K) makes n of about unit variance.
    """
    if spec.corruption == "gaussian":
        a, b = spec.factors
        return a.astype(np.float64), b.astype(np.float64)
    return np.ones(spec.steps), np.sqrt(np.arange(1, spec.steps + 1) / spec.steps)


def shares_at(a: Tensor, b: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shares of picture and noise at steps (B,) in 0..K, which may have fractions; float32 (B,) each.

    Args:
        a: shares of the picture of steps 0 … K, (K + 1,).
        b: shares of the noise there.
        step: float64 or int64, on the same device.
    """
    below = step.long().clamp(0, len(a) - 2)
    fraction = step.double() - below
    return _between(a, below, fraction), _between(b, below, fraction)


def _between(shares: Tensor, below: Tensor, fraction: Tensor) -> Tensor:
    squares = shares.double().square()
    between = torch.lerp(squares[below], squares[below + 1], fraction).sqrt().half().float()
    # A step of the ladder itself is what the ladder says.
    return torch.where(fraction == 0, shares[below], torch.where(fraction == 1, shares[below + 1], between))


def angle_of(a: Tensor, b: Tensor, spread: float | Tensor) -> Tensor:
    """Return the angles φ = atan(b / a s) of shares (B,), in [0, π/2]."""
    return torch.atan2(b, a * spread)


def step_at(a: Tensor, b: Tensor, angle: Tensor, spread: float) -> Tensor:
    """Return the steps, float64 (B,) in 0..K, whose levels have these angles; the last step where none is as noisy.

    Args:
        a: shares of the picture of steps 0 … K, (K + 1,).
        b: shares of the noise there.
        angle: (B,), in [0, π/2].
        spread: s, of the pictures.
    """
    A, B = a.double().square(), b.double().square()
    # On the segment from k to k + 1, t is where b² cos²φ = s² a² sin²φ.
    angle = angle.double().minimum(angle_of(a[-1:], b[-1:], spread).double())
    q, c = (angle.sin() * spread).square(), angle.cos().square()
    angles = angle_of(a.double(), b.double(), spread)
    below = (torch.searchsorted(angles, angle, right=True) - 1).clamp(0, len(A) - 2)
    climb = c * (B[below + 1] - B[below]) - q * (A[below + 1] - A[below])
    return below + ((q * A[below] - c * B[below]) / climb).clamp(0, 1)


def angles_down(highest: float, num_steps: int) -> list[float]:
    """Return the angles of a sampler that takes `num_steps` from the highest down to 0, closer together below.

    >>> [round(angle, 2) for angle in angles_down(1.5708, 4)]
    [1.57, 1.02, 0.56, 0.2, 0.0]
    """
    return [highest * (left / num_steps) ** ANGLE_POWER for left in range(num_steps, -1, -1)]


def levels_between(a: Tensor, b: Tensor, chance: Tensor, spread: float) -> Tensor:
    """Return steps with fractions, float64 (B,), whose angles are spread evenly over all that the ladder spans.

    Args:
        a: shares of the picture of steps 0 … K, (K + 1,).
        b: shares of the noise there.
        chance: (B,), in [0, 1).
        spread: s, of the pictures.
    """
    highest = float(angle_of(a[-1:], b[-1:], spread))
    return step_at(a, b, LEAST_ANGLE + (highest - LEAST_ANGLE) * (1 - chance), spread)
