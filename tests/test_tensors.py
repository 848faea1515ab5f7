"""Tensors share the loader's memory, and torch makes the same bits as numpy."""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from shards import corruption, open_dataset
from shards.mixing import MixedLoader
from shards.noise import quantile_table, statics
from shards.tensors import (
    TensorBatch,
    TensorBatches,
    device_statics,
    mix,
    philox_statics,
    quantiles,
    to_tensors,
)
from shards.triplet import TripletSpec
from tests.tiny_datasets import draw_tree, write_triplets

ROOT = Path(__file__).parents[1]
SHAPE, SEED = (7, 7, 3), 2**63 - 1
IDENTITIES = [0, 9, 2**63, 2**63 + 12345, 2**64 - 1]
DRAWS = [0, 3, 1, 2**40, 2**33 + 7]

M = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
W = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x64 of ten rounds as the paper writes it, in Python's own unbounded integers."""
    for _ in range(10):
        one, two = M[0] * counter[0], M[1] * counter[2]
        high0, low0, high1, low1 = one >> 64, one % 2**64, two >> 64, two % 2**64
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0]
        key = [(part + step) % 2**64 for part, step in zip(key, W, strict=True)]
    return counter


def known_statics() -> NDArray[np.float16]:
    rows = []
    for identity, draw in zip(IDENTITIES, DRAWS, strict=True):
        outputs = [output for block in range(1, 11) for output in philox([block, 0, draw, 0], [SEED, identity])]
        words = [output >> shift & 0xFFFF for output in outputs for shift in (0, 16, 32, 48)]
        rows.append(quantile_table()[words[: 7 * 7 * 3]].reshape(SHAPE))
    return np.stack(rows)


def as_words(values: list[int]) -> torch.Tensor:
    return torch.from_numpy(np.array(values, np.uint64).view(np.int64))


def test_the_first_block_is_the_known_answer() -> None:
    assert philox([1, 0, 3, 0], [7, 9])[0] == 0xB427F720146B1344


def test_numpy_and_torch_make_the_known_static() -> None:
    known = known_statics()
    assert statics(SEED, IDENTITIES, DRAWS, SHAPE).tobytes() == known.tobytes()
    made = device_statics(SEED, IDENTITIES, DRAWS, SHAPE, quantiles("cpu"))
    assert made.dtype == torch.float16
    assert made.numpy().tobytes() == known.tobytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own modules, which compiling loads
