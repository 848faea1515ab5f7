"""What a denoiser gets right, step by step, beside what it must beat: the noisy picture itself and the mean picture."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.captions import hash_words
from models.denoising import Denoiser, squared_error
from models.levels import ladder_shares
from models.pixels import to_values
from shards.dataset import TripletDataset
from shards.triplet import TripletSpec

Batch = Mapping[str, NDArray[Any]]

GUESSES = ("model", "noisy", "mean")


def to_tensors(batch: Batch, spec: TripletSpec, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return x, n and y = a x + b n, float32 (B, C, S, S) each, and the step, float64 (B,), of a batch of triplets.

    Of a batch of replaced pixels, the noise is what was added, divided by b: see `models.levels.ladder_shares`.
    """
    clean = to_values(batch["clean"]).to(device)
    noisy = _to_values(batch["noisy"], device)
    if spec.corruption == "gaussian":
        noise = _to_values(batch["noise"], device)
    else:
        b = torch.from_numpy(ladder_shares(spec)[1].astype(np.float32)[batch["step"] - 1]).to(device)
        noise = (noisy - clean) / b[:, None, None, None]
    return clean, noise, noisy, torch.from_numpy(batch["step"]).double().to(device)


def _to_values(stored: NDArray[np.float16], device: torch.device) -> Tensor:
    return torch.from_numpy(stored.astype(np.float32)).permute(0, 3, 1, 2).contiguous().to(device)


def _batches(model: Denoiser, held_out: TripletDataset, batch_size: int) -> Iterator[tuple[Batch, Tensor | None]]:
    """Yield triplets held out, each with its stored static, and what the model is told of their captions."""
    fields = (*held_out.fields, *["caption"] * model.shape.has_words)
    for batch in held_out.loader(batch_size, finite=True, shuffle=False, fields=fields):
        yield batch, hash_words(batch["caption"].tolist()).to(model.a.device) if model.shape.has_words else None


@torch.no_grad()
def mean_loss(model: Denoiser, held_out: TripletDataset, batch_size: int) -> float:
    """Return the mean squared error over triplets held out, at the steps of the ladder and with their stored static.

    The training loss is that of the levels trained on: where these lie between the steps, most of them low, it is less.
    """
    total, count = 0.0, 0
    for batch, words in _batches(model, held_out, batch_size):
        tensors = to_tensors(batch, held_out.spec, model.a.device)
        errors = squared_error(model, *tensors, words).cpu().numpy()[batch["valid"]]
        total, count = total + float(errors.sum()), count + len(errors)
    return total / count


@torch.no_grad()
def compare(model: Denoiser, held_out: TripletDataset, mean: NDArray[np.float64], batch_size: int) -> dict[str, Any]:
    """Return, step by step, the mean squared errors in the clean picture of the model and of what it must beat.

    Args:
        model: the denoiser.
        held_out: triplets it has not seen.
        mean: (S, S, C), the mean training picture.
        batch_size: triplets at a time.

    Returns:
        `steps`: for each, `step`, `noise_share` (b²), and the mean squared error per value of the `model`, of the
        `noisy` picture as it is and of the `mean` picture. `average`: the three over all steps. `beats`: whether the
        model's average is the least. `split` and `num_samples` say what they were taken on.
    """
    sums, counts = np.zeros((model.num_steps + 1, len(GUESSES))), np.zeros(model.num_steps + 1)
    mean_values = torch.from_numpy(mean.astype(np.float32)).permute(2, 0, 1).to(model.a.device)
    for batch, words in _batches(model, held_out, batch_size):
        clean, _, noisy, step = to_tensors(batch, held_out.spec, model.a.device)
        guesses = (model.predict(noisy, step, words)[0], noisy, mean_values)
        errors = torch.stack([(guess - clean).square().mean(dim=(1, 2, 3)) for guess in guesses], dim=1)  # (B, 3)
        np.add.at(sums, batch["step"][batch["valid"]], errors.cpu().numpy()[batch["valid"]])
        np.add.at(counts, batch["step"][batch["valid"]], 1)
    steps = [
        {"step": k, "noise_share": model.factors(k)[1] ** 2, **_named(sums[k] / counts[k])}
        for k in range(1, model.num_steps + 1)
    ]
    average = _named(sums.sum(axis=0) / counts.sum())
    beats = average["model"] < min(average["noisy"], average["mean"])
    return {
        "steps": steps,
        "average": average,
        "beats": beats,
        "split": held_out.split,
        "num_samples": int(counts.sum()),
    }


def print_comparison(results: Mapping[str, Any]) -> None:
    """Print what `compare` returned as a table."""
    print(f"squared error in the clean picture, {results['num_samples']} triplets of split {results['split']}")
    print("  step  noise   denoiser  noisy picture  mean picture")
    for row in results["steps"]:
        print(f"  {row['step']:4d}  {row['noise_share']:5.0%}  {_columns(row)}")
    print(f"   all         {_columns(results['average'])}")


def _named(errors: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(GUESSES, errors.tolist(), strict=True))


def _columns(row: Mapping[str, float]) -> str:
    return f"{row['model']:9.4f}  {row['noisy']:13.4f}  {row['mean']:12.4f}"
