"""A power law through the losses of several runs: how loss falls with size, data or time, and to where.

    L(x) = E + Σ_j A_j (x_j / u_j)^(−α_j)

E is what no size would take away: for words what the next one keeps to itself, for pictures what the noise has hidden.
Each x_j is how much there is of one thing (parameters, samples seen, seconds), u_j the middle of what was tried of it,
and A_j what its scarcity costs there. Fitted is log L, with Huber's loss: a run that went astray pulls, but no harder
the farther it went.

Source: Hestness et al. 2017 (arXiv:1712.00409) and Kaplan et al. 2020 (arXiv:2001.08361) for the law; Hoffmann et al.
2022 (arXiv:2203.15556), section 3.3 and appendix D.2, for E, for what is minimised (Huber's loss of log L, δ = 10⁻³,
from many starts) and for refits that say how sure its numbers are; Marquardt 1963 for the steps (there it was L-BFGS).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DELTA = 1e-3
"""Where Huber's loss turns from square to straight, in log L."""

STARTS = (0.1, 0.3, 0.6, 1.0, 2.0)
"""Exponents that the search sets out from."""

MAX_STEPS = 200
"""Of the search, from one start."""

NUM_REFITS = 100
"""Samples of the bootstrap, each as many runs drawn with replacement."""

INTERVAL = (0.1, 0.9)
"""Quantiles of the refits between which a number is said to lie."""


@dataclass(frozen=True)
class PowerLaw:
    """L(x) = E + Σ_j A_j (x_j / u_j)^(−α_j).

    Attributes:
        floor: E, the loss that is left whatever there is.
        factors: A_j, (p,).
        exponents: α_j, (p,).
        units: u_j, (p,).
    """

    floor: float
    factors: Floats
    exponents: Floats
    units: Floats

    def __call__(self, x: Floats) -> Floats:
        """Return the losses (n,) at amounts (n, p), all above zero.

        >>> PowerLaw(1.0, np.array([2.0]), np.array([0.5]), np.array([4.0]))(np.array([[4.0], [16.0]])).tolist()
        [3.0, 2.0]
        """
        return np.asarray(self.floor + (self.factors * (x / self.units) ** -self.exponents).sum(axis=1))


@dataclass(frozen=True)
class Fit:
    """A power law, and how far to trust it.

    Attributes:
        law: the best fit.
        floor_interval: E in the refits, at `INTERVAL`.
        exponent_intervals: α_j in the refits, likewise, (p, 2).
        residuals: log L measured less log L of the law, (n,).
    """

    law: PowerLaw
    floor_interval: tuple[float, float]
    exponent_intervals: Floats
    residuals: Floats


def num_numbers(num_terms: int) -> int:
    """Return how many numbers a law of so many terms has: E, and A and α of each."""
    return 1 + 2 * num_terms


def fit_with_intervals(x: Floats, losses: Floats, seed: int = 0) -> Fit:
    """Return the law that fits best, with intervals.

    Args:
        x: amounts (n, p), above zero.
        losses: (n,), above zero.
        seed: of the bootstrap.
    """
    law = fit(x, losses)
    rng = np.random.default_rng(seed)
    refits: list[PowerLaw] = []
    while len(refits) < NUM_REFITS:
        rows = rng.integers(0, len(losses), len(losses))
        if all(len(np.unique(column)) > 1 for column in x[rows].T):
            refits.append(fit(x[rows], losses[rows], [tuple(law.exponents)]))
    floors = np.quantile([refit.floor for refit in refits], INTERVAL)
    exponents = np.quantile([refit.exponents for refit in refits], INTERVAL, axis=0).T
    return Fit(law, (float(floors[0]), float(floors[1])), exponents, np.log(losses) - np.log(law(x)))


def fit(x: Floats, losses: Floats, starts: Sequence[Sequence[float]] = ()) -> PowerLaw:
    """Return the law whose log L has the least Huber loss.

    Args:
        x: amounts (n, p), above zero.
        losses: (n,), above zero.
        starts: exponents (p,) to set out from; if there are none, all of `STARTS` in all combinations.
    """
    p, units = x.shape[1], np.exp(np.log(x).mean(axis=0))
    log_x, log_loss = np.log(x / units), np.log(losses)
    chosen = starts or list(itertools.product(STARTS, repeat=p))
    found = [_descend(_begin(exponents, x / units, losses), log_x, log_loss) for exponents in chosen]
    numbers = min(found, key=lambda numbers: _huber(_residuals(numbers, log_x, log_loss)))
    return PowerLaw(float(np.exp(numbers[0])), np.exp(numbers[1 : 1 + p]), numbers[1 + p :], units)


def _begin(exponents: Sequence[float], x: Floats, losses: Floats) -> Floats:
    """Of a start log E, log A_j and α_j, (1 + 2p,): E and A by least squares, and kept above zero."""
    terms = np.hstack([np.ones((len(x), 1)), x ** -np.asarray(exponents)])
    linear = np.linalg.lstsq(terms, losses, rcond=None)[0]
    return np.array([*np.log(np.maximum(linear, 1e-3 * losses.min())), *exponents])


def _descend(numbers: Floats, log_x: Floats, log_loss: Floats) -> Floats:
    """The numbers at the bottom of where a start leads: steps of Levenberg and Marquardt, far residuals weigh less."""
    caution, off = 1e-3, _residuals(numbers, log_x, log_loss)
    for _ in range(MAX_STEPS):
        slopes = _slopes(numbers, log_x)  # (n, 1 + 2p), of the residuals
        weighted = slopes * np.minimum(1, DELTA / np.maximum(np.abs(off), 1e-300))[:, None]
        curvature, pull = weighted.T @ slopes, weighted.T @ off
        damped = curvature + caution * np.diag(np.diag(curvature))
        step = np.linalg.lstsq(damped, -pull, rcond=1e-14)[0]  # of least length where a number changes nothing
        tried = numbers + np.clip(step, -1, 1)
        off_then = _residuals(tried, log_x, log_loss)
        gain = _huber(off) - _huber(off_then)
        if gain > 0:
            numbers, off, caution = tried, off_then, caution / 3
        else:
            caution *= 4
        if caution > 1e8 or 0 < gain < 1e-9 * _huber(off):
            break
    return numbers


def _residuals(numbers: Floats, log_x: Floats, log_loss: Floats) -> Floats:
    """Log L (n,) of a law at the logarithms of amounts (n, p), less what was measured."""
    return np.asarray(np.logaddexp.reduce(_logarithms(numbers, log_x), axis=1) - log_loss)


def _slopes(numbers: Floats, log_x: Floats) -> Floats:
    """How the residuals change with each number, (n, 1 + 2p): log E and log A_j by their share in L."""
    logarithms = _logarithms(numbers, log_x)
    shares = np.exp(logarithms - np.logaddexp.reduce(logarithms, axis=1)[:, None])
    return np.hstack([shares, -shares[:, 1:] * log_x])


def _logarithms(numbers: Floats, log_x: Floats) -> Floats:
    """Log E and log A_j x_j^(−α_j) at each of n amounts, (n, 1 + p)."""
    p = log_x.shape[1]
    return np.hstack([np.full((len(log_x), 1), numbers[0]), numbers[1 : 1 + p] - numbers[1 + p :] * log_x])


def _huber(off: Floats) -> float:
    """Huber's loss of residuals: half their square up to `DELTA`, straight beyond."""
    far = np.abs(off)
    return float(np.where(far < DELTA, far**2 / 2, DELTA * (far - DELTA / 2)).sum())
