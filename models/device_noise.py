"""Training batches of triplets as tensors, the static made where the model is: on a GPU, or by the loader for a CPU."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from models.picture_losses import Batch, to_tensors
from models.pixels import to_values
from shards.dataset import TripletDataset
from shards.noise import sample_id
from shards.tensors import device_statics, mix, quantiles
from shards.triplet import TripletSpec

WITHOUT_NOISE = ("clean", "step", "draw", "a", "b", "key")
"""What the static is made from: the fields to load where a device makes it."""

ToTensors = Callable[[Batch], tuple[Tensor, Tensor, Tensor, Tensor]]


def choose_noise(
    dataset: TripletDataset, noise: Literal["fresh", "stored"], device: torch.device
) -> tuple[Collection[str] | None, ToTensors]:
    """Return the fields to load, and what makes clean, noise, noisy and step of such a batch on the device.

    The static is made on CUDA unless it is stored, and by the loader else; the tensors are the same, bit for bit.
    """
    if device.type == "cuda" and (noise == "fresh" or dataset.is_virtual):
        return WITHOUT_NOISE, partial(make_noisy, dataset.spec, quantiles(device))
    return None, partial(to_tensors, device=device)


def make_noisy(spec: TripletSpec, table: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what `models.picture_losses.to_tensors` does, from a batch that has `WITHOUT_NOISE` alone.

    Args:
        spec: of the triplets, whose corruption is `gaussian`.
        table: what `shards.tensors.quantiles` returned; its device makes the static.
        batch: as a loader yields it.
    """
    identities = [sample_id(key) for key in batch["key"].tolist()]
    clean, a, b = (torch.from_numpy(batch[name]).to(table.device) for name in ("clean", "a", "b"))
    noise = device_statics(spec.seed, identities, batch["draw"].tolist(), spec.shape, table)
    noise, noisy = (x.float().permute(0, 3, 1, 2).contiguous() for x in (noise, mix(clean, noise, a, b)))
    return to_values(clean), noise, noisy, torch.from_numpy(batch["step"]).to(table.device)
