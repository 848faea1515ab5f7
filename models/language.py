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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.baselines import Bigram, WordCounts, count_words, unigram
from models.gpt import GPT, GPTShape
from models.runs import (
    Budget,
    RunError,
    RunFolder,
    choose_device,
    choose_precision,
    dataset_folder,
    draw_losses,
    exit_status,
    learning_rate,
)
from models.settings import parse_settings, refuse_below
from models.writing import continue_words
from shards import open_dataset
from shards.dataset import WindowDataset
from shards.tokenizer import ByteTokenizer, WordTokenizer, from_json, split_words

MAX_COUNTED_BATCHES = 20_000
"""Batches of training windows that the counts of words and pairs are taken from, so that a large dataset is not read
twice."""


@dataclass(frozen=True)
class Settings:
    """What `python -m models.language` takes."""

    dataset: Annotated[Path, "what a build wrote, its windows folder, or a dataset in it"]
    out: Annotated[Path, "folder of this run"] = Path("runs/language")
    seconds: Annotated[float, "seconds to train"] = 75.0
    num_steps: Annotated[int, "optimiser steps to train instead; 0 goes by the clock"] = 0
    batch_size: Annotated[int, "windows per step"] = 16
    learning_rate: Annotated[float, "highest learning rate"] = 2e-3
    warmup_steps: Annotated[int, "steps over which the learning rate rises"] = 50
    weight_decay: Annotated[float, "of AdamW, on matrices"] = 0.1
    dropout: Annotated[float, "share of activations dropped"] = 0.2
    width: Annotated[int, "channels per word"] = 128
    num_layers: Annotated[int, "blocks of attention and feed-forward"] = 3
    num_heads: Annotated[int, "attention heads per block"] = 4
    seed: Annotated[int, "of order, start and dropout"] = 0
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"
    precision: Annotated[str, "float32, bfloat16, or auto: bfloat16 where the device has it"] = "auto"
    report_steps: Annotated[int, "steps between two lines of progress"] = 50
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


@dataclass(frozen=True)
class GenerateSettings:
    """What `python -m models.language generate` takes."""

    run: Annotated[Path, "folder of a training run"]
    prompt: Annotated[str, "what the text begins with; without one, a new text is begun"] = ""
    words: Annotated[int, "most words to write"] = 120
    seed: Annotated[int, "of the drawing; another seed writes another text"] = 0
    temperature: Annotated[float, "1 draws from the predicted distribution itself, less is more cautious"] = 0.8
    top_k: Annotated[int, "draw from so many of the likeliest words only; 0 leaves all"] = 0
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"

    def __post_init__(self) -> None:
        refuse_below(1, self, ("words",))
        refuse_below(0, self, ("seed", "top_k"))
        if self.temperature <= 0:
            raise ValueError(f"--temperature {self.temperature}: must be above 0")


@dataclass(frozen=True)
class Writer:
    """A trained language model and its dictionary."""

    model: GPT
    tokenizer: WordTokenizer | ByteTokenizer


