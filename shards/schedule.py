"""How much picture and how much static stand in each step of a ladder."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

SCHEDULES = ("interpolate",)
"""The names `ladder` knows."""


@cache
def ladder(name: str, steps: int) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return the factors `(a, b)` of picture and static for the steps 1 … K.

    `interpolate` keeps the variance, `a_k² + b_k² = 1`, and mixes in equal parts
    of it: `b_k² = k / K`, so that step K is static alone.

    Source: the variance-preserving ladder of Sohl-Dickstein et al., "Deep Unsupervised
    Learning using Nonequilibrium Thermodynamics", ICML 2015, with noise variance linear in k.

    Args:
        name: One of `SCHEDULES`.
        steps: K, 1 or more.

    Returns:
        Two float16 arrays `(K,)`, read-only; index k - 1 belongs to step k.

    Raises:
        ValueError: An unknown name, or no steps.
    """
    if name not in SCHEDULES:
        raise ValueError(f"unknown schedule {name!r}: use one of {', '.join(SCHEDULES)}")
    if steps < 1:
        raise ValueError(f"a ladder of {steps} steps: steps must be 1 or more")
    variance = np.arange(1, steps + 1, dtype=np.float64) / steps
    a, b = np.sqrt(1 - variance).astype(np.float16), np.sqrt(variance).astype(np.float16)
    a.flags.writeable = b.flags.writeable = False
    return a, b
