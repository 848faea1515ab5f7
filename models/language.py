"""Train a language model on windows of words, and write text with it.

    python -m models.language OUT --out OUT/runs/language                 75 seconds of training
    python -m models.language OUT --out RUN --num-steps 20000 --width 256
    python -m models.language OUT --out RUN --model attention             attention with a state; or no-attention
    torchrun --nproc-per-node 8 -m models.language OUT --out RUN …        the same on eight GPUs
    python -m models.language generate RUN --prompt "the old oak" --words 100 --show 5 --attention attention.png

OUT is what a build wrote, its `windows` folder, or one dataset in it. Run again, an interrupted training goes on.

A text w₁ w₂ … has the probability p(w₁) p(w₂ | w₁) p(w₃ | w₁ w₂) …, whatever it is: that is no model yet. The network
is one once it looks at the last T words only, and its parameters are those that make the training text most probable.
The negative logarithm turns the product into a sum, the cross-entropy, of which the mean for each word is minimised:

    L = −(1/N) Σ_t log p(w_{t+1} | w_{t−T+1} … w_t)        in nats; e^L is the perplexity

Two networks give p: a transformer (`models.gpt`), and attention with a state (`models.attention_rnn`), beside the
same without attention.

Source: Shannon 1951, "Prediction and entropy of printed English"; Bengio et al. 2003, "A neural probabilistic language
model", JMLR 3.
"""

import copy
import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from models.attention_rnn import ACTIVATIONS, AttentionShape
from models.baselines import WordCounts, unigram
from models.budget import Budget
from models.curves import draw_losses
from models.devices import choose_precision
from models.gpt import GPTShape
from models.meter import Meter
from models.ranks import Ranks
from models.runs import Interruption, RunFolder, configuration, exit_status, num_parameters
from models.settings import parse_settings, refuse_below
from models.threads import Threads
from models.training import run_once, step_down
from models.training_windows import count_training_words, held_out_of, open_windows
from models.utilisation import device_utilisation
from models.word_losses import Windows, compare, cross_entropy, mean_loss, print_comparison, to_windows
from models.word_networks import MODELS, WordNetwork, WordShape, build_network, shape_to_plain
from models.writing import generate, generate_main, load_writer
from shards.dataset import WindowDataset
from shards.loader import Batch, Loader
from shards.tokens import Tokenizer

__all__ = ["Settings", "generate", "generate_main", "load_writer", "main", "train", "train_once"]


