"""Train a denoiser on triplets, and grow pictures out of static with it.

    python -m models.denoiser OUT --out OUT/runs/denoiser                 75 seconds of training
    python -m models.denoiser OUT --out RUN --num-steps 20000 --target noise
    torchrun --nproc-per-node 8 -m models.denoiser OUT --out RUN …        the same on eight GPUs
    python -m models.denoiser generate RUN --count 8 --seed 0 --out trees.png

OUT is what a build wrote, its `triplets` folder, or one dataset in it. Run again, an interrupted training goes on.

Take a picture x, mix static n into it, y = a x + b n, and ask a network which is which. It is told how noisy y is and
predicts a target t that is some mixture of the two, t = α x + β n: the picture, the noise, the picture one step
cleaner, or v (see `models.denoising`). One of them tells the other: with the noise known, x = (y − b n) / a.

What is a good guess t̂(y)? Suppose that, given y, the target is spread about it like a Gaussian of some width τ, its D
values independently. Then the likelihood of the t that was seen, and its negative logarithm, are

    p(t | y) = (2πτ²)^(−D/2) exp(−|t − t̂(y)|² / 2τ²)        −log p(t | y) = |t − t̂(y)|² / 2τ² + D/2 log 2πτ²

The last term knows nothing of the network, and 1/2τ² only scales: the most likely network is the one of least squared
error, and that is what is minimised. No Gaussian is needed for what it then finds: over all t that lead to one y,

    E|t − t̂|² = E|t − E[t | y]|² + |E[t | y] − t̂|²

so that the least error is at t̂(y) = E[t | y], the mean of all that y could have been. Far up the ladder it is a blur;
so a picture is grown in steps, each of which believes the network only a little way (see `models.solvers`).

Source: Bishop 2006, "Pattern Recognition and Machine Learning", sections 1.2.5 and 1.5.5; Vincent et al. 2008,
"Extracting and composing robust features with denoising autoencoders"; Ho et al. 2020 (arXiv:2006.11239).
"""

import copy
import dataclasses
import functools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from models.averaging import take_in
from models.baselines import mean_picture
from models.budget import Budget
from models.curves import draw_losses
from models.denoising import TARGETS, Denoiser, DenoiserShape, squared_error
from models.devices import choose_precision
from models.gaussian import fit_gaussian
from models.generation import generate, generate_main, load_denoiser
from models.levels import ladder_shares
from models.meter import Meter
from models.noising import Chance, Noising, Triplets, choose_table
from models.picture_losses import compare, mean_loss, print_comparison
from models.pixels import to_values
from models.ranks import Ranks
from models.runs import Interruption, RunError, RunFolder, configuration, exit_status, num_parameters
from models.settings import parse_settings, refuse_below
from models.threads import Threads
from models.training import run_once, step_down
from models.training_pictures import JUDGED_TOGETHER, held_out_of, open_triplets, survey
from models.utilisation import device_utilisation
from shards.corruption import CORRUPTIONS
from shards.dataset import TripletDataset
from shards.loader import Loader

__all__ = ["Settings", "generate", "generate_main", "load_denoiser", "main", "train", "train_once"]

LEVELS = ("auto", "ladder", "between", "last")


