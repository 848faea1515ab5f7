"""A power law is found again from its own points, and says when points do not bear one out."""

import numpy as np
import pytest

from models.power_law import PowerLaw, fit, fit_with_intervals

SIZES, DATA = np.geomspace(1e4, 1e6, 4), np.geomspace(1e5, 1e8, 4)
GRID = np.array([(size, data) for size in SIZES for data in DATA])
TRUE = PowerLaw(1.69, np.array([0.8, 0.6]), np.array([0.34, 0.28]), np.array([1e5, 3e6]))


def test_the_law_that_made_the_points_is_found() -> None:
    found = fit(GRID, TRUE(GRID))
    assert found.floor == pytest.approx(1.69, abs=1e-6)
    assert found.exponents == pytest.approx([0.34, 0.28], abs=1e-6)
    beyond = np.array([[1e8, 1e10]])
    assert found(beyond) == pytest.approx(TRUE(beyond), abs=1e-5)
    of_data = fit(GRID[:4, 1:], TRUE(GRID[:4]))
    assert of_data.exponents == pytest.approx([0.28], abs=1e-6)


def test_a_run_that_went_astray_hardly_moves_it_and_stands_out() -> None:
    losses = TRUE(GRID)
    losses[5] *= 1.3
    found = fit_with_intervals(GRID, losses)
    assert found.law.floor == pytest.approx(1.69, abs=0.02)
    assert found.residuals[5] == pytest.approx(np.log(1.3), abs=0.01)
    assert np.abs(np.delete(found.residuals, 5)).max() < 0.01


def test_intervals_hold_the_truth_and_widen_with_the_noise() -> None:
    widths = []
    for noise in (0.001, 0.03):
        losses = TRUE(GRID) * np.exp(np.random.default_rng(1).normal(0, noise, len(GRID)))
        found = fit_with_intervals(GRID, losses)
        (low, high), interval = found.floor_interval, found.exponent_intervals
        assert low < 1.69 < high
        assert (interval[:, 0] < TRUE.exponents).all()
        assert (TRUE.exponents < interval[:, 1]).all()
        widths.append(high - low)
    assert widths[1] > 3 * widths[0]


def test_losses_that_do_not_fall_give_no_exponent_to_go_by() -> None:
    losses = 2 * np.exp(np.random.default_rng(0).normal(0, 0.01, len(GRID)))
    found = fit_with_intervals(GRID, losses)
    assert (found.exponent_intervals[:, 0] < 0.1).all(), "hardly any slope is possible for both"
    assert np.isfinite(found.residuals).all()
    assert np.abs(found.residuals).max() < 0.05