def test_compiled_torch_makes_and_mixes_the_same_bits() -> None:
    def noisy(key0: torch.Tensor, key1: torch.Tensor, draw: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        noise = philox_statics(key0, key1, draw, 147, table).view(5, *SHAPE)
        return mix(clean, noise, torch.full((5,), 0.3), torch.full((5,), 0.7))

    table = quantiles("cpu")
    clean = torch.randint(0, 256, (5, *SHAPE), dtype=torch.uint8)
    compiled = torch.compile(noisy)(as_words([SEED]), as_words(IDENTITIES), as_words(DRAWS), clean)
    known = mix(clean, torch.from_numpy(known_statics()), torch.full((5,), 0.3), torch.full((5,), 0.7))
    assert compiled.numpy().tobytes() == known.numpy().tobytes()


def test_torch_mixes_the_bits_of_numpy() -> None:
    clean = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    noise = statics(1, IDENTITIES, DRAWS, (64, 64, 3))
    a, b = TripletSpec(64).factors
    mixed = mix(torch.from_numpy(clean), torch.from_numpy(noise), torch.tensor(a.tolist()), torch.tensor(b.tolist()))
    known = corruption.mix(clean, noise, a[:, None, None, None], b[:, None, None, None])
    assert mixed.numpy().tobytes() == known.tobytes()


def test_the_triton_kernel_makes_the_same_bits_in_its_interpreter() -> None:
    pytest.importorskip("triton", reason="Triton is not installed: it comes with torch for CUDA")
    code = """
import numpy as np, sys, torch
from shards.mixing import MixedLoader
from shards.noise import statics
from shards.tensors import quantiles
from shards.triton_noise import statics as triton_statics
words = [torch.from_numpy(np.array(v, np.uint64).view(np.int64)) for v in ([2**63 - 1], [9, 2**64 - 1], [3, 2**40])]
made = triton_statics(*words, 49 * 3, quantiles("cpu"))
known = statics(2**63 - 1, [9, 2**64 - 1], [3, 2**40], (7, 7, 3)).reshape(2, -1)
sys.exit(made.numpy().tobytes() != known.tobytes())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"TRITON_INTERPRET": "1"}, check=False
    )
    assert done.returncode == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_makes_and_mixes_the_same_bits() -> None:
    table = quantiles("cuda")
    made = device_statics(SEED, IDENTITIES, DRAWS, SHAPE, table)
    assert made.cpu().numpy().tobytes() == known_statics().tobytes()
    seed, identities, draws = (as_words(values).cuda() for values in ([SEED], IDENTITIES, DRAWS))
    plain = philox_statics(seed, identities, draws, 147, table)
    assert plain.cpu().numpy().tobytes() == known_statics().tobytes()
    clean = torch.randint(0, 256, (5, *SHAPE), dtype=torch.uint8)
    a, b = torch.rand(5).half(), torch.rand(5).half()
    on_device = mix(clean.cuda(), made, a.cuda(), b.cuda())
    assert on_device.cpu().numpy().tobytes() == mix(clean, made.cpu(), a, b).numpy().tobytes()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("size", "count"), [(1, 3), (7, 5), (64, 256), (256, 33)])
def test_cuda_makes_the_static_of_the_cpu_for_any_size_eager_compiled_and_by_the_kernel(size: int, count: int) -> None:
    rng = np.random.default_rng(size)
    identities = [int(word) for word in rng.integers(0, 2**64, count, np.uint64)]
    draws = [int(word) for word in rng.integers(0, 2**40, count)]
    shape, table = (size, size, 3), quantiles("cuda")
    known = statics(SEED, identities, draws, shape).tobytes()
    seed, rows, number = (as_words(values).cuda() for values in ([SEED], identities, draws))
    assert device_statics(SEED, identities, draws, shape, table).cpu().numpy().tobytes() == known
    assert philox_statics(seed, rows, number, size * size * 3, table).cpu().numpy().tobytes() == known
    compiled = torch.compile(philox_statics)
    assert compiled(seed, rows, number, size * size * 3, table).cpu().numpy().tobytes() == known


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_pinned_batches_come_to_the_device_unchanged(folder: Path) -> None:
    for batch in open_dataset(folder).loader(4, finite=True):
        for name, tensor in to_tensors(batch, "cuda", pin=True).items():
            if isinstance(tensor, torch.Tensor):
                assert tensor.is_cuda
                assert np.array_equal(tensor.cpu().numpy(), batch[name])
    pinned = to_tensors(batch, pin=True)["noisy"]
    assert isinstance(pinned, torch.Tensor)
    assert pinned.is_pinned()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = {"train": [draw_tree(seed, 8) for seed in range(5)]}
    return write_triplets(tmp_path_factory.mktemp("triplets"), TripletSpec(8, steps=3), pictures, samples_per_shard=4)


def test_nothing_is_copied_on_the_way_to_a_tensor(folder: Path) -> None:
    batch = next(iter(open_dataset(folder).loader(4)))
    tensors = to_tensors(batch)
    for name, tensor in tensors.items():
        if isinstance(tensor, torch.Tensor):
            assert tensor.data_ptr() == batch[name].ctypes.data, name
            assert np.array_equal(tensor.numpy(), batch[name])
    assert tensors["key"] == batch["key"].tolist()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # 3 workers on 2 cores
@pytest.mark.parametrize(
    ("num_workers", "rank"),
    [
        (0, 0),
        (2, 1),
        *(pytest.param(count, rank, marks=pytest.mark.slow) for count, rank in [(1, 0), (2, 0), (3, 0), (3, 1)]),
    ],
)
def test_torchs_loader_gives_the_loaders_own_stream(folder: Path, num_workers: int, rank: int) -> None:
    def fresh() -> TensorBatches:
        return TensorBatches(open_dataset(folder).loader(2, rank=rank, world_size=2, finite=True))

    def keys(batches: list[TensorBatch]) -> list[object]:
        return [batch["key"] for batch in batches]

    # A forked worker would inherit locks of the threads that other tests left behind; a spawned one that is ended in
    # the middle of a stream ends its interpreter under the thread that hands over its batches, and may abort.
    context = "forkserver" if num_workers else None
    loader = DataLoader(fresh(), batch_size=None, num_workers=num_workers, multiprocessing_context=context)
    through_torch = list(loader)
    own = [to_tensors(batch) for batch in fresh().loader]
    assert keys(through_torch) == keys(own)
    assert all(torch.equal(x["noisy"], y["noisy"]) for x, y in zip(through_torch, own, strict=True))  # type: ignore[arg-type]


def test_a_state_counts_what_torchs_loader_delivered(folder: Path) -> None:
    batches = TensorBatches(open_dataset(folder).loader(4))
    delivered = iter(DataLoader(batches, batch_size=None))
    stream = [next(delivered)["key"] for _ in range(5)]
    batches.loader.skip(2)
    state = batches.loader.state_dict()
    resumed = open_dataset(folder).loader(4)
    resumed.load_state_dict(state)
    assert next(iter(resumed))["key"].tolist() == stream[2]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_mixture_goes_through_torchs_loader_and_damage_counts(tmp_path: Path, num_workers: int) -> None:
    folders = [
        write_triplets(
            tmp_path / name, TripletSpec(8, steps=3), {"train": [draw_tree(seed, 8) for seed in range(5)]}, 4
        )
        for name in ("damaged", "whole")
    ]
    Path(open_dataset(folders[0]).shards.path(1)).unlink()

    def mixture() -> MixedLoader:
        loaders = [open_dataset(folder).loader(1, on_error="quarantine") for folder in folders]
        return MixedLoader(loaders, [1, 1], 3, workers=1)

    batches, own = TensorBatches(mixture()), mixture()
    context = "forkserver" if num_workers else None
    loader = DataLoader(batches, batch_size=None, num_workers=num_workers, multiprocessing_context=context)
    through_torch = [batch["key"] for batch in islice(loader, 10)]
    assert through_torch == [batch["key"].tolist() for batch in islice(own, 10)]
    # Of batches that workers had ready, some may have come before their turn.
    assert own.num_quarantined == 4 <= batches.loader.num_quarantined <= 4 + 2 * num_workers
    batches.loader.skip(10)
    assert batches.loader.state_dict() == own.state_dict()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_samples_replaced_in_workers_count_where_their_batches_come(tmp_path: Path) -> None:
    folder = write_triplets(
        tmp_path / "triplets", TripletSpec(8, steps=3), {"train": [draw_tree(seed, 8) for seed in range(12)]}, 4
    )
    Path(open_dataset(folder).shards.path(5)).unlink()
    batches = TensorBatches(open_dataset(folder).loader(2, finite=True, on_error="quarantine"))
    found = list(DataLoader(batches, batch_size=None, num_workers=2, multiprocessing_context="forkserver"))
    assert {type(batch) for batch in found} == {dict}
    assert batches.loader.num_quarantined == 4
