"""Batches as torch tensors, torch's own `DataLoader` over them, and the static made on a device.

The only module of this package that needs torch. The static is that of `shards.noise`, bit for bit, on a CPU in eager
mode or compiled, and on CUDA by a Triton kernel.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any
from weakref import WeakValueDictionary

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from shards.loader import Loader
from shards.mixing import MixedLoader
from shards.noise import STATIC_STREAM, quantile_table

TensorBatch = dict[str, Tensor | list[str]]

MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
"""Of Philox 4x64. Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011, tables 2 and 3."""

NUM_ROUNDS = 10
_LOW_32 = 0xFFFFFFFF


def to_tensors(
    batch: Mapping[str, NDArray[Any]], device: torch.device | str | None = None, *, pin: bool = False
) -> TensorBatch:
    """Return a batch's arrays as tensors; keys, which are text, become a list.

    On the CPU nothing is copied: tensor and array share their memory.

    Args:
        batch: As a loader yields it.
        device: Where the tensors are to be; the CPU if None.
        pin: Whether to put them into page-locked memory first, so that a copy to CUDA runs beside other work.
    """
    return {
        name: values.tolist() if values.dtype.kind in "US" else _to_tensor(values, device, pin)
        for name, values in batch.items()
    }


def _to_tensor(values: NDArray[Any], device: torch.device | str | None, pin: bool) -> Tensor:
    tensor = torch.from_numpy(values)
    if pin:
        tensor = tensor.pin_memory()
    return tensor if device is None else tensor.to(device, non_blocking=pin)


class TensorBatches(IterableDataset[TensorBatch]):
    """A loader's batches for torch's `DataLoader`, whose workers take turns: the stream is the loader's own.

    Use it with `batch_size=None`, since the loader has made the batches already:

        DataLoader(TensorBatches(loader), batch_size=None, num_workers=2)

    The loader's own state does not see what a `DataLoader` delivered: call `loader.skip(num_batches)` before
    `loader.state_dict()`. Samples that were replaced in a worker count in `loader.num_quarantined` as their batch comes
    to this process.

    Args:
        loader: Of any dataset, or of a mixture.
    """

    def __init__(self, loader: Loader | MixedLoader) -> None:
        self.loader = loader
        self._name = secrets.token_hex(8)
        _awaiting[self._name] = loader

    def __iter__(self) -> Iterator[TensorBatch]:
        """Yield this worker's share of the batches, as tensors on the CPU."""
        worker = get_worker_info()
        if worker is None:
            yield from map(to_tensors, self.loader.batches())
            return
        counted = self.loader.num_quarantined
        for batch in self.loader.batches(worker.id, worker.num_workers):
            posted = _PostedBatch(to_tensors(batch))
            posted.name, posted.num_quarantined = self._name, self.loader.num_quarantined - counted
            counted = self.loader.num_quarantined
            yield posted


class _PostedBatch(dict[str, Tensor | list[str]]):
    """A batch on its way from a worker process: where it is unpacked, its replaced samples are counted."""

    name = ""
    num_quarantined = 0


_awaiting: WeakValueDictionary[str, Loader | MixedLoader] = WeakValueDictionary()
"""The loaders of this process whose batches workers may send."""


def _post(batch: _PostedBatch) -> tuple[Any, ...]:
    return _unpack, (batch.name, batch.num_quarantined, dict(batch))


def _unpack(name: str, num_quarantined: int, batch: TensorBatch) -> TensorBatch:
    loader = _awaiting.get(name)
    if loader is not None:
        loader.count_quarantined(num_quarantined)
    return batch


ForkingPickler.register(_PostedBatch, _post)


