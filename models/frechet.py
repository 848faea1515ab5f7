"""How far a set of pictures is from another as a whole: Fréchet and kernel distance between their features.

The features are the 1,280 of EfficientNet-Lite0 (`models.efficientnet`, the extra `score`), not Inception's: **these
numbers are ours, and compare with no published FID or KID**, only with each other, and only at equal n.

**Fréchet distance.** See both sets' features as Gaussians, (μ₁, Σ₁) and (μ₂, Σ₂). The squared 2-Wasserstein distance
between those is

    d² = |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½

A few hundred pictures give covariances of a rank below 1,280, and a root of Σ₁ Σ₂, taken as a matrix, is then at the
mercy of rounding. No matrix need be rooted: with centred features A = (X₁ − μ₁) / √(n − 1), likewise B, Σ₁ Σ₂ =
AᵀA BᵀB has the same eigenvalues, but for zeros, as (A Bᵀ)(A Bᵀ)ᵀ, so that the trace of its root is the sum of the
singular values of the small matrix A Bᵀ, (n, m), which no rounding can make negative or complex.

**What few pictures do to it.** d² of two samples of one and the same distribution is not 0: it is biased upwards, the
more the fewer there are and the more varied they are. So all sets compared must have the same n, n is told, and beside
them stands the floor: real pictures against other real ones, which nothing honest can be far below.

**Kernel distance.** Beside it, the squared maximum mean discrepancy under k(x, y) = (x·y / D + 1)³, estimated without
the pairs of a picture with itself: its expectation is the same whatever n, and 0 where the distributions are one. It
may come out a little below 0. Its standard error is the jackknife's.

Neither sees that pictures were copied: the training pictures themselves have the best distance there is.

Source: Dowson and Landau 1982, "The Fréchet distance between multivariate normal distributions"; Heusel et al. 2017
(arXiv:1706.08500), equation 6, for FID; Mathiasen and Hvilshøj 2020 (arXiv:2009.14075), section 3, for the trace;
Chong and Forsyth 2020 (arXiv:1911.07023) for the bias; Bińkowski et al. 2018, "Demystifying MMD GANs"
(arXiv:1801.01401), section 4, for the kernel distance.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.efficientnet import load_network, picture_features

SIDE = 128
"""Side in pixels that pictures are enlarged or reduced to before they are looked at; a third of the work of 224."""

Floats = NDArray[np.float64]


class Distances(NamedTuple):
    """How far pictures are from others.

    Attributes:
        frechet: d².
        kernel: squared maximum mean discrepancy.
        kernel_error: its standard error.
        num_pictures: n, of the smaller set.
    """

    frechet: float
    kernel: float
    kernel_error: float
    num_pictures: int


def features_of(pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Floats:
    """Return the features of pictures, (N, S, S, C) with C 3 or 1, as float64 (N, 1280).

    Raises:
        RunError: the weights are not installed.
    """
    network = load_network()
    drawn = (Image.fromarray(picture if picture.shape[-1] == 3 else picture[..., 0]) for picture in pictures)
    return np.stack([picture_features(network, picture, SIDE) for picture in drawn]).astype(np.float64)


def distances(features: Floats, real: Floats) -> Distances:
    """Return how far pictures with features (N, D) are from real ones with features (M, D)."""
    kernel, error = kernel_distance(features, real)
    return Distances(frechet_distance(features, real), kernel, error, min(len(features), len(real)))


def frechet_distance(x: Floats, y: Floats) -> float:
    """Return d² of two sets of features, (N, D) and (M, D), two at least each; see the module.

    >>> frechet_distance(np.array([[0.0], [2.0]]), np.array([[5.0], [7.0]]))
    25.0
    """
    apart = x.mean(axis=0) - y.mean(axis=0)
    a, b = ((z - z.mean(axis=0)) / np.sqrt(len(z) - 1) for z in (x, y))
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(apart @ apart + np.square(a).sum() + np.square(b).sum() - 2 * shared)


def kernel_distance(x: Floats, y: Floats) -> tuple[float, float]:
    """Return the kernel distance of two sets of features, (N, D) and (M, D), three at least each, and its error.

    For the error each picture of both sets in turn is left out.
    """
    within = [_kernel(z, z) for z in (x, y)]
    for square in within:
        np.fill_diagonal(square, 0)
    across = _kernel(x, y)
    n, m = across.shape
    (xx, yy), xy = (square.sum() for square in within), across.sum()

    def estimate(xx: Floats, yy: Floats, xy: Floats, n: int, m: int) -> Floats:
        return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)

    without_x = estimate(xx - 2 * within[0].sum(axis=1), yy, xy - across.sum(axis=1), n - 1, m)
    without_y = estimate(xx, yy - 2 * within[1].sum(axis=1), xy - across.sum(axis=0), n, m - 1)
    variance = sum((len(left) - 1) / len(left) * np.square(left - left.mean()).sum() for left in (without_x, without_y))
    return float(estimate(xx, yy, xy, n, m)), float(np.sqrt(variance))


def _kernel(x: Floats, y: Floats) -> Floats:
    """The kernel of each pair, (N, M)."""
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)