@dataclass(frozen=True)
class Settings:
    """What `python -m models.denoiser` takes."""

    dataset: Annotated[str, "what a build wrote, its triplets folder, or a dataset in it; a folder or a URL"]
    out: Annotated[Path, "folder of this run"] = Path("runs/denoiser")
    seconds: Annotated[float, "seconds to train"] = 75.0
    num_steps: Annotated[int, "optimiser steps to train instead; 0 goes by the clock"] = 0
    target: Annotated[str, "what to predict: clean, noise, previous (the picture one step cleaner) or v"] = "v"
    levels: Annotated[str, "to learn: ladder (its steps), last (that one), between; auto: between, of static"] = "auto"
    corruption: Annotated[str, "gaussian, sparse or whiteout, whatever is stored; none given: as stored"] = ""
    told: Annotated[bool, "tell the network the step; else it sees the picture alone, and --target is clean"] = True
    batch_size: Annotated[int, "triplets per step, of all processes together"] = 32
    learning_rate: Annotated[float, "highest learning rate"] = 2e-3
    warmup_steps: Annotated[int, "steps over which the learning rate rises"] = 50
    weight_decay: Annotated[float, "of AdamW"] = 0.01
    max_gradient: Annotated[float, "length that gradients are clipped to"] = 1.0
    width: Annotated[int, "channels of the finest scale; the next have twice, three times, … as many"] = 64
    num_scales: Annotated[int, "scales of the U-Net, each of half the side"] = 2
    num_blocks: Annotated[int, "residual blocks per scale, down and up each"] = 1
    patch: Annotated[int, "side of the patches that the finest scale works on"] = 2
    num_directions: Annotated[int, "principal directions of the pictures that the first step of growing knows"] = 128
    captions: Annotated[bool, "tell the captions too, so that one can ask for pictures by them"] = False
    fresh_noise: Annotated[bool, "take new static every epoch; else what is stored, again and again"] = True
    flip: Annotated[bool, "mirror every second picture"] = True
    seed: Annotated[int, "of order, start, levels and mirroring"] = 0
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"
    precision: Annotated[str, "float32, bfloat16, or auto: bfloat16 where the device has it"] = "auto"
    compile: Annotated[bool, "compile the U-Net first: minutes, and then faster steps on a GPU"] = False
    workers: Annotated[int, "threads that read ahead"] = 1
    report_steps: Annotated[int, "steps between two lines of progress"] = 100
    num_validations: Annotated[int, "times to look at pictures held out, evenly over the training"] = 10
    checkpoint_s: Annotated[float, "seconds between two checkpoints"] = 20.0

    def __post_init__(self) -> None:
        for name, known in (("target", TARGETS), ("levels", LEVELS), ("corruption", ("", *CORRUPTIONS))):
            if getattr(self, name) not in known:
                raise ValueError(f"--{name} {getattr(self, name)}: must be one of {', '.join(filter(None, known))}")
        if not self.told and self.target != "clean":
            raise ValueError(f"--no-told --target {self.target}: only clean is the same at every step")
        refuse_below(1, self, ("batch_size", "width", "num_scales", "num_blocks", "patch", "report_steps"))
        refuse_below(0, self, ("num_steps", "num_directions", "num_validations", "seed", "workers", "weight_decay"))
        for name in ("seconds", "max_gradient"):
            if getattr(self, name) <= 0:
                raise ValueError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be above 0")


