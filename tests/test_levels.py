"""Levels of noise between the steps of a ladder, and the batches a denoiser learns from, bit for bit the same."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.denoising import DenoiserShape
from models.levels import LEAST_ANGLE, angle_of, angles_down, ladder_shares, levels_between, shares_at, step_at
from models.noising import UNTOLD, Chance, Noising, Triplets, choose_table
from models.picture_losses import to_tensors
from models.pixels import to_values
from models.training_pictures import open_triplets
from shards.corruption import mix
from shards.tensors import quantiles
from shards.triplet import TripletSpec
from tests.tiny_datasets import draw_tree, write_triplets

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

SPREAD = 0.3
SPECS = [
    TripletSpec(8, steps=5),
    TripletSpec(8, steps=1),
    TripletSpec(8, steps=4, schedule="add", sigma=3.0),
    TripletSpec(8, steps=3, schedule="list", variances=(0.1, 1.0, 9.0)),
    TripletSpec(8, steps=5, corruption="sparse"),
]


def shares(spec: TripletSpec) -> tuple[Tensor, Tensor]:
    """Of steps 0 … K."""
    a, b = ladder_shares(spec)
    return torch.tensor([1.0, *a]).float(), torch.tensor([0.0, *b]).float()


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_step_of_the_ladder_is_what_the_ladder_says_and_between_two_the_variances_run_straight(
    spec: TripletSpec,
) -> None:
    a, b = shares(spec)
    steps = torch.arange(spec.steps + 1)
    assert torch.equal(torch.stack(shares_at(a, b, steps)), torch.stack([a, b]))
    halfway = torch.stack(shares_at(a, b, steps[1:].double() - 0.5)).square()
    straight = (torch.stack([a, b])[:, 1:].square() + torch.stack([a, b])[:, :-1].square()) / 2
    assert torch.allclose(halfway, straight, rtol=2e-3)
    assert torch.equal(halfway.sqrt(), halfway.sqrt().half().float())


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_step_of_an_angle_has_that_angle(spec: TripletSpec) -> None:
    a, b = shares(spec)
    highest = float(angle_of(a[-1:], b[-1:], SPREAD))
    angles = torch.linspace(0, highest, 50)
    found = angle_of(*shares_at(a, b, step_at(a, b, angles, SPREAD)), SPREAD)
    assert torch.allclose(found, angles, atol=2e-3)
    assert float(step_at(a, b, torch.tensor([math.pi / 2]), SPREAD)) == pytest.approx(spec.steps, abs=1e-4)


def test_levels_between_are_spread_evenly_in_angle_over_the_whole_ladder() -> None:
    a, b = shares(SPECS[0])
    steps = levels_between(a, b, torch.linspace(0, 0.9999, 1001).double(), SPREAD)
    angles = angle_of(*shares_at(a, b, steps), SPREAD)
    assert float(steps[0]) == pytest.approx(5, abs=1e-4)
    assert torch.allclose(angles, torch.linspace(math.pi / 2, LEAST_ANGLE, 1001), atol=2e-3)


def test_a_sampler_steps_closer_together_toward_the_picture() -> None:
    angles = angles_down(math.pi / 2, 6)
    strides = [above - below for above, below in itertools.pairwise(angles)]
    assert (angles[0], angles[-1]) == (math.pi / 2, 0)
    assert strides == sorted(strides, reverse=True)


def a_shape(spec: TripletSpec, **more: bool) -> DenoiserShape:
    a, b = (tuple(part.tolist()) for part in ladder_shares(spec))
    return DenoiserShape(spec.size, 3, a, b, "v", 16, 2, 1, 2, 0, spec.corruption, **more)


def noising_of(spec: TripletSpec, table: Tensor | None, device: str = "cpu", seed: int = 0, **more: bool) -> Noising:
    return Noising(spec, torch.device(device), table, a_shape(spec, **more), SPREAD, Chance(seed, flip=False))


@pytest.mark.parametrize("mode", ["materialised", "virtual"])
@pytest.mark.parametrize("is_between", [False, True])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])])
def test_static_made_where_the_model_is_trains_on_the_same_tensors(
    tmp_path: Path, mode: str, is_between: bool, device: str
) -> None:
    spec = TripletSpec(8, steps=3, draws=2, seed=7, mode=mode)
    write_triplets(tmp_path / "triplets", spec, {"train": [draw_tree(seed, 8) for seed in range(6)]})
    dataset = open_triplets(tmp_path / "triplets", "train")
    here = noising_of(spec, quantiles(device), device, is_between=is_between)
    loaders = noising_of(spec, None, is_between=is_between)
    assert "noise" not in here.fields
    made, known = (dataset.loader(7, noise="fresh", fields=noising.fields) for noising in (here, loaders))
    for step, (bare, whole) in enumerate(itertools.islice(zip(made, known, strict=True), 12)):  # over two epochs
        one, other = here(bare, step), loaders(whole, step)
        for x, y in zip(one[:4], other[:4], strict=True):
            assert (x.device.type, x.dtype) == (device, y.dtype)
            assert torch.equal(x.cpu(), y)


def test_on_the_ladder_the_tensors_are_those_of_the_shards(tmp_path: Path) -> None:
    for corruption in ("gaussian", "sparse", "whiteout"):
        spec = TripletSpec(8, steps=3, corruption=corruption)
        stage = write_triplets(tmp_path / corruption, spec, {"train": [draw_tree(seed, 8) for seed in range(6)]})
        loader = open_triplets(stage, "train").loader(9, fields=("clean", "noise", "noisy", "step", "draw", "key"))
        batch = next(iter(loader))
        told = noising_of(spec, None)(batch, 0)
        for x, y in zip(told[:4], to_tensors(batch, spec, torch.device("cpu")), strict=True):
            assert torch.equal(x, y)
        a, b = (torch.from_numpy(part[batch["step"] - 1]).float()[:, None, None, None] for part in ladder_shares(spec))
        assert torch.allclose(told.noisy, a * told.clean + b * told.noise, atol=2e-3)


def test_between_the_steps_the_mix_is_the_shards_own(tmp_path: Path) -> None:
    spec = TripletSpec(8, steps=3, mode="virtual")
    stage = write_triplets(tmp_path / "triplets", spec, {"train": [draw_tree(seed, 8) for seed in range(6)]})
    noising = noising_of(spec, None, is_between=True)
    batch = next(iter(open_triplets(stage, "train").loader(9, noise="fresh", fields=noising.fields)))
    told = noising(batch, 0)
    factors = (part.half().numpy()[:, None, None, None] for part in shares_at(*shares(spec), told.step))
    noisy = torch.from_numpy(mix(batch["clean"], batch["noise"], *factors).astype(np.float32)).permute(0, 3, 1, 2)
    assert torch.equal(told.noisy, noisy)
    assert torch.equal(told.clean, to_values(batch["clean"]))
    assert len(set(told.step.tolist())) == 9


def test_who_learns_the_last_step_alone_is_shown_static_alone(tmp_path: Path) -> None:
    spec = TripletSpec(8, steps=3)
    stage = write_triplets(tmp_path / "triplets", spec, {"train": [draw_tree(seed, 8) for seed in range(4)]})
    noising = noising_of(spec, None, is_last=True)
    batch = next(iter(open_triplets(stage, "train").loader(6, fields=noising.fields)))
    made = noising(batch, 0)
    assert made.step.tolist() == [3] * 6
    assert torch.equal(made.noisy, made.noise)


def test_every_epoch_has_its_own_static_and_levels(tmp_path: Path) -> None:
    spec = TripletSpec(8, steps=1, mode="virtual")
    stage = write_triplets(tmp_path / "triplets", spec, {"train": [draw_tree(0, 8)]})
    noising = noising_of(spec, None, is_between=True)
    loader = open_triplets(stage, "train").loader(1, noise="fresh", fields=noising.fields)
    epochs = [noising(batch, step) for step, batch in enumerate(itertools.islice(loader, 5))]
    assert len({epoch.noise.numpy().tobytes() for epoch in epochs}) == 5
    assert len({float(epoch.step) for epoch in epochs}) == 5


def test_what_is_left_to_chance_is_dealt_out_of_the_whole_batch() -> None:
    chance = Chance(3, flip=True)
    whole = chance.draw(7, 0, 1, 8)
    assert torch.equal(torch.cat([chance.draw(7, rank, 4, 2) for rank in range(4)]), whole)
    assert not torch.equal(chance.draw(8, 0, 1, 8), whole)
    assert not torch.equal(dataclasses.replace(chance, seed=4).draw(7, 0, 1, 8), whole)


def test_captions_are_read_told_and_now_and_then_left_out(tmp_path: Path) -> None:
    spec = TripletSpec(8, steps=2, mode="virtual")
    stage = write_triplets(tmp_path / "triplets", spec, {"train": [draw_tree(seed, 8) for seed in range(4)]})
    noising = noising_of(spec, None, has_words=True)
    loader = open_triplets(stage, "train").loader(500, noise="fresh", fields=noising.fields)
    batch = next(iter(loader))
    assert set(batch["caption"]) == {"a tree"}
    told: Triplets = noising(batch, 0)
    assert told.words is not None
    is_told = told.words.any(dim=1)
    assert float(is_told.float().mean()) == pytest.approx(1 - UNTOLD, abs=0.05)
    assert len({tuple(words) for words in told.words[is_told].tolist()}) == 1


def test_the_loader_makes_the_static_for_a_cpu_and_cuda_what_is_not_stored(tmp_path: Path) -> None:
    stage = write_triplets(tmp_path / "triplets", TripletSpec(8, steps=2), {"train": [draw_tree(0, 8)]})
    dataset = open_triplets(stage, "train")
    assert choose_table(dataset, "fresh", torch.device("cpu")) is None
    if torch.cuda.is_available():
        assert choose_table(dataset, "fresh", torch.device("cuda")) is not None
        assert choose_table(dataset, "stored", torch.device("cuda")) is None
