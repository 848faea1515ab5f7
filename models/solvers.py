"""From static to pictures: how one step down is taken, in three ways.

Each way is given the noisy picture x_k = a x + b n, what the denoiser takes for its picture x̂ and its noise n̂, and
the level to arrive at, (a′, b′). What it returns is the noisy picture there.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.denoising import Denoiser
from models.levels import angles_down, step_at

SOLVERS = ("ladder", "ddim", "multistep")


@dataclass(frozen=True)
class Level:
    """A level of noise on the way down.

    Attributes:
        step: in 0..K; a fraction lies between two steps of the ladder.
        a: share of the picture.
        b: share of the noise.
        angle: φ = atan(b / a s), in [0, π/2].
    """

    step: float
    a: float
    b: float
    angle: float


Predict = Callable[[Tensor, Level], tuple[Tensor, Tensor]]
"""Noisy pictures (B, C, S, S) and their level to the picture and the noise in them, of that shape both."""

StepDown = Callable[[Tensor, Tensor, Tensor, Level, Level], Tensor]
"""Noisy pictures, picture and noise predicted, this level and the next to the noisy pictures there."""

Hold = Callable[[Tensor, Level], Tensor]
"""Noisy pictures and their level to the same with what is known put back."""


@dataclass(frozen=True)
class Growth:
    """Pictures grown out of static, and how.

    Attributes:
        noisy: (N + 1, B, C, S, S): what growing began with, then what each step left, the finished pictures last.
        clean: (N, B, C, S, S): what each step took the finished picture to be.
    """

    noisy: Tensor
    clean: Tensor


def ladder(x: Tensor, clean: Tensor, noise: Tensor, here: Level, there: Level) -> Tensor:
    """Subtract the noise that was predicted, and add again what the step below still has of it."""
    without = x - here.b * noise
    return there.a / here.a * without + there.b * noise


def ddim(x: Tensor, clean: Tensor, noise: Tensor, here: Level, there: Level) -> Tensor:
    """Mix the picture and the noise predicted as at the level below.

    It is `ladder` written another way; what differs is where it steps: evenly in angle rather than on the ladder.

    Source: Song et al. 2021, "Denoising diffusion implicit models" (arXiv:2010.02502), equation 12 with σ = 0.
    """
    return there.a * clean + there.b * noise


class Multistep:
    """Goes along the velocity that the last two predictions point to, by the angle.

    Seen from their mean μ, in units of their spread s and by the angle φ, noisy pictures, z = (x_k − a μ) / ρ with
    ρ² = a² s² + b², move as dz/dφ = v, with v = cos φ n̂ − sin φ (x̂ − μ) / s. Where pictures are a Gaussian of spread
    s, v is 0 and one step is exact; what is left is taken by the two-step rule of Adams and Bashforth, as iPNDM does
    with n̂.

    On two Gaussians, whose best denoiser is known, five such steps come nearer to the moments than DPM-Solver++(2M)
    and than iPNDM on n̂ (`tests/test_two_gaussians.py`).

    Source: Zhang and Chen 2023, "Fast sampling of diffusion models with exponential integrator" (arXiv:2204.13902),
    section 3.3, for iPNDM; Lu and Song 2024 (arXiv:2410.11081), section 3, for the angle and v.

    Args:
        mean: μ, (C, S, S).
        spread: s.
    """

    def __init__(self, mean: Tensor, spread: float) -> None:
        self._mean, self._spread = mean, spread
        self._before: tuple[Tensor, float] | None = None  # velocity and angle of the step before

    def __call__(self, x: Tensor, clean: Tensor, noise: Tensor, here: Level, there: Level) -> Tensor:
        """Return the noisy pictures at the next level."""
        s, phi, h = self._spread, here.angle, there.angle - here.angle
        v = math.cos(phi) * noise - math.sin(phi) * (clean - self._mean) / s
        slope = v
        if self._before is not None:
            r = h / (here.angle - self._before[1])
            slope = (1 + r / 2) * v - r / 2 * self._before[0]
        self._before = (v, here.angle)
        z = (x - here.a * self._mean) / self._rho(here) + h * slope
        return there.a * self._mean + self._rho(there) * z

    def _rho(self, level: Level) -> float:
        return math.hypot(level.a * self._spread, level.b)


def static_steps(solver: str, mean: Tensor, spread: float) -> StepDown:
    """Return the way of stepping down through static that is called so, one of `SOLVERS`; see `Multistep`."""
    known: dict[str, StepDown] = {"ladder": ladder, "ddim": ddim, "multistep": Multistep(mean, spread)}
    return known[solver]


def steps_down(num_steps: int, wanted: int) -> list[int]:
    """Return `wanted` steps of a ladder of `num_steps`, evenly spread, from its top down to 0.

    >>> steps_down(5, 5), steps_down(5, 2)
    ([5, 4, 3, 2, 1, 0], [5, 2, 0])

    Raises:
        ValueError: the ladder has fewer steps, or none is wanted.
    """
    if not 1 <= wanted <= num_steps:
        raise ValueError(f"{wanted} steps: a model that learned the ladder's steps alone allows 1 to {num_steps} here")
    return [num_steps * left // wanted for left in range(wanted, -1, -1)]


def levels_down(model: Denoiser, solver: str, top: float, wanted: int) -> list[Level]:
    """Return the levels that a solver stands on, `wanted` steps from step `top` down to 0.

    Raises:
        ValueError: the model knows the ladder's steps alone, and there are fewer, or `top` is none of them.
    """
    a, b, s = model.a.cpu(), model.b.cpu(), float(model.spread)
    if not model.shape.is_between:
        if top != int(top):
            raise ValueError(f"step {top:g}: a model that learned the ladder's steps alone knows no step between")
        steps = torch.tensor(steps_down(int(top), wanted)).double()
    elif solver == "ladder":
        steps = top * torch.arange(wanted, -1, -1).double() / wanted
    else:
        highest = math.atan2(model.factors(top)[1], model.factors(top)[0] * s)
        steps = step_at(a, b, torch.tensor(angles_down(highest, wanted)), s)
        steps[0] = top
    found = []
    for step in steps.tolist():
        a_here, b_here = model.factors(step)
        found.append(Level(step, a_here, b_here, math.atan2(b_here, a_here * s)))
    return found


def first_step(model: Denoiser, static: Tensor, clean: Tensor, there: Level) -> Tensor:
    """Return where the step from pure static leads: by the closed form of `models.gaussian`, but for the only step."""
    return model.pictures.first_step(static, clean, there.a, there.b) if there.b > 0 else clean


@torch.no_grad()
def grow(
    model: Denoiser,
    start: Tensor,
    levels: Sequence[Level],
    step_down: StepDown,
    predict: Predict,
    hold: Hold,
) -> Growth:
    """Step down from level to level: predict, step down, repeat.

    Args:
        model: a denoiser.
        start: (B, C, S, S), noisy pictures at the first level.
        levels: falling, from the first down to step 0.
        step_down: the solver.
        predict: the denoiser's prediction, led by a caption or by known pixels where there are such.
        hold: puts pixels that are known back into noisy pictures of a level.
    """
    x, noisy, clean = start, [start], []
    for here, there in itertools.pairwise(levels):
        clean_now, noise_now = predict(x, here)
        if here.a == 0:
            x = first_step(model, x, clean_now, there)
        else:
            x = step_down(x, clean_now, noise_now, here, there)
        x = hold(x, there)
        noisy.append(x)
        clean.append(clean_now)
    return Growth(torch.stack(noisy), torch.stack(clean))