def main(argv: Sequence[str] | None = None) -> int:
    """Train, or generate where the first argument says so; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["generate"]:
        return generate_main(argv[1:])
    settings = parse_settings(Settings, argv, "python -m models.denoiser", __doc__.splitlines()[0])
    return exit_status(lambda: train_once(settings))


def train_once(settings: Settings) -> None:
    """Train, unless the run is done, and print what came out; raises what `run_once` and opening the dataset do."""
    run = RunFolder(settings.out)
    dataset = open_triplets(settings.dataset, "train", settings.corruption)
    config = configuration("denoiser", dataclasses.asdict(settings), dataset)
    results = run_once(settings, run, config, functools.partial(train, settings, run, dataset))
    if results is not None:
        print_comparison(results)
        print(f"{run.path}: the run; python -m models.denoiser generate {run.path} grows pictures", flush=True)


@dataclass
class Training:
    """Everything that changes while a denoiser is trained; a checkpoint holds it all.

    Attributes:
        model: what the gradient moves.
        average: of the weights so far: what is judged, and what pictures are grown with.
        optimizer: of the model.
        loader: of the training triplets.
        budget: how much is done.
        losses: since the last report.
    """

    model: Denoiser
    average: Denoiser
    optimizer: torch.optim.Optimizer
    loader: Loader
    budget: Budget
    losses: Sequence[float] = ()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        parts = {name: getattr(self, name).state_dict() for name in ("model", "average", "optimizer", "loader")}
        done = {"step": self.budget.step, "spent_s": self.budget.elapsed_s(), "losses": list(self.losses)}
        return {"denoiser_shape": dataclasses.asdict(self.model.shape), **parts, **done}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        for name in ("model", "average", "optimizer", "loader"):
            getattr(self, name).load_state_dict(state[name])
        self.budget = Budget(self.budget.seconds, self.budget.num_steps, state["step"], state["spent_s"])
        self.losses = state["losses"]


def train(
    settings: Settings, run: RunFolder, dataset: TripletDataset, goes_on: bool, ranks: Ranks, interruption: Interruption
) -> dict[str, Any]:
    """Train until the budget is used up, leave checkpoints, results and curves in the run's folder; return the results.

    Args:
        settings: of the run.
        run: its folder, started.
        dataset: training triplets.
        goes_on: whether to start from the folder's checkpoint.
        ranks: the processes that train together.
        interruption: asked between two steps; the run is saved first.

    Raises:
        RunError: the folder cannot be written, or a loss is no number.
        KeyboardInterrupt: somebody asked.
    """
    # Data and model: the same seed gives the same start, and on a CPU the same losses.
    held_out = held_out_of(settings.dataset, dataset)
    pictures = survey(dataset)
    torch.manual_seed(settings.seed)
    training, noising = prepare(settings, dataset, to_values(pictures), ranks)
    if goes_on:
        training.load(run.load())
        if ranks.is_first:
            run.forget_after(training.budget.step)
            print(f"goes on from step {training.budget.step}", flush=True)
    budget, meter = training.budget, Meter(ranks, training.losses)
    threads = Threads() if ranks.device.type == "cpu" and not settings.num_steps else None
    validations = int(budget.fraction() * settings.num_validations)
    saved_at = time.monotonic()

    # Loop
    batches = meter.waiting(iter(training.loader))
    fraction, is_asked = ranks.from_first((budget.fraction(), False))
    while fraction < 1:
        # One step down the gradient of the squared error
        batch = next(batches)
        triplets = noising(batch, budget.step, ranks.rank, ranks.size)
        loss, gradient = descend(training, triplets, fraction, settings, ranks)
        meter.step(loss, gradient, budget.step, batch["key"].tolist())
        if threads:
            threads.next_step()
        fraction, is_asked = ranks.from_first((budget.fraction(), interruption.asked))

        # Progress
        if budget.step % settings.report_steps == 0:
            _report(run, ranks, training, fraction, meter.report())

        # Pictures held out
        if int(fraction * settings.num_validations) > validations and ranks.is_first:
            validations = int(fraction * settings.num_validations)
            run.report({"step": budget.step, "held_out": mean_loss(training.average, held_out, JUDGED_TOGETHER)})

        # Checkpoint
        if is_asked or fraction >= 1 or time.monotonic() - saved_at > settings.checkpoint_s:
            training.losses = meter.settle()
            saved_at = time.monotonic()
            if ranks.is_first:
                run.save(training.state())
        if is_asked:
            raise KeyboardInterrupt

    # What came out
    if not ranks.is_first:
        return {}
    results = {
        **compare(training.average, held_out, mean_picture([pictures]), JUDGED_TOGETHER),
        "model": "denoiser",
        "target": settings.target,
        "train_steps": budget.step,
        "seconds": round(budget.elapsed_s(), 3),
        "num_parameters": num_parameters(training.model),
    }
    draw_losses(run, f"Denoiser told to predict {settings.target}", "squared error; held out at the ladder's steps", {})
    run.finish(results)
    return results


def descend(
    training: Training, triplets: Triplets, fraction: float, settings: Settings, ranks: Ranks
) -> tuple[Tensor, Tensor]:
    """Take one step down the gradient of the squared error; return the loss before it and the gradient's length, ()."""
    model = training.model
    loss = squared_error(model, *triplets).mean()
    length = step_down(loss, model, training.optimizer, training.budget, fraction, settings, ranks)
    take_in(training.average, model, training.budget.step)
    return loss, length