@dataclass(frozen=True)
class Settings:
    """What `python -m models.language` takes."""

    dataset: Annotated[str, "what a build wrote, its windows folder, or a dataset in it; a folder or a URL"]
    out: Annotated[Path, "folder of this run"] = Path("runs/language")
    model: Annotated[str, "gpt, attention (with a state), or no-attention (the state alone)"] = "gpt"
    seconds: Annotated[float, "seconds to train"] = 75.0
    num_steps: Annotated[int, "optimiser steps to train instead; 0 goes by the clock"] = 0
    batch_size: Annotated[int, "windows per step, of all processes together"] = 4
    learning_rate: Annotated[float, "highest learning rate"] = 2e-3
    warmup_steps: Annotated[int, "steps over which the learning rate rises"] = 50
    weight_decay: Annotated[float, "of AdamW, on matrices"] = 0.1
    max_gradient: Annotated[float, "length that gradients are clipped to"] = 1.0
    dropout: Annotated[float, "share of activations dropped"] = 0.1
    width: Annotated[int, "channels per word"] = 128
    num_layers: Annotated[int, "gpt: blocks of attention and feed-forward"] = 3
    num_heads: Annotated[int, "gpt: attention heads per block"] = 4
    tied: Annotated[bool, "gpt: one matrix for words in and words out"] = True
    activation: Annotated[str, "the others: what stands inside, tanh, sigmoid or linear"] = "tanh"
    separate_documents: Annotated[bool, "mask the documents in one window from each other"] = False
    seed: Annotated[int, "of order, start and dropout"] = 0
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"
    precision: Annotated[str, "float32, bfloat16, or auto: bfloat16 where the device has it"] = "auto"
    compile: Annotated[bool, "compile network and loss first: minutes, and then faster steps on a GPU"] = False
    workers: Annotated[int, "threads that read ahead"] = 1
    report_steps: Annotated[int, "steps between two lines of progress"] = 200
    num_validations: Annotated[int, "times to look at text held out, evenly over the training; the best is kept"] = 15
    checkpoint_s: Annotated[float, "seconds between two checkpoints"] = 20.0

    def __post_init__(self) -> None:
        for name, known in (("model", MODELS), ("activation", ACTIVATIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"--{name} {getattr(self, name)}: must be one of {', '.join(known)}")
        refuse_below(1, self, ("batch_size", "width", "num_layers", "num_heads", "report_steps"))
        refuse_below(0, self, ("num_steps", "num_validations", "seed", "workers", "weight_decay"))
        if self.model == "gpt" and self.width % (2 * self.num_heads):
            raise ValueError(f"--width {self.width}: must be a multiple of twice --num-heads {self.num_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"--dropout {self.dropout}: must be at least 0 and below 1")
        for name in ("seconds", "max_gradient"):
            if getattr(self, name) <= 0:
                raise ValueError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be above 0")


def main(argv: Sequence[str] | None = None) -> int:
    """Train, or generate where the first argument says so; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["generate"]:
        return generate_main(argv[1:])
    settings = parse_settings(Settings, argv, "python -m models.language", __doc__.splitlines()[0])
    return exit_status(lambda: train_once(settings))


def train_once(settings: Settings) -> None:
    """Train, unless the run is done, and print what came out; raises what `run_once` and opening the dataset do."""
    run = RunFolder(settings.out)
    dataset = open_windows(settings.dataset, "train")
    chosen = dataclasses.asdict(settings)
    config = configuration("language", {"network": chosen.pop("model"), **chosen}, dataset)
    results = run_once(settings, run, config, functools.partial(train, settings, run, dataset))
    if results is not None:
        print_comparison(results)
        print(f'{run.path}: the run; python -m models.language generate {run.path} --prompt "…" writes', flush=True)


@dataclass
class Training:
    """Everything that changes while a language model is trained; a checkpoint holds it all.

    Attributes:
        model: what the gradient moves.
        losses_of: the cross-entropy of each next word of windows, by that model in that precision.
        precision: of the network's products.
        tokenizer: of the windows.
        optimizer: of the model.
        loader: of the training windows.
        budget: how much is done.
        best: weights of the least loss on text held out so far.
        best_loss: that loss, in nats per word.
        losses: since the last report.
    """

    model: WordNetwork
    losses_of: Callable[[WordNetwork, Windows, torch.dtype], Tensor]
    precision: torch.dtype
    tokenizer: Tokenizer
    optimizer: torch.optim.Optimizer
    loader: Loader
    budget: Budget
    best: dict[str, Any]
    best_loss: float = float("inf")
    losses: Sequence[float] = ()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        parts = {name: getattr(self, name).state_dict() for name in ("model", "optimizer", "loader")}
        tokenizer = {"tokenizer": self.tokenizer.to_json(), "tokenizer_sha256": self.tokenizer.sha256()}
        done = {"step": self.budget.step, "spent_s": self.budget.elapsed_s(), "losses": list(self.losses)}
        best = {"best": self.best, "best_loss": self.best_loss}
        return {"word_shape": shape_to_plain(self.model.shape), **tokenizer, **parts, **done, **best}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        for name in ("model", "optimizer", "loader"):
            getattr(self, name).load_state_dict(state[name])
        self.best, self.best_loss, self.losses = state["best"], state["best_loss"], state["losses"]
        self.budget = Budget(self.budget.seconds, self.budget.num_steps, state["step"], state["spent_s"])


def train(
    settings: Settings, run: RunFolder, dataset: WindowDataset, goes_on: bool, ranks: Ranks, interruption: Interruption
) -> dict[str, Any]:
    """Train until the budget is used up, leave checkpoints, results and curves in the run's folder; return the results.

    Args:
        settings: of the run.
        run: its folder, started.
        dataset: training windows.
        goes_on: whether to start from the folder's checkpoint.
        ranks: the processes that train together.
        interruption: asked between two steps; the run is saved first.

    Raises:
        RunError: the folder cannot be written, or a loss is no number.
        KeyboardInterrupt: somebody asked.
    """
    # Data and model: the same seed gives the same start, and on a CPU the same losses.
    counts = count_training_words(dataset)
    validation = held_out_of(settings.dataset, dataset, ("val",))
    torch.manual_seed(settings.seed)
    training = prepare(settings, dataset, counts, ranks)
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
        # One step down the gradient of the cross-entropy
        batch = next(batches)
        loss, gradient = descend(training, batch, fraction, settings, ranks)
        meter.step(loss, gradient, budget.step, batch["key"].tolist())
        if threads:
            threads.next_step()
        fraction, is_asked = ranks.from_first((budget.fraction(), interruption.asked))

        # Progress
        if budget.step % settings.report_steps == 0:
            _report(run, ranks, training, fraction, meter.report())

        # Text held out: the best model so far is kept, since a small corpus is soon known by heart
        if ranks.is_first and (int(fraction * settings.num_validations) > validations or fraction >= 1):
            validations = int(fraction * settings.num_validations)
            run.report({"step": budget.step, "held_out": keep_best(training, validation, settings)})

        # Checkpoint
        if is_asked or fraction >= 1 or time.monotonic() - saved_at > settings.checkpoint_s:
            training.losses = meter.settle()
            saved_at = time.monotonic()
            if ranks.is_first:
                run.save(training.state())
        if is_asked:
            raise KeyboardInterrupt

    # What came out
    return conclude(settings, run, training, dataset, counts) if ranks.is_first else {}


def descend(
    training: Training, batch: Batch, fraction: float, settings: Settings, ranks: Ranks
) -> tuple[Tensor, Tensor]:
    """Take one step down the gradient of the cross-entropy; return the loss before it and the gradient's length, ()."""
    model = training.model.train()
    if settings.dropout:
        # What is dropped follows from seed, step and rank alone, so that a run that goes on drops the same.
        torch.manual_seed((settings.seed * 1_000_003 + training.budget.step) * 4096 + ranks.rank)
    # Each next word of the whole batch weighs the same, however many of them are in this process's share.
    num_words = ranks.mean(float(batch["mask"].sum()))
    losses = training.losses_of(model, to_windows(batch, ranks.device), training.precision)
    loss = losses.sum() / max(1.0, num_words)
    length = step_down(loss, model, training.optimizer, training.budget, fraction, settings, ranks)
    return loss, length


def keep_best(training: Training, validation: WindowDataset, settings: Settings) -> float:
    """Keep the weights if they are the best so far on text held out; return their loss there, in nats per word."""
    loss = mean_loss(training.model, validation, settings.separate_documents)
    if loss < training.best_loss:
        training.best, training.best_loss = copy.deepcopy(training.model.state_dict()), loss
    return loss


def conclude(
    settings: Settings, run: RunFolder, training: Training, dataset: WindowDataset, counts: WordCounts
) -> dict[str, Any]:
    """Judge the best model, by text that chose nothing where there is some; leave results and curves, return those."""
    seconds = round(training.budget.elapsed_s(), 3)
    training.model.load_state_dict(training.best)
    judge = held_out_of(settings.dataset, dataset, ("test", "val"))
    results = {
        **compare(training.model, judge, counts, settings.separate_documents),
        "model": "language",
        "network": settings.model,
        "train_steps": training.budget.step,
        "seconds": seconds,
        "num_parameters": num_parameters(training.model),
    }
    beaten = {name: results["losses"][name] for name in ("unigram", "bigram")}
    draw_losses(run, f"Language model ({settings.model})", "cross-entropy, nats per word", beaten)
    run.finish(results)
    return results


def prepare(settings: Settings, dataset: WindowDataset, counts: WordCounts, ranks: Ranks) -> Training:
    """Return a training that has not begun; its model guesses words as often as they were counted."""
    shape = choose_shape(settings, dataset)
    model = build_network(shape, torch.from_numpy(unigram(counts)).log().float()).to(ranks.device)
    loader = dataset.loader(
        ranks.share_of(settings.batch_size),
        seed=settings.seed,
        rank=ranks.rank,
        world_size=ranks.size,
        workers=settings.workers,
        fields=("tokens", "mask", "key", *(("documents",) if settings.separate_documents else ())),
    )
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    others = [parameter for parameter in model.parameters() if parameter.dim() != 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=ranks.device.type == "cuda")
    losses_of = torch.compile(cross_entropy) if settings.compile else cross_entropy
    precision = choose_precision(settings.precision, ranks.device)
    if ranks.is_first:
        told = f"{num_parameters(model):,} parameters on {ranks.device} in {precision}, {shape.num_words} words"
        print(f"language model ({settings.model}) of {told}", flush=True)
    budget, best = Budget(settings.seconds, settings.num_steps), copy.deepcopy(model.state_dict())
    return Training(model, losses_of, precision, dataset.tokenizer, optimizer, loader, budget, best)


def choose_shape(settings: Settings, dataset: WindowDataset) -> WordShape:
    """Return the shape of the network that the settings ask for, for these windows."""
    num_words, context, width = dataset.tokenizer.vocab_size, dataset.spec.context, settings.width
    if settings.model == "gpt":
        layers, heads = settings.num_layers, settings.num_heads
        return GPTShape(num_words, context, width, layers, heads, settings.dropout, settings.tied)
    has_attention = settings.model == "attention"
    return AttentionShape(num_words, context, width, settings.dropout, settings.activation, has_attention)


def _report(run: RunFolder, ranks: Ranks, training: Training, fraction: float, measured: dict[str, float]) -> None:
    if not ranks.is_first:
        return
    budget, context = training.budget, training.model.shape.context
    words_per_s = measured["samples_per_s"] * context
    used = training.model.flops_per_word(context) * words_per_s / ranks.size
    mfu = device_utilisation(used, ranks.device, training.precision)
    row = {"step": budget.step, "seconds": round(budget.elapsed_s(), 3), **measured}
    run.report({**row, "tokens_per_s": round(words_per_s), **mfu})
    told = f"loss {measured['train']:.4f}  {fraction:4.0%}  {words_per_s:.0f} words/s"
    told += "".join(f"  {share:.1%} MFU" for share in mfu.values())
    print(f"step {budget.step:6d}  {told}  {measured['data_wait']:.1%} waiting for data", flush=True)


if __name__ == "__main__":
    sys.exit(main())