def main(argv: Sequence[str] | None = None) -> int:
    """Train, or generate where the first argument says so; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["generate"]:
        return generate_main(argv[1:])
    settings = parse_settings(Settings, argv, "python -m models.language", __doc__.splitlines()[0])
    return exit_status(lambda: _train_once(settings))


def generate_main(argv: Sequence[str]) -> int:
    """Write a text and print it; return the exit status."""
    settings = parse_settings(GenerateSettings, argv, "python -m models.language generate", "Write a text.")

    def work() -> None:
        writer = load_writer(settings.run, choose_device(settings.device))
        for word in unknown_words(writer.tokenizer, settings.prompt):
            print(f"not in the dictionary, read as <unk>: {word}", file=sys.stderr)
        print(_write(writer, settings))

    return exit_status(work)


def generate(run: Path, prompt: str, num_words: int, seed: int) -> str:
    """Return a text of a trained language model: the prompt, and what it drew after it.

    Args:
        run: folder of the training run.
        prompt: what the text begins with; may be empty.
        num_words: most words to draw.
        seed: of the drawing.

    Raises:
        RunError: there is no trained language model.
    """
    settings = GenerateSettings(run=run, prompt=prompt, words=num_words, seed=seed)
    return _write(load_writer(run, choose_device("auto")), settings)


def unknown_words(tokenizer: WordTokenizer | ByteTokenizer, text: str) -> list[str]:
    """Return the words of a text that a dictionary does not hold, in their order, each once."""
    if isinstance(tokenizer, ByteTokenizer):
        return []
    known = set(tokenizer.words)
    return [word for word in dict.fromkeys(split_words(text, tokenizer.lower_case)) if word not in known]


def load_writer(run: Path, device: torch.device) -> Writer:
    """Return a run's language model at its best on text held out, and its dictionary.

    Raises:
        RunError: there is none, or the dictionary is not the one it was trained with.
    """
    state = RunFolder(run).load()
    if "gpt_shape" not in state:
        raise RunError(f"{run}: not the run of a language model")
    tokenizer = from_json(state["tokenizer"])
    if tokenizer.sha256() != state["tokenizer_sha256"]:
        raise RunError(f"{run}: its dictionary is not the one it was trained with; train again")
    model = GPT(GPTShape(**state["gpt_shape"]))
    model.load_state_dict(state["best"])
    return Writer(model.to(device).eval(), tokenizer)


def _write(writer: Writer, settings: GenerateSettings) -> str:
    tokenizer = writer.tokenizer
    prompt = tokenizer.encode(settings.prompt).tolist()
    drawn = continue_words(
        writer.model,
        prompt or [tokenizer.eos_id],
        settings.words,
        seed=settings.seed,
        temperature=settings.temperature,
        top_k=settings.top_k,
        banned=() if isinstance(tokenizer, ByteTokenizer) else (tokenizer.unk_id,),
        eos_id=tokenizer.eos_id,
    )
    return tokenizer.decode([*prompt, *drawn]).strip()


def _train_once(settings: Settings) -> None:
    run = RunFolder(settings.out)
    dataset = open_windows(settings.dataset, "train")
    goes_on = run.start(_configuration(settings, dataset))
    results = run.results() if goes_on else None
    if results is None:
        results = train(settings, run, dataset, goes_on)
    print_comparison(results)
    print(f'{run.path}: the run; python -m models.language generate {run.path} --prompt "…" writes')


def train(settings: Settings, run: RunFolder, dataset: WindowDataset, goes_on: bool) -> dict[str, Any]:  # noqa: PLR0915
    """Train until the budget is used up, leave checkpoint, results and curves in the run's folder; return the results.

    Args:
        settings: of the run.
        run: its folder, started.
        dataset: training windows.
        goes_on: whether to start from the folder's checkpoint.

    Raises:
        RunError: the folder cannot be written.
    """
    # Chance: the same seed gives the same losses on a CPU.
    torch.manual_seed(settings.seed)
    device = choose_device(settings.device)

    # Data
    counts = count_training_words(dataset, settings.batch_size)
    validation = _held_out(settings.dataset, dataset, ("val",))
    loader = dataset.loader(settings.batch_size, seed=settings.seed, fields=("tokens", "mask"))

    # Model
    tokenizer = dataset.tokenizer
    shape = GPTShape(
        num_words=tokenizer.vocab_size,
        context=dataset.spec.context,
        width=settings.width,
        num_layers=settings.num_layers,
        num_heads=settings.num_heads,
        dropout=settings.dropout,
    )
    model = GPT(shape, torch.from_numpy(unigram(counts)).log().float()).to(device)
    precision = choose_precision(settings.precision, device)
    optimizer = _optimizer(model, settings)
    print(f"language model of {_num_parameters(model):,} parameters on {device} in {precision}, ", end="")
    print(f"{tokenizer.vocab_size} words, {dataset.manifest.splits} windows")
    budget = Budget(settings.seconds, settings.num_steps)
    best, best_loss = copy.deepcopy(model.state_dict()), float("inf")

    # Going on from a checkpoint
    if goes_on:
        state = run.load()
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        loader.load_state_dict(state["loader"])
        torch.set_rng_state(state["chance"])
        best, best_loss = state["best"], state["best_loss"]
        budget = Budget(settings.seconds, settings.num_steps, state["step"], state["spent_s"])
        run.forget_after(budget.step)
        print(f"goes on from step {budget.step}")

    def save() -> None:
        run.save(
            {
                "gpt_shape": dataclasses.asdict(shape),
                "tokenizer": tokenizer.to_json(),
                "tokenizer_sha256": tokenizer.sha256(),
                "best": best,
                "best_loss": best_loss,
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
    losses: list[float] = []
    validations = int(budget.fraction() * settings.num_validations)
    saved_at = time.monotonic()
    while budget.fraction() < 1:
        # One step down the gradient of the cross-entropy
        model.train()
        rate = learning_rate(budget.fraction(), budget.step, settings.learning_rate, settings.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = cross_entropy(model, next(batches), device, precision).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        budget.step += 1
        losses.append(loss.item())

        # Progress
        if budget.step % settings.report_steps == 0:
            run.report(step=budget.step, seconds=round(budget.elapsed_s(), 3), train=float(np.mean(losses)))
            speed = budget.step * settings.batch_size * shape.context / budget.elapsed_s()
            print(f"step {budget.step:6d}  loss {np.mean(losses):.4f}  {budget.fraction():4.0%}  {speed:.0f} words/s")
            losses.clear()

        # Text held out: the best model so far is kept, since a small corpus is soon known by heart
        if int(budget.fraction() * settings.num_validations) > validations or budget.fraction() >= 1:
            validations = int(budget.fraction() * settings.num_validations)
            held_out_loss = mean_loss(model, validation, settings.batch_size, device)
            run.report(step=budget.step, held_out=held_out_loss)
            if held_out_loss < best_loss:
                best, best_loss = copy.deepcopy(model.state_dict()), held_out_loss

        # Checkpoint
        if time.monotonic() - saved_at > settings.checkpoint_s:
            save()
            saved_at = time.monotonic()

    # What came out, on text that chose nothing where there is some
    save()
    model.load_state_dict(best)
    comparison = compare(
        model, _held_out(settings.dataset, dataset, ("test", "val")), counts, settings.batch_size, device
    )
    results = {
        **comparison,
        "model": "language",
        "train_steps": budget.step,
        "seconds": round(budget.elapsed_s(), 1),
        "num_parameters": _num_parameters(model),
    }
    beaten = {name: comparison["cross_entropy"][name] for name in ("unigram", "bigram")}
    draw_losses(run, "Language model", "cross-entropy, nats per word", beaten)
    run.finish(results)
    return results


def cross_entropy(
    model: GPT, batch: Mapping[str, Any], device: torch.device, precision: torch.dtype = torch.float32
) -> Tensor:
    """Return the cross-entropy of each next word that counts in a batch of windows, (N,), in nats."""
    tokens = torch.from_numpy(batch["tokens"].astype(np.int64)).to(device)
    mask = torch.from_numpy(batch["mask"]).to(device)
    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
        logits = model(tokens[:, :-1])
    return F.cross_entropy(logits[mask].float(), tokens[:, 1:][mask], reduction="none")


@torch.no_grad()
def mean_loss(model: GPT, held_out: WindowDataset, batch_size: int, device: torch.device) -> float:
    """Return the mean cross-entropy of the next words of windows held out, in nats per word."""
    model.eval()
    total, count = 0.0, 0
    for batch in held_out.loader(batch_size, finite=True, shuffle=False):
        batch["mask"] &= batch["valid"][:, None]
        entropies = cross_entropy(model, batch, device)
        total, count = total + float(entropies.sum()), count + len(entropies)
    return total / max(1, count)


def compare(
    model: GPT, held_out: WindowDataset, counts: WordCounts, batch_size: int, device: torch.device
) -> dict[str, Any]:
    """Return the cross-entropies of the model and of counts of words, over the same next words of the same windows.

    Returns:
        `cross_entropy` in nats per word and `perplexity`, each of `model`, `unigram` and `bigram`; `beats`: whether the
        model's is the least; `split` and `num_words` say what they were taken on.
    """
    word_probability, bigram = unigram(counts), Bigram(counts)
    sums, num_words = np.zeros(2), 0
    for batch in held_out.loader(batch_size, finite=True, shuffle=False):
        mask = batch["mask"] & batch["valid"][:, None]
        before, after = batch["tokens"][:, :-1][mask], batch["tokens"][:, 1:][mask]
        sums -= np.log(word_probability[after]).sum(), np.log(bigram.probability(before, after)).sum()
        num_words += len(after)
    of_counts = sums / max(1, num_words)
    entropies = {
        "model": mean_loss(model, held_out, batch_size, device),
        "unigram": float(of_counts[0]),
        "bigram": float(of_counts[1]),
    }
    return {
        "cross_entropy": entropies,
        "perplexity": {name: float(np.exp(value)) for name, value in entropies.items()},
        "beats": entropies["model"] < min(entropies["unigram"], entropies["bigram"]),
        "split": held_out.split,
        "num_words": num_words,
    }


def print_comparison(results: Mapping[str, Any]) -> None:
    """Print what `compare` returned as a table."""
    print(f"next word, {results['num_words']} words of split {results['split']}")
    print("                    nats/word  perplexity")
    for name, label in (("model", "language model"), ("bigram", "counts of pairs"), ("unigram", "counts of words")):
        print(f"  {label:16s}  {results['cross_entropy'][name]:9.3f}  {results['perplexity'][name]:10.1f}")


def count_training_words(dataset: WindowDataset, batch_size: int) -> WordCounts:
    """Return the counts of next words and their pairs in training windows, `MAX_COUNTED_BATCHES` batches at most."""
    loader = dataset.loader(batch_size, finite=True, shuffle=False, fields=("tokens", "mask"))
    batches = ((batch["tokens"], batch["mask"] & batch["valid"][:, None]) for batch in loader)
    return count_words(itertools.islice(batches, MAX_COUNTED_BATCHES), dataset.tokenizer.vocab_size)


def open_windows(path: Path, split: str) -> WindowDataset:
    """Return a split of the windows in `path`: what a build wrote, its windows folder, or a dataset in it.

    Raises:
        DatasetError: it has no such split.
        RunError: it holds no windows, or its tokenizer is not the one its windows were made with.
    """
    dataset = open_dataset(dataset_folder(path, "windows"), split)
    if not isinstance(dataset, WindowDataset):
        raise RunError(f"{path}: holds no windows; give a dataset of windows")
    made_with = dataset[0]["meta"]["tokenizer_sha256"]
    if dataset.tokenizer.sha256() != made_with:
        raise RunError(f"{dataset.folder}: its tokenizer is not the one its windows were made with ({made_with})")
    return dataset


def _held_out(path: Path, dataset: WindowDataset, splits: Sequence[str]) -> WindowDataset:
    """Return the first of the splits that has windows, or the training windows, saying so, where none has."""
    for split in splits:
        if dataset.manifest.splits.get(split):
            return open_windows(path, split)
    print(f"no text is held out (no split {' or '.join(splits)}): losses are measured on the training text")
    return dataset


def _optimizer(model: GPT, settings: Settings) -> torch.optim.Optimizer:
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    others = [parameter for parameter in model.parameters() if parameter.dim() != 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95))


def _configuration(settings: Settings, dataset: WindowDataset) -> dict[str, Any]:
    """Return everything that decides a run: its settings, but where it stands and runs, and its data."""
    chosen = dataclasses.asdict(settings)
    for name in ("dataset", "out", "device", "report_steps", "checkpoint_s"):
        del chosen[name]
    return {"model": "language", "manifest_sha256": dataset.manifest_sha256, "spec": dataset.spec.to_json(), **chosen}


def _num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    sys.exit(main())