def prepare(settings: Settings, dataset: TripletDataset, pictures: Tensor, ranks: Ranks) -> tuple[Training, Noising]:
    """Return a training that has not begun, and what makes tensors of its batches.

    Args:
        settings: of the run.
        dataset: training triplets.
        pictures: some of them, (N, C, S, S).
        ranks: the processes that train together.
    """
    model = build_denoiser(settings, dataset, pictures).to(ranks.device)
    model.precision = choose_precision(settings.precision, ranks.device)
    average = copy.deepcopy(model)
    if settings.compile:
        model.unet.compile()
    is_cuda = ranks.device.type == "cuda"
    optimizer = torch.optim.AdamW(
        model.parameters(), betas=(0.9, 0.99), weight_decay=settings.weight_decay, fused=is_cuda
    )
    noise: Literal["fresh", "stored"] = "fresh" if settings.fresh_noise else "stored"
    chance = Chance(settings.seed, settings.flip)
    table = choose_table(dataset, noise, ranks.device)
    noising = Noising(dataset.spec, ranks.device, table, model.shape, float(model.spread), chance)
    loader = dataset.loader(
        ranks.share_of(settings.batch_size),
        seed=settings.seed,
        rank=ranks.rank,
        world_size=ranks.size,
        workers=settings.workers,
        noise=noise,
        fields=noising.fields,
    )
    if ranks.is_first:
        print(f"denoiser of {num_parameters(model):,} parameters on {ranks.device} in {model.precision}", flush=True)
    return Training(model, average, optimizer, loader, Budget(settings.seconds, settings.num_steps)), noising


def build_denoiser(settings: Settings, dataset: TripletDataset, pictures: Tensor) -> Denoiser:
    """Return an untrained denoiser for these triplets that knows the pictures (N, C, S, S) as a Gaussian.

    Raises:
        RunError: the triplets are not noised so that this target, or levels between, could be learned.
    """
    spec = dataset.spec
    is_static = spec.corruption == "gaussian"
    if not is_static and (settings.levels in ("between", "last") or settings.target == "previous"):
        asked = f"--target {settings.target} --levels {settings.levels}"
        raise RunError(f"{asked}: with {spec.corruption} pixels, give --levels ladder and --target clean, noise or v")
    mirrored = torch.cat([pictures, pictures.flip(-1)]) if settings.flip else pictures
    gaussian = fit_gaussian(mirrored, settings.num_directions)
    a, b = ladder_shares(spec)
    model = Denoiser(
        DenoiserShape(
            size=spec.size,
            channels=spec.channels,
            a=tuple(a.tolist()),
            b=tuple(b.tolist()),
            target=settings.target,
            width=settings.width,
            num_scales=settings.num_scales,
            num_blocks=settings.num_blocks,
            patch=settings.patch,
            num_directions=len(gaussian.variances),
            corruption=spec.corruption,
            is_between=is_static and settings.levels in ("auto", "between"),
            has_words=settings.captions,
            is_last=settings.levels == "last",
            is_told=settings.told,
        )
    )
    model.know(gaussian)
    return model


def _report(run: RunFolder, ranks: Ranks, training: Training, fraction: float, measured: dict[str, float]) -> None:
    if not ranks.is_first:
        return
    budget, model = training.budget, training.average  # which is the same network, and not compiled
    used = model.flops_per_picture * measured["samples_per_s"] / ranks.size
    mfu = device_utilisation(used, ranks.device, training.model.precision)
    run.report({"step": budget.step, "seconds": round(budget.elapsed_s(), 3), **measured, **mfu})
    told = f"loss {measured['train']:.4f}  {fraction:4.0%}  {measured['samples_per_s']:.0f} triplets/s"
    told += "".join(f"  {share:.1%} MFU" for share in mfu.values())
    print(f"step {budget.step:6d}  {told}  {measured['data_wait']:.1%} waiting for data", flush=True)


if __name__ == "__main__":
    sys.exit(main())