def mix(clean: Tensor, noise: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return `a x + b n`, float16, with the bits of `shards.corruption.mix`.

    Both products are exact in float32, so that a fused multiply-add changes nothing.

    Args:
        clean: u, uint8 (B, S, S, C).
        noise: n, float16 of the same shape.
        a: The pictures' factors, float16 or float32 (B,).
        b: The statics' factors, likewise.
    """
    x = (2 * clean.float() - 255) / 256
    a, b = (factor.float()[:, None, None, None] for factor in (a, b))
    return (a * x + b * noise.float()).half()


def quantiles(device: torch.device | str) -> Tensor:
    """Return the noise table of `shards.noise` on a device, float16 (65536,)."""
    return torch.from_numpy(quantile_table().copy()).to(device)


def device_statics(
    seed: int, identities: Sequence[int], draws: Sequence[int], shape: tuple[int, ...], table: Tensor
) -> Tensor:
    """Return the statics of B pictures, float16 `(B, *shape)`, made where the table lies.

    Bit for bit those of `shards.noise.statics`. On CUDA a Triton kernel makes them where Triton is installed, else
    torch's own operations.

    Args:
        seed: The dataset's, 0 to 2**64 - 1.
        identities: The pictures' ids, 0 to 2**64 - 1.
        draws: Which static of each, 0 to 2**64 - 1.
        shape: Of a picture, `(S, S, C)`.
        table: What `quantiles` returned; its device makes the noise.
    """
    key0, key1, draw = (_words([seed], table), _words(identities, table), _words(draws, table))
    count = 1
    for side in shape:
        count *= side
    if table.is_cuda and (kernel := _triton_statics()) is not None:
        values: Tensor = kernel(key0, key1, draw, count, table)
    else:
        values = philox_statics(key0, key1, draw, count, table)
    return values.view(len(identities), *shape)


def philox_statics(key0: Tensor, key1: Tensor, draw: Tensor, count: int, table: Tensor) -> Tensor:
    """Return `count` normal values for each of B rows, float16 (B, count); plain torch, which compiles.

    Args:
        key0: The seed's 64 bits, int64 (1,).
        key1: The ids', int64 (B,).
        draw: The draws', int64 (B,).
        count: Values a row.
        table: Float16 (65536,).
    """
    blocks = torch.arange(1, -(-count // 16) + 1, device=table.device, dtype=torch.int64)
    rows = torch.zeros_like(key1)[:, None]
    counter = [blocks + rows, rows + torch.zeros_like(blocks), draw[:, None] + torch.zeros_like(blocks)]
    counter.append(torch.full_like(counter[0], STATIC_STREAM))
    key = [key0[:, None].expand_as(rows), key1[:, None]]
    for _ in range(NUM_ROUNDS):
        counter = _round(counter, key)
        key = [part + _signed(step) for part, step in zip(key, WEYL_STEPS, strict=True)]
    outputs = torch.stack(counter, dim=-1)  # (B, blocks, 4)
    shifts = torch.arange(0, 64, 16, device=table.device)
    words = (outputs[..., None] >> shifts) & 0xFFFF  # (B, blocks, 4, 4), the lowest word first
    return table[words.flatten(1)[:, :count]]


def _round(counter: Sequence[Tensor], key: Sequence[Tensor]) -> list[Tensor]:
    """One round of Philox 4x64."""
    high0, low0 = _multiply(counter[0], MULTIPLIERS[0])
    high1, low1 = _multiply(counter[2], MULTIPLIERS[1])
    return [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0]


def _multiply(value: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Return the upper and the lower 64 bits of a product of unsigned 64-bit numbers, kept as int64.

    torch has no such product: it is put together of four of 32 by 32 bits.
    """
    low, high = value & _LOW_32, (value >> 32) & _LOW_32
    factor_low, factor_high = factor & _LOW_32, factor >> 32
    low_low, low_high = low * factor_low, low * factor_high
    high_low, high_high = high * factor_low, high * factor_high
    middle = _upper(low_low) + (low_high & _LOW_32) + (high_low & _LOW_32)
    upper = high_high + _upper(low_high) + _upper(high_low) + _upper(middle)
    return upper, (middle << 32) | (low_low & _LOW_32)


def _upper(value: Tensor) -> Tensor:
    """Return the upper 32 bits of 64, without their sign."""
    return (value >> 32) & _LOW_32


def _signed(value: int) -> int:
    """Return the int64 with the bits of an unsigned 64-bit number."""
    return value - (1 << 64) if value >> 63 else value


def _words(values: Sequence[int], table: Tensor) -> Tensor:
    return torch.tensor([_signed(value) for value in values], dtype=torch.int64, device=table.device)


def _triton_statics() -> Any:  # noqa: ANN401 - a module that may not be there
    """Return the Triton kernel's launcher, or None where Triton is not installed."""
    try:
        from shards.triton_noise import statics  # noqa: PLC0415 - only CUDA needs it
    except ModuleNotFoundError as error:
        if error.name != "triton":
            raise
        return None
    return statics
