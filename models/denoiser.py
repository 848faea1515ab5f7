"""Train a denoiser on triplets, and grow pictures out of static with it.

    python -m models.denoiser OUT --out OUT/runs/denoiser                 75 seconds of training
    python -m models.denoiser OUT --out RUN --num-steps 20000 --target noise
    python -m models.denoiser generate RUN --count 8 --seed 0 --out trees.png

OUT is what a build wrote, its `triplets` folder, or one dataset in it. Run again, an interrupted training goes on.
"""

import dataclasses
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.baselines import mean_picture
from models.curves import draw_losses
from models.denoising import TARGETS, Denoiser, DenoiserShape, squared_error
from models.device_noise import choose_noise
from models.devices import choose_device, choose_precision
from models.gaussian import fit_gaussian
from models.growing import generate, generate_main, load_denoiser
from models.picture_losses import compare, mean_loss, print_comparison
from models.pixels import to_values
from models.runs import (
    Budget,
    Interruption,
    RunError,
    RunFolder,
    configuration,
    exit_status,
    learning_rate,
    num_parameters,
    refuse_divergence,
)
from models.settings import parse_settings, refuse_below
from models.threads import Threads
from shards import open_dataset
from shards.committed import stage_folder
from shards.dataset import TripletDataset

__all__ = ["Settings", "generate", "generate_main", "load_denoiser", "main", "train"]

JUDGED_TOGETHER = 64
"""Triplets per batch where nothing is trained: surveying and judging."""

NUM_PICTURES_SURVEYED = 512
"""Training pictures from which mean and principal directions are taken; their Gram matrix takes a second."""


@dataclass(frozen=True)
class Settings:
    """What `python -m models.denoiser` takes."""

    dataset: Annotated[str, "what a build wrote, its triplets folder, or a dataset in it; a folder or a URL"]
    out: Annotated[Path, "folder of this run"] = Path("runs/denoiser")
    seconds: Annotated[float, "seconds to train"] = 75.0
    num_steps: Annotated[int, "optimiser steps to train instead; 0 goes by the clock"] = 0
    target: Annotated[str, "what to predict: clean or noise"] = "clean"
    batch_size: Annotated[int, "triplets per step"] = 32
    learning_rate: Annotated[float, "highest learning rate"] = 2e-3
    warmup_steps: Annotated[int, "steps over which the learning rate rises"] = 50
    weight_decay: Annotated[float, "of AdamW"] = 0.01
    width: Annotated[int, "channels of the finest scale; the next have twice, three times, … as many"] = 64
    num_scales: Annotated[int, "scales of the U-Net, each of half the side"] = 2
    num_blocks: Annotated[int, "residual blocks per scale, down and up each"] = 1
    patch: Annotated[int, "side of the patches that the finest scale works on"] = 2
    num_directions: Annotated[int, "principal directions of the pictures that the first step of growing knows"] = 128
    fresh_noise: Annotated[bool, "take new static every epoch; else what is stored, again and again"] = True
    flip: Annotated[bool, "mirror every second picture"] = True
    seed: Annotated[int, "of order, start and mirroring"] = 0
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"
    precision: Annotated[str, "float32, bfloat16, or auto: bfloat16 where the device has it"] = "auto"
    report_steps: Annotated[int, "steps between two lines of progress"] = 100
    num_validations: Annotated[int, "times to look at pictures held out, evenly over the training"] = 10
    checkpoint_s: Annotated[float, "seconds between two checkpoints"] = 20.0

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ValueError(f"--target {self.target}: must be one of {', '.join(TARGETS)}")
        refuse_below(1, self, ("batch_size", "width", "num_scales", "num_blocks", "patch", "report_steps"))
        refuse_below(0, self, ("num_steps", "num_directions", "num_validations", "seed"))
        if self.seconds <= 0:
            raise ValueError(f"--seconds {self.seconds}: must be above 0")


