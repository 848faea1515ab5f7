"""The denoiser learns from triplets, goes on where it was interrupted, and grows pictures out of static."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import denoiser, growing
from models.baselines import mean_picture
from models.denoising import Denoiser, DenoiserShape, squared_error
from models.device_noise import WITHOUT_NOISE, choose_noise, make_noisy
from models.gaussian import fit_gaussian
from models.picture_losses import to_tensors
from models.pixels import to_pixels, to_values
from models.runs import RunError, RunFolder, learning_rate
from models.sampler import grow, statics, steps_down
from shards.schedule import ladder
from shards.tensors import quantiles
from shards.triplet import TripletSpec
from tests.tiny_datasets import draw_tree, write_triplets

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

SIZE = 10  # no multiple of what the U-Net's scales divide by
TINY = ["--width", "16", "--batch-size", "8", "--report-steps", "1", "--num-directions", "8", "--precision", "float32"]


def trees(first: int, count: int, size: int = SIZE) -> list[NDArray[np.uint8]]:
    return [draw_tree(seed, size) for seed in range(first, first + count)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stage = tmp_path_factory.mktemp("build") / "triplets"
    write_triplets(stage, TripletSpec(SIZE, steps=5, seed=3), {"train": trees(0, 24), "val": trees(100, 6)})
    return stage.parent


A, B = (tuple(factor.tolist()) for factor in ladder("interpolate", 4))


def a_denoiser(target: str) -> Denoiser:
    torch.manual_seed(0)
    model = Denoiser(DenoiserShape(6, 3, A, B, target, 16, 2, 1, 2, 3))
    model.know(fit_gaussian(to_values(np.stack(trees(0, 9, size=6))), num_directions=3))
    torch.nn.init.normal_(model.unet.conv_out.weight, std=0.1)  # which begins as zero
    return model


def train(dataset: Path, out: Path, *more: str) -> dict[str, Any]:
    assert denoiser.main([str(dataset), "--out", str(out), *TINY, *more]) == 0
    results = RunFolder(out).results()
    assert results is not None
    return results


def losses(out: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in RunFolder(out).metrics()]


@pytest.mark.parametrize("target", ["clean", "noise"])
def test_picture_and_noise_told_apart_mix_to_the_noisy_picture_again(target: str) -> None:
    model = a_denoiser(target)
    step = torch.arange(1, 5)
    noisy = statics(0, 4, (6, 6, 3))
    clean, noise = model.predict(noisy, step)
    a, b = model.a[step, None, None, None], model.b[step, None, None, None]
    assert torch.allclose(a * clean + b * noise, noisy, atol=1e-4)


def test_at_the_last_step_the_picture_counts_whatever_the_target() -> None:
    model = a_denoiser("noise")
    static = statics(0, 2, (6, 6, 3))
    clean = to_values(np.stack(trees(0, 2, size=6)))
    last = torch.full((2,), 4)
    told, _ = model.predict(static, last)
    assert torch.equal(squared_error(model, clean, static, static, last), (told - clean).square().mean(dim=(1, 2, 3)))
    assert (told - static).abs().max() > 0.5


def test_the_target_decides_which_squared_error_is_taken() -> None:
    noisy, clean, noise = statics(0, 3, (6, 6, 3)), statics(1, 3, (6, 6, 3)), statics(2, 3, (6, 6, 3))
    step = torch.tensor([1, 2, 3])
    for target, number, truth in (("clean", 0, clean), ("noise", 1, noise)):
        model = a_denoiser(target)
        expected = (model.predict(noisy, step)[number] - truth).square().mean(dim=(1, 2, 3))
        assert torch.equal(squared_error(model, clean, noise, noisy, step), expected)


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


def gaussian_samples() -> Tensor:
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


def test_equal_pictures_have_no_directions() -> None:
    assert len(fit_gaussian(torch.ones(4, 3, 2, 2), num_directions=3).variances) == 0


def test_first_step_gives_static_the_spread_of_noisy_gaussian_pictures() -> None:
    fitted = fit_gaussian(gaussian_samples(), num_directions=12)
    a, b = 0.6, 0.8
    each_direction = torch.eye(12).view(12, 3, 2, 2)
    moved = fitted.first_step(each_direction, torch.zeros(12, 3, 2, 2), a, b).flatten(1)
    covariance = fitted.directions.T @ torch.diag(fitted.variances) @ fitted.directions
    assert torch.allclose(moved.T @ moved, a**2 * covariance + b**2 * torch.eye(12), atol=1e-4)


def test_growing_climbs_down_the_ladder_to_the_last_clean_picture() -> None:
    model = a_denoiser("clean")
    growth = grow(model, statics(5, 2, (6, 6, 3)), steps_down(4, 4))
    assert growth.noisy.shape == (5, 2, 3, 6, 6)
    assert growth.clean.shape == (4, 2, 3, 6, 6)
    assert torch.equal(growth.noisy[0], statics(5, 2, (6, 6, 3)))
    assert torch.allclose(growth.noisy[-1], growth.clean[-1], atol=1e-6)


def test_a_static_depends_on_its_seed_and_number_alone() -> None:
    assert torch.equal(statics(0, 2, (4, 4, 3)), statics(0, 5, (4, 4, 3))[:2])
    assert not torch.equal(statics(0, 1, (4, 4, 3)), statics(1, 1, (4, 4, 3)))


@pytest.mark.parametrize("wanted", [0, 6])
def test_a_ladder_has_no_more_steps_than_it_has(wanted: int) -> None:
    with pytest.raises(ValueError, match="allows 1 to 5"):
        steps_down(5, wanted)


def test_learning_rate_rises_and_falls_to_zero() -> None:
    assert learning_rate(0.0, 0, 1.0, 4) == 0.25
    assert learning_rate(0.0, 3, 1.0, 4) == 1.0
    assert learning_rate(0.5, 100, 1.0, 4) == pytest.approx(0.5)
    assert learning_rate(1.0, 100, 1.0, 0) == 0.0


def test_same_seed_gives_the_same_losses_and_another_seed_others(dataset: Path, tmp_path: Path) -> None:
    for name, seed in (("one", "1"), ("two", "1"), ("three", "2")):
        train(dataset, tmp_path / name, "--num-steps", "4", "--seed", seed)
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert losses(tmp_path / "one") != losses(tmp_path / "three")
    assert [row["step"] for row in losses(tmp_path / "one") if "train" in row] == [1, 2, 3, 4]


def test_an_interrupted_run_ends_as_if_it_had_never_been(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(dataset, tmp_path / "whole", "--num-steps", "6")

    def interrupt_at_four(fraction: float, step: int, peak: float, warmup_steps: int) -> float:
        if step == 4:
            raise KeyboardInterrupt
        return learning_rate(fraction, step, peak, warmup_steps)

    settings = ["--num-steps", "6", "--checkpoint-s", "0"]
    with monkeypatch.context() as patch:
        patch.setattr(denoiser, "learning_rate", interrupt_at_four)
        argv = [str(dataset), "--out", str(tmp_path / "broken"), *TINY, *settings]
        assert denoiser.main(argv) == 130
    assert RunFolder(tmp_path / "broken").results() is None
    resumed = train(dataset, tmp_path / "broken", *settings)
    assert "goes on from step 4" in capsys.readouterr().out
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    assert resumed["steps"] == whole["steps"]
    one, other = (RunFolder(tmp_path / name).load()["model"] for name in ("whole", "broken"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("mode", ["materialised", "virtual"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])])
def test_static_made_where_the_model_is_trains_on_the_same_tensors(tmp_path: Path, mode: str, device: str) -> None:
    pictures = [draw_tree(seed, 8) for seed in range(6)]
    write_triplets(tmp_path / "triplets", TripletSpec(8, steps=3, draws=2, seed=7, mode=mode), {"train": pictures})
    dataset = denoiser.open_triplets(tmp_path / "triplets", "train")
    made, known = (dataset.loader(7, noise="fresh", fields=fields) for fields in (WITHOUT_NOISE, None))
    table = quantiles(device)
    for bare, whole in itertools.islice(zip(made, known, strict=True), 12):  # more than two epochs
        assert bare.keys() == set(WITHOUT_NOISE)
        for one, other in zip(
            make_noisy(dataset.spec, table, bare), to_tensors(whole, torch.device("cpu")), strict=True
        ):
            assert (one.device.type, one.dtype) == (device, other.dtype)
            assert torch.equal(one.cpu(), other)


@pytest.mark.parametrize("noise", ["fresh", "stored"])
def test_the_loader_makes_the_static_for_a_cpu_and_cuda_what_is_not_stored(dataset: Path, noise: str) -> None:
    triplets = denoiser.open_triplets(dataset, "train")
    assert choose_noise(triplets, noise, torch.device("cpu"))[0] is None  # type: ignore[arg-type]
    if torch.cuda.is_available():
        fields = choose_noise(triplets, noise, torch.device("cuda"))[0]  # type: ignore[arg-type]
        assert fields == (WITHOUT_NOISE if noise == "fresh" else None)


def test_a_finished_run_is_not_trained_again(dataset: Path, tmp_path: Path) -> None:
    first = train(dataset, tmp_path, "--num-steps", "2")
    written = (tmp_path / "checkpoint.pt").stat().st_mtime_ns
    assert train(dataset, tmp_path, "--num-steps", "2") == first
    assert (tmp_path / "checkpoint.pt").stat().st_mtime_ns == written


def test_after_a_while_it_beats_the_noisy_and_the_mean_picture(dataset: Path, tmp_path: Path) -> None:
    results = train(dataset, tmp_path, "--num-steps", "120", "--report-steps", "50")
    assert results["split"] == "val"
    assert results["num_samples"] == 30
    assert results["beats"]
    for row in results["steps"][:4]:
        assert row["model"] < min(row["noisy"], row["mean"])
    assert [row["step"] for row in results["steps"]] == [1, 2, 3, 4, 5]
    assert results["steps"][4]["model"] == pytest.approx(results["steps"][4]["mean"], rel=0.3)
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("target", ["clean", "noise"])
def test_another_seed_grows_another_tree(dataset: Path, tmp_path: Path, target: str) -> None:
    train(dataset, tmp_path, "--num-steps", "20", "--target", target)
    grown = growing.generate(tmp_path, count=3, seed=0)
    assert grown.shape == (3, SIZE, SIZE, 3)
    assert grown.dtype == np.uint8
    assert np.array_equal(grown[:2], growing.generate(tmp_path, count=2, seed=0))
    assert not np.array_equal(grown, growing.generate(tmp_path, count=3, seed=1))
    assert len({picture.tobytes() for picture in grown}) == 3
    with pytest.raises(RunError, match="allows 1 to 5"):
        growing.generate(tmp_path, count=1, seed=0, steps=6)


def test_grey_pictures_of_a_virtual_dataset_without_held_out_ones_train_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = [tree[:, :, :1] for tree in trees(0, 3)]
    stage = write_triplets(tmp_path / "triplets", TripletSpec(SIZE, 1, 2, mode="virtual"), {"train": grey})
    results = train(stage, tmp_path / "run", "--num-steps", "2", "--no-fresh-noise", "--no-flip")
    assert "no pictures are held out" in capsys.readouterr().out
    assert results["split"] == "train"
    assert results["num_samples"] == 6
    assert growing.generate(tmp_path / "run", count=2, seed=0, steps=1).shape == (2, SIZE, SIZE, 1)
