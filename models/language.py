"""Train a language model on windows of words, and write text with it.

    python -m models.language OUT --out OUT/runs/language                 75 seconds of training
    python -m models.language OUT --out RUN --num-steps 20000 --width 256
    python -m models.language generate RUN --prompt "the old oak" --words 100

OUT is what a build wrote, its `windows` folder, or one dataset in it. Run again, an interrupted training goes on.
"""

import copy
import dataclasses
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import nn

from models.baselines import WordCounts, count_words, unigram
from models.budget import Budget, learning_rate
from models.curves import draw_losses
from models.devices import choose_device, choose_precision
from models.gpt import GPT, GPTShape
from models.meter import refuse_divergence
from models.runs import Interruption, RunError, RunFolder, configuration, exit_status, num_parameters
from models.settings import parse_settings, refuse_below
from models.threads import Threads
from models.word_losses import compare, cross_entropy, mean_loss, print_comparison
from models.writing import generate, generate_main, load_writer
from shards import open_dataset
from shards.committed import stage_folder
from shards.dataset import WindowDataset
from shards.loader import Batch, Loader
from shards.tokens import Tokenizer

__all__ = ["Settings", "generate", "generate_main", "load_writer", "main", "train"]

JUDGED_TOGETHER = 64
"""Windows per batch where nothing is trained: counting and judging."""

MAX_COUNTED_BATCHES = 2_000
"""Batches of training windows that counts of words and pairs are taken from, lest a large dataset is read twice."""


