"""Training batches of triplets as tensors: the static made where the model is, the mix at a step or at a level between.

Whatever is drawn for a sample, the side it faces, its level, whether its caption is told, depends on the seed, the
optimiser step and its place in the whole batch alone: however many processes share the batch, and wherever training
was interrupted, it is the same.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from models.captions import hash_words
from models.denoising import DenoiserShape
from models.levels import levels_between, shares_at
from models.picture_losses import Batch, to_tensors
from models.pixels import to_values
from shards.dataset import TripletDataset
from shards.noise import sample_id
from shards.tensors import device_statics, mix, quantiles
from shards.triplet import TripletSpec

UNTOLD = 0.1
"""Share of the captions that are left out in training, so that the model knows both ways.

Source: Ho and Salimans 2022, "Classifier-free diffusion guidance" (arXiv:2207.12598), section 4.
"""


class Triplets(NamedTuple):
    """A batch on the model's device.

    Attributes:
        clean: float32 (B, C, S, S), x.
        noise: n, likewise.
        noisy: a x + b n, likewise.
        step: float64 (B,), in (0, K].
        words: of the captions, int64 (B, MAX_WORDS), or None.
    """

    clean: Tensor
    noise: Tensor
    noisy: Tensor
    step: Tensor
    words: Tensor | None


@dataclass(frozen=True)
class Chance:
    """What is left to chance in a training.

    Attributes:
        seed: of the run.
        flip: whether every second picture is mirrored.
    """

    seed: int
    flip: bool

    def draw(self, step: int, rank: int, num_ranks: int, count: int) -> Tensor:
        """Return three numbers in [0, 1) for each of a rank's `count` samples of an optimiser step, float64 (count, 3).

        They are cut out of those of the whole batch.
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        whole = torch.rand(num_ranks * count, 3, generator=generator, dtype=torch.float64)
        return whole[rank * count : (rank + 1) * count]


def choose_table(dataset: TripletDataset, noise: Literal["fresh", "stored"], device: torch.device) -> Tensor | None:
    """Return the table to make static with on the device; None where the loader makes or reads it.

    It is made on CUDA unless it is stored, or replaces single pixels.
    """
    is_made = device.type == "cuda" and dataset.spec.corruption == "gaussian" and (noise == "fresh" or dataset.is_made)
    return quantiles(device) if is_made else None


class Noising:
    """Makes tensors of a loader's batches: the same ones, bit for bit, wherever the static is made.

    Args:
        spec: of the training triplets.
        device: of the model.
        table: what `choose_table` said.
        shape: of the model: which levels it learns, and whether captions.
        spread: of the pictures, which decides what lies halfway between two levels.
        chance: of the run.
    """

    def __init__(
        self,
        spec: TripletSpec,
        device: torch.device,
        table: Tensor | None,
        shape: DenoiserShape,
        spread: float,
        chance: Chance,
    ) -> None:
        self._spec, self._device, self._table, self._chance = spec, device, table, chance
        self._is_between, self._has_words, self._spread = shape.is_between, shape.has_words, spread
        self._is_last = shape.is_last
        self._is_replaced = spec.corruption != "gaussian"
        self._a, self._b = torch.tensor([1.0, *shape.a]), torch.tensor([0.0, *shape.b])

    @property
    def fields(self) -> Collection[str]:
        """What the loader is to read."""
        arrays = ("noisy",) if self._is_replaced else () if self._table is not None else ("noise",)
        return ("clean", *arrays, "step", "draw", "key", *["caption"] * self._has_words)

    def __call__(self, batch: Batch, step: int, rank: int = 0, num_ranks: int = 1) -> Triplets:
        """Return a rank's batch of an optimiser step, noised and mirrored by the chance of that step."""
        chance = self._chance.draw(step, rank, num_ranks, len(batch["step"]))
        made = self._replaced(batch) if self._is_replaced else self._mixed(batch, chance[:, 1])
        if self._chance.flip:
            is_flipped = (chance[:, 0] < 0.5)[:, None, None, None].to(self._device)
            clean, noise, noisy = (torch.where(is_flipped, x.flip(-1), x) for x in made[:3])
            made = Triplets(clean, noise, noisy, made.step, None)
        if self._has_words:
            words = hash_words(batch["caption"].tolist()) * (chance[:, 2] >= UNTOLD)[:, None]
            made = made._replace(words=words.to(self._device))
        return made

    def _mixed(self, batch: Batch, chance: Tensor) -> Triplets:
        """Mix picture and static: a x + b n, as the shards define it, at the steps told or at levels between."""
        clean = torch.from_numpy(batch["clean"]).to(self._device)
        step = torch.from_numpy(batch["step"]).double()
        if self._is_between:
            step = levels_between(self._a, self._b, chance, self._spread)
        elif self._is_last:
            step = torch.full_like(step, self._spec.steps)
        a, b = (share.to(self._device) for share in shares_at(self._a, self._b, step))
        if self._table is None:
            noise = torch.from_numpy(batch["noise"]).to(self._device)
        else:
            identities = [sample_id(key) for key in batch["key"].tolist()]
            noise = device_statics(self._spec.seed, identities, batch["draw"].tolist(), self._spec.shape, self._table)
        noise, noisy = (x.float().permute(0, 3, 1, 2).contiguous() for x in (noise, mix(clean, noise, a, b)))
        return Triplets(to_values(clean), noise, noisy, step.to(self._device), None)

    def _replaced(self, batch: Batch) -> Triplets:
        return Triplets(*to_tensors(batch, self._spec, self._device), None)
