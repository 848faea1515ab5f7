"""What a denoiser gets right, step by step, beside what it must beat: the noisy picture itself and the mean picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.denoising import Denoiser, squared_error
from models.pixels import to_values
from shards.dataset import TripletDataset

Batch = Mapping[str, NDArray[Any]]

GUESSES = ("model", "noisy", "mean")


def to_tensors(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return clean, noise and noisy, float32 (B, C, S, S) each, and the step, int64 (B,), of a batch of triplets."""
    static = (torch.from_numpy(batch[name].astype(np.float32)) for name in ("noise", "noisy"))
    noise, noisy = (values.permute(0, 3, 1, 2).contiguous().to(device) for values in static)
    return to_values(batch["clean"]).to(device), noise, noisy, torch.tensor(batch["step"]).to(device)


@torch.no_grad()
def mean_loss(model: Denoiser, held_out: TripletDataset, batch_size: int, device: torch.device) -> float:
    """Return the mean of the training loss over triplets held out, each with its stored static."""
    total, count = 0.0, 0
    for batch in held_out.loader(batch_size, finite=True, shuffle=False):
        errors = squared_error(model, *to_tensors(batch, device)).cpu().numpy()[batch["valid"]]
        total, count = total + float(errors.sum()), count + len(errors)
    return total / count


@torch.no_grad()
def compare(
    model: Denoiser, held_out: TripletDataset, mean: NDArray[np.float64], batch_size: int, device: torch.device
) -> dict[str, Any]:
    """Return, step by step, the mean squared errors in the clean picture of the model and of what it must beat.

    Args:
        model: the denoiser.
        held_out: triplets it has not seen.
        mean: (S, S, C), the mean training picture.
        batch_size: triplets at a time.
        device: of the model.

    Returns:
        `steps`: for each, `step`, `noise_share` (b²), and the mean squared error per value of the `model`, of the
        `noisy` picture as it is and of the `mean` picture. `average`: the three over all steps. `beats`: whether the
        model's average is the least. `split` and `num_samples` say what they were taken on.
    """
    sums, counts = np.zeros((model.num_steps + 1, len(GUESSES))), np.zeros(model.num_steps + 1)
    mean_values = torch.from_numpy(mean.astype(np.float32)).permute(2, 0, 1).to(device)
    for batch in held_out.loader(batch_size, finite=True, shuffle=False):
        clean, _, noisy, step = to_tensors(batch, device)
        guesses = (model.predict(noisy, step)[0], noisy, mean_values)
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