@dataclass(frozen=True)
class Settings:
    """What `python -m models.language` takes."""

    dataset: Annotated[str, "what a build wrote, its windows folder, or a dataset in it; a folder or a URL"]
    out: Annotated[Path, "folder of this run"] = Path("runs/language")
    seconds: Annotated[float, "seconds to train"] = 75.0
    num_steps: Annotated[int, "optimiser steps to train instead; 0 goes by the clock"] = 0
    batch_size: Annotated[int, "windows per step"] = 4
    learning_rate: Annotated[float, "highest learning rate"] = 2e-3
    warmup_steps: Annotated[int, "steps over which the learning rate rises"] = 50
    weight_decay: Annotated[float, "of AdamW, on matrices"] = 0.1
    dropout: Annotated[float, "share of activations dropped"] = 0.1
    width: Annotated[int, "channels per word"] = 128
    num_layers: Annotated[int, "blocks of attention and feed-forward"] = 3
    num_heads: Annotated[int, "attention heads per block"] = 4
    seed: Annotated[int, "of order, start and dropout"] = 0
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"
    precision: Annotated[str, "float32, bfloat16, or auto: bfloat16 where the device has it"] = "auto"
    report_steps: Annotated[int, "steps between two lines of progress"] = 200
    num_validations: Annotated[int, "times to look at text held out, evenly over the training; the best is kept"] = 15
    checkpoint_s: Annotated[float, "seconds between two checkpoints"] = 20.0

    def __post_init__(self) -> None:
        refuse_below(1, self, ("batch_size", "width", "num_layers", "num_heads", "report_steps"))
        refuse_below(0, self, ("num_steps", "num_validations", "seed"))
        if self.width % (2 * self.num_heads):
            raise ValueError(f"--width {self.width}: must be a multiple of twice --num-heads {self.num_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"--dropout {self.dropout}: must be at least 0 and below 1")
        if self.seconds <= 0:
            raise ValueError(f"--seconds {self.seconds}: must be above 0")


def main(argv: Sequence[str] | None = None) -> int:
    """Train, or generate where the first argument says so; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["generate"]:
        return generate_main(argv[1:])
    settings = parse_settings(Settings, argv, "python -m models.language", __doc__.splitlines()[0])
    return exit_status(lambda: _train_once(settings))


def _train_once(settings: Settings) -> None:
    run = RunFolder(settings.out)
    dataset = open_windows(settings.dataset, "train")
    goes_on = run.start(configuration("language", dataclasses.asdict(settings), dataset))
    results = run.results() if goes_on else None
    if results is None:
        with Interruption() as interruption:
            results = train(settings, run, dataset, goes_on, interruption)
    print_comparison(results)
    print(f'{run.path}: the run; python -m models.language generate {run.path} --prompt "…" writes', flush=True)


@dataclass
class Training:
    """Everything that changes while a language model is trained; a checkpoint holds it all.

    Attributes:
        model: what the gradient moves.
        tokenizer: of the windows.
        optimizer: of the model.
        loader: of the training windows.
        budget: how much is done.
        best: weights of the least loss on text held out so far.
        best_loss: that loss, in nats per word.
    """

    model: GPT
    tokenizer: Tokenizer
    optimizer: torch.optim.Optimizer
    loader: Loader
    budget: Budget
    best: dict[str, Any]
    best_loss: float = float("inf")

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {
            "gpt_shape": dataclasses.asdict(self.model.shape),
            "tokenizer": self.tokenizer.to_json(),
            "tokenizer_sha256": self.tokenizer.sha256(),
            "best": self.best,
            "best_loss": self.best_loss,
            **{name: getattr(self, name).state_dict() for name in ("model", "optimizer", "loader")},
            "chance": torch.get_rng_state(),
            "step": self.budget.step,
            "spent_s": self.budget.elapsed_s(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        for name in ("model", "optimizer", "loader"):
            getattr(self, name).load_state_dict(state[name])
        torch.set_rng_state(state["chance"])
        self.best, self.best_loss = state["best"], state["best_loss"]
        self.budget = Budget(self.budget.seconds, self.budget.num_steps, state["step"], state["spent_s"])


def train(
    settings: Settings, run: RunFolder, dataset: WindowDataset, goes_on: bool, interruption: Interruption
) -> dict[str, Any]:
    """Train until the budget is used up, leave checkpoint, results and curves in the run's folder; return the results.

    Args:
        settings: of the run.
        run: its folder, started.
        dataset: training windows.
        goes_on: whether to start from the folder's checkpoint.
        interruption: asked between two steps; the run is saved first.

    Raises:
        RunError: the folder cannot be written.
        KeyboardInterrupt: somebody asked.
    """
    # Chance, data, model: the same seed gives the same losses on a CPU.
    torch.manual_seed(settings.seed)
    device = choose_device(settings.device)
    counts = count_training_words(dataset)
    validation = _held_out(settings.dataset, dataset, ("val",))
    precision = choose_precision(settings.precision, device)
    training = prepare(settings, dataset, counts, device)
    told = f"{num_parameters(training.model):,} parameters on {device} in {precision}"
    print(f"language model of {told}, {training.tokenizer.vocab_size} words", flush=True)
    if goes_on:
        training.load(run.load())
        run.forget_after(training.budget.step)
        print(f"goes on from step {training.budget.step}", flush=True)
    budget, batches = training.budget, iter(training.loader)
    threads = Threads() if device.type == "cpu" and not settings.num_steps else None
    validations, saved_at = int(budget.fraction() * settings.num_validations), time.monotonic()
    losses: list[float] = []

    # Loop
    while budget.fraction() < 1:
        # One step down the gradient of the cross-entropy
        losses.append(descend(training, next(batches), settings, device, precision))
        refuse_divergence(losses[-1], budget.step)
        if threads:
            threads.next_step()

        # Progress
        if budget.step % settings.report_steps == 0:
            _report(run, settings, dataset, budget, float(np.mean(losses)))
            losses.clear()

        # Text held out: the best model so far is kept, since a small corpus is soon known by heart
        if int(budget.fraction() * settings.num_validations) > validations or budget.fraction() >= 1:
            validations = int(budget.fraction() * settings.num_validations)
            run.report({"step": budget.step, "held_out": keep_best(training, validation, device)})

        # Checkpoint
        if interruption.asked or time.monotonic() - saved_at > settings.checkpoint_s:
            run.save(training.state())
            saved_at = time.monotonic()
            interruption.stop_if_asked()

    # What came out, on text that chose nothing where there is some
    run.save(training.state())
    training.model.load_state_dict(training.best)
    judge = _held_out(settings.dataset, dataset, ("test", "val"))
    comparison = compare(training.model, judge, counts, JUDGED_TOGETHER, device)
    results = {
        **comparison,
        "model": "language",
        "train_steps": budget.step,
        "seconds": round(budget.elapsed_s(), 1),
        "num_parameters": num_parameters(training.model),
    }
    beaten = {name: comparison["losses"][name] for name in ("unigram", "bigram")}
    draw_losses(run, "Language model", "cross-entropy, nats per word", beaten)
    run.finish(results)
    return results


def keep_best(training: Training, validation: WindowDataset, device: torch.device) -> float:
    """Keep the weights if they are the best so far on text held out; return their loss there, in nats per word."""
    loss = mean_loss(training.model, validation, JUDGED_TOGETHER, device)
    if loss < training.best_loss:
        training.best, training.best_loss = copy.deepcopy(training.model.state_dict()), loss
    return loss


def prepare(settings: Settings, dataset: WindowDataset, counts: WordCounts, device: torch.device) -> Training:
    """Return a training that has not begun; its model guesses words as often as they were counted."""
    tokenizer = dataset.tokenizer
    shape = GPTShape(
        num_words=tokenizer.vocab_size,
        context=dataset.spec.context,
        width=settings.width,
        num_layers=settings.num_layers,
        num_heads=settings.num_heads,
        dropout=settings.dropout,
    )
    loader = dataset.loader(settings.batch_size, seed=settings.seed, fields=("tokens", "mask"))
    model = GPT(shape, torch.from_numpy(unigram(counts)).log().float()).to(device)
    budget = Budget(settings.seconds, settings.num_steps)
    best = copy.deepcopy(model.state_dict())
    return Training(model, tokenizer, _optimizer(model, settings), loader, budget, best)


def descend(
    training: Training, batch: Batch, settings: Settings, device: torch.device, precision: torch.dtype
) -> float:
    """Take one step down the gradient of the cross-entropy; return the loss before it, in nats per word."""
    model, optimizer, budget = training.model.train(), training.optimizer, training.budget
    rate = learning_rate(budget.fraction(), budget.step, settings.learning_rate, settings.warmup_steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = cross_entropy(model, batch, device, precision).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()
    budget.step += 1
    return loss.item()


def count_training_words(dataset: WindowDataset) -> WordCounts:
    """Return the counts of next words and their pairs in training windows, `MAX_COUNTED_BATCHES` batches at most."""
    loader = dataset.loader(JUDGED_TOGETHER, finite=True, shuffle=False, fields=("tokens", "mask"))
    batches = ((batch["tokens"], batch["mask"] & batch["valid"][:, None]) for batch in loader)
    return count_words(itertools.islice(batches, MAX_COUNTED_BATCHES), dataset.tokenizer.vocab_size)


def open_windows(path: str | Path, split: str) -> WindowDataset:
    """Return a split of the windows in `path`: what a build wrote, its windows folder, or a dataset in it.

    Raises:
        DatasetError: it has no such split.
        RunError: it holds no windows, or its tokenizer is not the one its windows were made with.
    """
    dataset = open_dataset(stage_folder(path, "windows"), split)
    if not isinstance(dataset, WindowDataset):
        raise RunError(f"{path}: holds no windows; give a dataset of windows")
    made_with = dataset[0]["meta"]["tokenizer_sha256"]
    if dataset.tokenizer.sha256() != made_with:
        raise RunError(f"{dataset.where}: its tokenizer is not the one its windows were made with ({made_with})")
    return dataset


def _held_out(path: str, dataset: WindowDataset, splits: Sequence[str]) -> WindowDataset:
    """Return the first of the splits that has windows, or the training windows, saying so, where none has."""
    for split in splits:
        if dataset.manifest.splits.get(split):
            return open_windows(path, split)
    missing = " or ".join(splits)
    print(f"no text is held out (no split {missing}): losses are measured on the training text", flush=True)
    return dataset


def _report(run: RunFolder, settings: Settings, dataset: WindowDataset, budget: Budget, loss: float) -> None:
    run.report({"step": budget.step, "seconds": round(budget.elapsed_s(), 3), "train": loss})
    speed = budget.step * settings.batch_size * dataset.spec.context / budget.elapsed_s()
    print(f"step {budget.step:6d}  loss {loss:.4f}  {budget.fraction():4.0%}  {speed:.0f} words/s", flush=True)


def _optimizer(model: GPT, settings: Settings) -> torch.optim.Optimizer:
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    others = [parameter for parameter in model.parameters() if parameter.dim() != 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95))


if __name__ == "__main__":
    sys.exit(main())
