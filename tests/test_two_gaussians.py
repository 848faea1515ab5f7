"""Pictures from two Gaussians, whose best denoiser is known in closed form: is it learned, and do five steps suffice?

A picture of 2 × 2 grey pixels is +M or −M everywhere, at even odds, and S of Gaussian grain on each pixel.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import denoiser
from models.denoising import Denoiser, DenoiserShape
from models.gaussian import GaussianPictures
from models.generation import generate
from models.levels import ladder_shares
from models.pixels import to_values
from models.runs import RunFolder
from models.solvers import Level, StepDown, grow, levels_down, static_steps
from shards.dataset import open_dataset
from shards.triplet import TripletSpec
from tests.tiny_datasets import write_triplets

M, S, SIDE = 0.2, 0.25, 2
D = SIDE * SIDE
SPREAD = math.hypot(M, S)
SETTINGS = (
    "--num-steps 1200 --batch-size 256 --learning-rate 1e-2 --width 16 --num-scales 1 --precision float32 "
    "--num-validations 0 --checkpoint-s 1000"
)
SPEC = TripletSpec(SIDE, channels=1, steps=5, seed=4, mode="virtual")


def draw(seed: int, count: int) -> NDArray[np.float64]:
    """Pictures, (count, SIDE, SIDE, 1)."""
    rng = np.random.default_rng(seed)
    return rng.choice([-M, M], (count, 1, 1, 1)) + S * rng.standard_normal((count, SIDE, SIDE, 1))


def best_denoiser(noisy: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """E[x | a x + b n], (B, 1, SIDE, SIDE): which of the two it is, by its odds, and the grain that fits each.

    Source: Bishop 2006, "Pattern Recognition and Machine Learning", equations 2.113 to 2.117 and 9.13.
    """
    variance = a * a * S * S + b * b
    leaning = torch.tanh(a * M * noisy.sum(dim=(1, 2, 3), keepdim=True) / variance)
    middle = leaning * M
    return middle + a * S * S / variance * (noisy - a * middle)


def moments(pictures: Tensor) -> dict[str, float]:
    """What pictures (B, 1, SIDE, SIDE) measure beside what they should, less 1."""
    brightness = pictures.mean(dim=(1, 2, 3))
    grain = pictures - brightness[:, None, None, None]
    wide = torch.from_numpy(draw(99, 200_000)).mean(dim=(1, 2, 3))
    return {
        "mean": float(pictures.mean()) / SPREAD,
        "brightness, absolute": float(brightness.abs().mean() / wide.abs().mean()) - 1,
        "brightness, squared": float(brightness.square().mean()) / (M**2 + S**2 / D) - 1,
        "grain, squared": float(grain.square().sum(dim=(1, 2, 3)).mean()) / ((D - 1) * S**2) - 1,
        "all, squared": float(pictures.square().mean()) / SPREAD**2 - 1,
    }


def worst(pictures: Tensor) -> float:
    return max(map(abs, moments(pictures).values()))


def a_model() -> Denoiser:
    """One that has learned nothing, but knows the pictures as a Gaussian."""
    a, b = (tuple(shares.tolist()) for shares in ladder_shares(SPEC))
    model = Denoiser(DenoiserShape(SIDE, 1, a, b, "clean", 16, 1, 1, 1, D, is_between=True))
    directions = torch.linalg.qr(torch.cat([torch.ones(D, 1), torch.eye(D)[:, 1:]], dim=1)).Q.T
    variances = torch.full((D,), S * S)
    variances[0] += D * M * M
    model.know(GaussianPictures(torch.zeros(1, SIDE, SIDE), directions, variances, SPREAD))
    return model


def grown(step_down: StepDown, solver: str, num_steps: int) -> Tensor:
    """Pictures grown with the best denoiser."""

    def predict(x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        clean = best_denoiser(x, level.a, level.b)
        return clean, (x - level.a * clean) / level.b

    model = a_model()
    static = torch.randn(200_000, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    levels = levels_down(model, solver, SPEC.steps, num_steps)
    return grow(model, static, levels, step_down, predict, lambda x, level: x).noisy[-1]


class DPMSolver2M:
    """Source: Lu et al. 2022, "DPM-Solver++" (arXiv:2211.01095), algorithm 2; the last step is of first order."""

    def __init__(self) -> None:
        self.before: tuple[float, Tensor] | None = None

    def __call__(self, x: Tensor, clean: Tensor, noise: Tensor, here: Level, there: Level) -> Tensor:
        if there.b == 0:
            return clean
        now, then = math.log(here.a / here.b), math.log(there.a / there.b)
        leading = clean
        if self.before is not None:
            r = (now - self.before[0]) / (then - now)
            leading = (1 + 1 / (2 * r)) * clean - 1 / (2 * r) * self.before[1]
        self.before = (now, clean)
        return there.b / here.b * x - there.a * math.expm1(now - then) * leading


class IPNDM:
    """Source: Zhang and Chen 2023 (arXiv:2204.13902), section 3.3; order 3."""

    def __init__(self) -> None:
        self.before: list[Tensor] = []

    def __call__(self, x: Tensor, clean: Tensor, noise: Tensor, here: Level, there: Level) -> Tensor:
        self.before = [noise, *self.before[:2]]
        shares = {1: (1.0,), 2: (3 / 2, -1 / 2), 3: (23 / 12, -16 / 12, 5 / 12)}[len(self.before)]
        leading = sum((share * noise for share, noise in zip(shares, self.before, strict=True)), torch.zeros(()))
        return there.a / here.a * (x - here.b * leading) + there.b * leading


@pytest.mark.parametrize(("num_steps", "allowed"), [(5, 0.04), (10, 0.02)])
def test_with_the_best_denoiser_multistep_comes_nearest_to_the_moments(num_steps: int, allowed: float) -> None:
    mean = torch.zeros(1, SIDE, SIDE)
    reached = worst(grown(static_steps("multistep", mean, SPREAD), "multistep", num_steps))
    assert reached < allowed
    for rival in (DPMSolver2M(), IPNDM(), static_steps("ddim", mean, SPREAD)):
        assert reached < worst(grown(rival, "multistep", num_steps))
    assert reached < worst(grown(static_steps("ladder", mean, SPREAD), "ladder", num_steps))


def test_ladder_and_ddim_are_the_same_step_written_in_two_ways() -> None:
    mean = torch.zeros(1, SIDE, SIDE)
    one, other = (grown(static_steps(name, mean, SPREAD), "ladder", 5) for name in ("ladder", "ddim"))
    assert torch.allclose(one, other, atol=1e-5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A denoiser trained on 4,000 such pictures, through the door of `python -m models.denoiser`."""
    out = tmp_path_factory.mktemp("two-gaussians")
    pixels = {
        split: list(np.clip((256 * draw(seed, count) + 255) / 2, 0, 255).round().astype(np.uint8))
        for split, seed, count in (("train", 1, 4000), ("val", 2, 1500))
    }
    write_triplets(out / "triplets", SPEC, pixels)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert denoiser.main([str(out), "--out", str(out / "run"), *SETTINGS.split()]) == 0
    torch.set_num_threads(threads)
    return out


