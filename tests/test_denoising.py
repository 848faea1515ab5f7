"""The denoiser's formulas: what is predicted, what follows from it, and what a Gaussian knows of pictures."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.averaging import keep
from models.baselines import mean_picture
from models.captions import hash_words
from models.denoising import TARGETS, Denoiser, DenoiserShape, squared_error
from models.gaussian import fit_gaussian
from models.generation import statics
from models.pixels import to_pixels, to_values
from shards.schedule import ladder
from tests.tiny_datasets import draw_tree

A, B = (tuple(factor.tolist()) for factor in ladder("interpolate", 4))


def trees(count: int) -> list[NDArray[np.uint8]]:
    return [draw_tree(seed, 6) for seed in range(count)]


def a_denoiser(target: str, **more: Any) -> Denoiser:
    torch.manual_seed(0)
    model = Denoiser(DenoiserShape(6, 3, A, B, target, 16, 2, 1, 2, 3, **more))
    model.know(fit_gaussian(to_values(np.stack(trees(9))), num_directions=3))
    for name, weights in model.unet.named_parameters():
        if name.endswith("conv_out.weight"):
            torch.nn.init.normal_(weights, std=0.1)  # which begin as zero
    return model


@pytest.mark.parametrize("target", TARGETS)
def test_picture_and_noise_told_apart_mix_to_the_noisy_picture_again(target: str) -> None:
    model = a_denoiser(target)
    step = torch.tensor([1, 2, 2.5, 4], dtype=torch.float64)
    noisy = statics(0, 4, (6, 6, 3))
    clean, noise = model.predict(noisy, step)
    a, b = model.shares(step)
    assert torch.allclose(a * clean + b * noise, noisy, atol=1e-4)


def test_a_model_of_the_noise_subtracts_what_it_predicts() -> None:
    model = a_denoiser("noise")
    noisy, step = statics(0, 3, (6, 6, 3)), torch.tensor([1, 2, 3])
    told = model.tell(noisy, step)
    a, b = model.shares(step)
    clean, noise = model.predict(noisy, step)
    assert torch.equal(noise, told) or torch.allclose(noise, told, atol=1e-6)
    assert torch.allclose(clean, (noisy - b * told) / a, atol=1e-5)


def test_the_target_decides_which_squared_error_is_taken() -> None:
    noisy, clean, noise = statics(0, 3, (6, 6, 3)), statics(1, 3, (6, 6, 3)), statics(2, 3, (6, 6, 3))
    step = torch.tensor([1, 2, 3])
    for target in ("clean", "noise", "previous"):
        model = a_denoiser(target)
        a, b = model.shares(step - 1)
        truth = {"clean": clean, "noise": noise, "previous": a * clean + b * noise}[target]
        expected = (model.tell(noisy, step) - truth).square().mean(dim=(1, 2, 3))
        assert torch.allclose(squared_error(model, clean, noise, noisy, step), expected)


def test_v_stands_at_right_angles_to_the_noisy_picture_and_is_as_long() -> None:
    model = a_denoiser("v")
    step = torch.tensor([0.5, 1, 3, 4], dtype=torch.float64)
    (a, b), (alpha, beta), s = model.shares(step), model.mixture(step), model.spread
    assert torch.allclose(a * s * alpha * s + b * beta, torch.zeros(4, 1, 1, 1), atol=1e-6)
    assert torch.allclose((alpha * s) ** 2 + beta**2, torch.ones(4, 1, 1, 1))


def test_at_the_last_step_a_model_of_the_noise_is_told_the_picture() -> None:
    model = a_denoiser("noise")
    static = statics(0, 2, (6, 6, 3))
    clean = to_values(np.stack(trees(2)))
    last = torch.full((2,), 4)
    told, _ = model.predict(static, last)
    expected = (told - clean).square().mean(dim=(1, 2, 3))
    assert torch.allclose(squared_error(model, clean, static, static, last), expected)
    assert (told - static).abs().max() > 0.5


@pytest.mark.parametrize("target", TARGETS)
def test_the_network_sees_and_is_to_put_out_unit_variance_at_every_step(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = a_denoiser(target)
    seen: list[torch.Tensor] = []

    def say_nothing(y: torch.Tensor, angle: torch.Tensor, words: None) -> torch.Tensor:
        seen.append(y)
        return torch.zeros_like(y)

    monkeypatch.setattr(model.unet, "forward", say_nothing)
    torch.manual_seed(1)
    x, n = model.mean + model.spread * torch.randn(400, 3, 6, 6), torch.randn(400, 3, 6, 6)
    for number in (0.05, 1.0, 3.3, 4.0):
        step = torch.full((400,), number, dtype=torch.float64)
        (a, b), (alpha, beta), s = model.shares(step), model.mixture(step), model.spread
        y, t = a * x + b * n, alpha * x + beta * n
        left = (t - model.tell(y, step)) / (s * (alpha * b - beta * a) / ((a * s) ** 2 + b**2).sqrt())
        assert float(seen[-1].std()) == pytest.approx(1, abs=0.02)
        assert float(left.std()) == pytest.approx(1, abs=0.03)


def test_every_pixel_value_survives_the_way_to_values_and_back() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    values = to_values(pixels)
    assert values.shape == (1, 1, 16, 16)
    assert values[0, 0, 0, 0] == -255 / 256
    assert np.array_equal(to_pixels(values), pixels)
    assert to_pixels(torch.tensor([[[[-3.0, 3.0]]]])).tolist() == [[[[0], [255]]]]


def test_mean_picture_is_the_mean_of_values() -> None:
    batches = [np.full((2, 1, 1, 1), 10, np.uint8), np.full((1, 1, 1, 1), 40, np.uint8)]
    assert mean_picture(batches).tolist() == [[[(2 * 20 - 255) / 256]]]


def gaussian_samples() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(50, 12).mul(torch.linspace(0.2, 2, 12)).view(50, 3, 2, 2) + 0.3


def test_principal_directions_explain_the_covariance() -> None:
    samples = gaussian_samples()
    fitted = fit_gaussian(samples, num_directions=12)
    covariance = torch.cov(samples.flatten(1).T, correction=0)
    rebuilt = fitted.directions.T @ torch.diag(fitted.variances) @ fitted.directions
    assert torch.allclose(rebuilt, covariance, atol=1e-4)
    assert torch.allclose(fitted.directions @ fitted.directions.T, torch.eye(12), atol=1e-4)
    assert torch.allclose(fitted.mean, samples.mean(dim=0))


def test_pictures_drawn_around_known_pixels_are_those_of_the_conditioned_gaussian() -> None:
    torch.manual_seed(2)
    fitted = fit_gaussian(gaussian_samples(), num_directions=12)
    fitted = dataclasses.replace(fitted, spread=float((fitted.variances.sum() / 12 + 1e-4).sqrt()))
    picture, is_kept = torch.rand(1, 3, 2, 2), torch.tensor([True, True, False, False]).view(1, 1, 2, 2)
    drawn = fitted.draw_around(torch.randn(20_000, 3, 2, 2), picture, is_kept).flatten(1)
    covariance = fitted.directions.T @ torch.diag(fitted.variances) @ fitted.directions
    known = is_kept.expand(1, 3, 2, 2).flatten()
    gain = covariance[~known][:, known] @ torch.linalg.inv(covariance[known][:, known] + 1e-4 * torch.eye(6))
    mean = fitted.mean.flatten()
    assert torch.allclose(drawn[:, known], picture.flatten()[known].expand(20_000, -1), atol=0.06)
    expected = mean[~known] + gain @ (picture.flatten() - mean)[known]
    assert torch.allclose(drawn[:, ~known].mean(dim=0), expected, atol=0.05)
    left = covariance[~known][:, ~known] - gain @ covariance[known][:, ~known]
    assert torch.allclose(torch.cov(drawn[:, ~known].T), left, atol=0.1)


def test_equal_pictures_have_no_directions() -> None:
    assert len(fit_gaussian(torch.ones(4, 3, 2, 2), num_directions=3).variances) == 0


def test_first_step_gives_static_the_spread_of_noisy_gaussian_pictures() -> None:
    fitted = fit_gaussian(gaussian_samples(), num_directions=12)
    a, b = 0.6, 0.8
    each_direction = torch.eye(12).view(12, 3, 2, 2)
    moved = fitted.first_step(each_direction, torch.zeros(12, 3, 2, 2), a, b).flatten(1)
    covariance = fitted.directions.T @ torch.diag(fitted.variances) @ fitted.directions
    assert torch.allclose(moved.T @ moved, a**2 * covariance + b**2 * torch.eye(12), atol=1e-4)


def test_the_average_begins_with_the_first_weights_and_looks_further_back_with_time() -> None:
    assert keep(1) == 0
    assert [round(keep(step), 3) for step in (10, 100, 1000)] == [0.433, 0.923, 0.992]


def test_words_are_told_whatever_their_case_and_no_words_say_nothing() -> None:
    assert torch.equal(*hash_words(["The Old Oak", "the old oak."]))
    assert not torch.equal(*hash_words(["an oak", "an elm"]))
    assert not hash_words(["", " ,;"]).any()
    assert hash_words(["oak " * 100]).shape == (1, 24)
    model = a_denoiser("v", has_words=True)
    noisy, step = statics(0, 1, (6, 6, 3)), torch.tensor([2])
    untold = model.tell(noisy, step)
    assert torch.equal(model.tell(noisy, step, hash_words([""])), untold)
    assert not torch.equal(model.tell(noisy, step, hash_words(["oak"])), untold)
