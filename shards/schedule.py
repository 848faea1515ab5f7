"""How much picture and how much static stand in each step of a ladder."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

SCHEDULES = ("interpolate", "add", "list")
"""The names `ladder` knows."""

MAX_SIGMA = 1000.0
"""The widest static: float16, which ends at 65,504, must hold 4.324 σ and the picture."""


@cache
def ladder(
    name: str, steps: int, sigma: float = 1.0, variances: tuple[float, ...] = ()
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return the factors `(a, b)` of picture and static for the steps 1 … K.

    * `interpolate` keeps the variance, `a_k² + b_k² = 1`, and mixes in equal parts of it: `b_k² = k / K`, so that
      step K is static alone.
    * `add` keeps the picture, `a_k = 1`, and adds static in equal parts of its variance: `b_k² = k σ² / K`.
    * `list` keeps the picture too, `a_k = 1`, and adds static of the variances given: `b_k² = variances[k - 1]`.

    Each factor is rounded once, to the nearest float16.

    Source: the variance-preserving ladder of Sohl-Dickstein et al., "Deep Unsupervised Learning using Nonequilibrium
    Thermodynamics", ICML 2015, with noise variance linear in k; the variance-exploding one of Song and Ermon,
    "Generative Modeling by Estimating Gradients of the Data Distribution", NeurIPS 2019.

    Args:
        name: One of `SCHEDULES`.
        steps: K, 1 or more.
        sigma: σ, standard deviation of the static at step K of `add`, above 0 and at most `MAX_SIGMA`.
        variances: K rising numbers above 0 and at most `MAX_SIGMA`², for `list` alone.

    Returns:
        Two float16 arrays `(K,)`, read-only; index k - 1 belongs to step k.

    Raises:
        ValueError: A value is impossible; the message names it.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule is {name!r}: use one of {', '.join(SCHEDULES)}")
    if steps < 1:
        raise ValueError(f"steps is {steps}: it must be 1 or more")
    if not 0 < sigma <= MAX_SIGMA:
        raise ValueError(f"sigma is {sigma}: it must be above 0 and at most {MAX_SIGMA:g}")
    _check_variances(name, steps, variances)
    shares = np.arange(1, steps + 1, dtype=np.float64) / steps
    variance = {"interpolate": shares, "add": shares * sigma * sigma, "list": np.array(variances)}[name]
    a = np.sqrt(1 - shares) if name == "interpolate" else np.ones(steps)
    factors = a.astype(np.float16), np.sqrt(variance).astype(np.float16)
    for factor in factors:
        factor.flags.writeable = False
    return factors


def _check_variances(name: str, steps: int, variances: Sequence[float]) -> None:
    if name != "list":
        if variances:
            raise ValueError(f"variances is {list(variances)}: only the schedule 'list' takes them, not {name!r}")
        return
    if len(variances) != steps:
        raise ValueError(f"variances is {list(variances)}: give {steps}, one for each step")
    rising = all(before < after for before, after in zip((0.0, *variances), variances, strict=False))
    if not rising or not math.isfinite(variances[-1]) or variances[-1] > MAX_SIGMA**2:
        raise ValueError(f"variances is {list(variances)}: they must rise from above 0 to at most {MAX_SIGMA**2:g}")