@pytest.mark.slow
def test_the_trained_denoiser_errs_at_most_a_twentieth_more_than_the_best(run: Path) -> None:
    results = RunFolder(run / "run").results()
    assert results is not None
    sums, counts = np.zeros(SPEC.steps), np.zeros(SPEC.steps)
    for batch in open_dataset(run / "triplets", "val").loader(500, finite=True):
        noisy = torch.from_numpy(batch["noisy"].astype(np.float32)).permute(0, 3, 1, 2)
        a, b = (torch.from_numpy(batch[name])[:, None, None, None] for name in ("a", "b"))
        errors = (best_denoiser(noisy, a, b) - to_values(batch["clean"])).square().mean(dim=(1, 2, 3)).numpy()
        np.add.at(sums, batch["step"][batch["valid"]] - 1, errors[batch["valid"]])
        np.add.at(counts, batch["step"][batch["valid"]] - 1, 1)
    for row, best in zip(results["steps"], sums / counts, strict=True):
        assert best * 0.999 < row["model"] < best * 1.05


@pytest.mark.slow
def test_five_steps_of_the_trained_denoiser_grow_pictures_of_the_right_moments(run: Path) -> None:
    pictures = to_values(generate(run / "run", count=4000, seed=1, steps=5, solver="multistep")).double()
    assert worst(pictures) < 0.05