def main(argv: Sequence[str] | None = None) -> int:
    """Train, or generate where the first argument says so; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["generate"]:
        return generate_main(argv[1:])
    settings = parse_settings(Settings, argv, "python -m models.denoiser", __doc__.splitlines()[0])
    return exit_status(lambda: _train_once(settings))


def _train_once(settings: Settings) -> None:
    run = RunFolder(settings.out)
    dataset = open_triplets(settings.dataset, "train")
    goes_on = run.start(configuration("denoiser", dataclasses.asdict(settings), dataset))
    results = run.results() if goes_on else None
    if results is None:
        with Interruption() as interruption:
            results = train(settings, run, dataset, goes_on, interruption)
    print_comparison(results)
    print(f"{run.path}: the run; python -m models.denoiser generate {run.path} grows pictures", flush=True)


def train(  # noqa: PLR0915
    settings: Settings, run: RunFolder, dataset: TripletDataset, goes_on: bool, interruption: Interruption
) -> dict[str, Any]:
    """Train until the budget is used up, leave checkpoint, results and curves in the run's folder; return the results.

    Args:
        settings: of the run.
        run: its folder, started.
        dataset: training triplets.
        goes_on: whether to start from the folder's checkpoint.
        interruption: asked between two steps; the run is saved first.

    Raises:
        RunError: the folder cannot be written.
        KeyboardInterrupt: somebody asked.
    """
    # Chance: the same seed gives the same losses on a CPU.
    torch.manual_seed(settings.seed)
    device = choose_device(settings.device)

    # Data
    held_out = _held_out(settings.dataset, dataset)
    pictures = survey(dataset)
    kind_of_noise: Literal["fresh", "stored"] = "fresh" if settings.fresh_noise else "stored"
    fields, to_device = choose_noise(dataset, kind_of_noise, device)
    loader = dataset.loader(settings.batch_size, seed=settings.seed, noise=kind_of_noise, fields=fields)

    # Model
    model = build_denoiser(settings, dataset, to_values(pictures)).to(device)
    model.precision = choose_precision(settings.precision, device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay
    )
    print(f"denoiser of {num_parameters(model):,} parameters on {device} in {model.precision}", flush=True)

    # Going on from a checkpoint, or beginning
    budget = Budget(settings.seconds, settings.num_steps)
    if goes_on:
        state = run.load()
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        loader.load_state_dict(state["loader"])
        torch.set_rng_state(state["chance"])
        budget = Budget(settings.seconds, settings.num_steps, state["step"], state["spent_s"])
        run.forget_after(budget.step)
        print(f"goes on from step {budget.step}", flush=True)

    def save() -> None:
        run.save(
            {
                "denoiser_shape": dataclasses.asdict(model.shape),
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "loader": loader.state_dict(),
                "chance": torch.get_rng_state(),
                "step": budget.step,
                "spent_s": budget.elapsed_s(),
            }
        )

    # Loop
    batches = iter(loader)
    threads = Threads() if device.type == "cpu" and not settings.num_steps else None
    losses: list[float] = []
    validations = int(budget.fraction() * settings.num_validations)
    saved_at = time.monotonic()
    while budget.fraction() < 1:
        # One step down the gradient of the squared error
        clean, noise, noisy, step = to_device(next(batches))
        if settings.flip:
            is_flipped = torch.rand(len(step))[:, None, None, None].to(device) < 0.5
            clean, noise, noisy = (torch.where(is_flipped, x.flip(-1), x) for x in (clean, noise, noisy))
        rate = learning_rate(budget.fraction(), budget.step, settings.learning_rate, settings.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = squared_error(model, clean, noise, noisy, step).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        budget.step += 1
        losses.append(loss.item())
        refuse_divergence(losses[-1], budget.step)
        if threads:
            threads.next_step()

        # Progress
        if budget.step % settings.report_steps == 0:
            run.report({"step": budget.step, "seconds": round(budget.elapsed_s(), 3), "train": float(np.mean(losses))})
            speed = budget.step * settings.batch_size / budget.elapsed_s()
            print(
                f"step {budget.step:6d}  loss {np.mean(losses):.4f}  {budget.fraction():4.0%}  {speed:.0f} triplets/s",
                flush=True,
            )
            losses.clear()

        # Pictures held out
        if int(budget.fraction() * settings.num_validations) > validations:
            validations = int(budget.fraction() * settings.num_validations)
            held_out_loss = mean_loss(model, held_out, JUDGED_TOGETHER, device)
            run.report({"step": budget.step, "held_out": held_out_loss})

        # Checkpoint
        if interruption.asked or time.monotonic() - saved_at > settings.checkpoint_s:
            save()
            saved_at = time.monotonic()
            interruption.stop_if_asked()

    # What came out
    save()
    results = {
        **compare(model, held_out, mean_picture([pictures]), JUDGED_TOGETHER, device),
        "model": "denoiser",
        "target": settings.target,
        "train_steps": budget.step,
        "seconds": round(budget.elapsed_s(), 1),
        "num_parameters": num_parameters(model),
    }
    draw_losses(run, f"Denoiser told to predict {settings.target}", "squared error", {})
    run.finish(results)
    return results


def survey(dataset: TripletDataset) -> NDArray[np.uint8]:
    """Return up to `NUM_PICTURES_SURVEYED` training pictures, uint8 (N, S, S, C), each once."""
    found: dict[str, NDArray[np.uint8]] = {}
    for batch in dataset.loader(JUDGED_TOGETHER, finite=True, fields=("clean", "key")):
        for key, clean in zip(batch["key"][batch["valid"]], batch["clean"][batch["valid"]], strict=True):
            found.setdefault(str(key).partition("-")[0], clean)
        if len(found) >= NUM_PICTURES_SURVEYED:
            break
    return np.stack([found[key] for key in sorted(found)[:NUM_PICTURES_SURVEYED]])


def build_denoiser(settings: Settings, dataset: TripletDataset, pictures: Tensor) -> Denoiser:
    """Return an untrained denoiser for these triplets that knows the pictures (N, C, S, S) as a Gaussian."""
    mirrored = torch.cat([pictures, pictures.flip(-1)]) if settings.flip else pictures
    gaussian = fit_gaussian(mirrored, settings.num_directions)
    spec = dataset.spec
    model = Denoiser(
        DenoiserShape(
            size=spec.size,
            channels=spec.channels,
            a=tuple(spec.factors[0].tolist()),
            b=tuple(spec.factors[1].tolist()),
            target=settings.target,
            width=settings.width,
            num_scales=settings.num_scales,
            num_blocks=settings.num_blocks,
            patch=settings.patch,
            num_directions=len(gaussian.variances),
        )
    )
    model.know(gaussian)
    return model


def open_triplets(path: str | Path, split: str) -> TripletDataset:
    """Return a split of the triplets in `path`: what a build wrote, its triplets folder, or a dataset in it.

    Raises:
        DatasetError: it has no such split.
        RunError: it holds no triplets.
    """
    dataset = open_dataset(stage_folder(path, "triplets"), split)
    if not isinstance(dataset, TripletDataset):
        raise RunError(f"{path}: holds no triplets; give a dataset of triplets")
    if dataset.spec.corruption != "gaussian":
        raise RunError(f"{path}: its corruption is {dataset.spec.corruption}; this denoiser learns gaussian noise only")
    return dataset


def _held_out(path: str, dataset: TripletDataset) -> TripletDataset:
    if dataset.manifest.splits.get("val"):
        return open_triplets(path, "val")
    print("no pictures are held out (no split val): errors are measured on the training pictures", flush=True)
    return dataset


if __name__ == "__main__":
    sys.exit(main())
