"""Train a classifier on sorted examples: how likely is it that a picture shows a tree, or that a text is good?

    python -m models.classifier PHOTOS --topic tree --out RUN       PHOTOS/tree/*.jpg against all other folders
    python -m models.classifier TEXTS --topic good --out RUN        TEXTS/good/*.txt or good.jsonl, .parquet
    python -m models.classifier SHARDS --topic tree --out RUN       SHARDS/tree, SHARDS/other: what builds wrote
    python -m models.classifier judge RUN/head.json PICTURE…        what a trained one says, one line each

This is logistic regression. An example has features x, a row of D numbers of which the last is always 1, and a label:
y = 1 if it is of the topic, else y = 0. Say that its log odds are linear in the features, z = w·x, so that

    p(y = 1 | x) = σ(z) = 1 / (1 + e⁻ᶻ)        and the label is a Bernoulli draw:        p(y | x) = σ(z)ʸ (1 − σ(z))¹⁻ʸ

The N examples are independent, so that their probabilities multiply and their logarithms add up. As
log σ(z) = z − log(1 + eᶻ) and log(1 − σ(z)) = −log(1 + eᶻ), the log likelihood of all labels is

    log L(w) = Σ y log σ(z) + (1 − y) log(1 − σ(z)) = Σ y z − log(1 + eᶻ)

We minimise its negative mean, with λ/2 ‖w‖² for a Gaussian prior on the weights. With dσ/dz = σ(z) (1 − σ(z)):

    ∇(w) = 1/N Σ (σ(z) − y) x + λ w

Each example pulls the weights along its features, by as much as its probability is off. Nothing else is computed. How
far to step, and when to stop, follow from the curvature, which lies between λ and C = λ + max eigenvalue of XᵀX / 4N,
because σ(z) (1 − σ(z)) ≤ ¼: a step of 1/C never overshoots, and where the gradient has become so short that
‖∇‖² / 2λ < tolerance, no weights in the world have a loss that is lower by more than that.

Source: Bishop 2006, "Pattern Recognition and Machine Learning", section 4.3.2; Nesterov 2004, "Introductory Lectures on
Convex Optimization", theorem 2.1.10 (when to stop) and section 2.2.1, constant step scheme III (how to step).
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import softplus

from models.curves import draw_losses
from models.efficientnet import SIDE, load_network, middle_square, picture_features
from models.examples import Example
from models.heads import KINDS, Head, read_head
from models.judging import draw_calibration, judge
from models.labelled import (
    describe,
    digest_of,
    find_examples,
    held_out,
    near_duplicates,
    open_picture,
    read_text,
)
from models.ngrams import ngram_matrix
from models.runs import Interruption, RunError, RunFolder, exit_status
from models.settings import is_number, parse_settings, refuse_below
from models.standardising import scaled, scaling
from models.threads import one_thread

HEAD, CALIBRATION = "head.json", "calibration.png"

SIDES = {"efficientnet-lite0": SIDE, "pixels": 32, "ngrams": 0}
"""Side in pixels to which pictures are scaled for each kind of features, unless told otherwise."""

PENALTIES = {"efficientnet-lite0": 0.01, "pixels": 0.01, "ngrams": 1e-4}
"""λ for each kind of features, unless told otherwise."""

POWER_STEPS = 30
"""Steps toward the largest eigenvalue; 5 % are added for what may be missing."""


@dataclass(frozen=True)
class Settings:
    """What `python -m models.classifier` takes."""

    folder: Annotated[Path, "with a folder of examples, a .jsonl or .parquet file, or a build, for each label"]
    topic: Annotated[str, "the label to tell from all others"] = "tree"
    out: Annotated[Path, "folder of this run"] = Path("runs/classifier")
    features: Annotated[str, "efficientnet-lite0, pixels or ngrams; auto: the first of pictures, the last of texts"] = (
        "auto"
    )
    side: Annotated[int, "side in pixels that pictures are scaled to; 0: 224 for the network, 32 for pixels"] = 0
    penalty: Annotated[str, "λ: how much long weights cost; auto: 1e-4 for ngrams, which are many, else 0.01"] = "auto"
    tolerance: Annotated[float, "how far above the lowest possible loss is near enough"] = 1e-7
    max_steps: Annotated[int, "steps down the gradient, if it takes so many"] = 100_000
    held_out: Annotated[float, "share of the examples to judge by, near duplicates together"] = 0.2
    duplicate: Annotated[float, "cosine between the features of two near duplicates, at least"] = 0.8
    seed: Annotated[int, "of the draw of those held out"] = 0
    report_steps: Annotated[int, "steps between two lines of progress"] = 200
    checkpoint_s: Annotated[float, "seconds between two checkpoints"] = 20.0

    def __post_init__(self) -> None:
        known = ("auto", *KINDS)
        if self.features not in known:
            raise ValueError(f"--features {self.features}: must be one of {', '.join(known)}")
        refuse_below(1, self, ("max_steps", "report_steps"))
        refuse_below(0, self, ("seed", "side"))
        refuse_below(1e-12, self, ("tolerance",))
        if self.penalty != "auto" and not is_number(self.penalty, 1e-12):
            raise ValueError(f"--penalty {self.penalty}: must be auto, or 1e-12 or more")
        if not 0 < self.held_out < 1:
            raise ValueError(f"--held-out {self.held_out}: must be above 0 and below 1")


def main(argv: Sequence[str] | None = None) -> int:
    """Train, or judge files where the first argument says so; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["judge"]:
        return exit_status(lambda: _judge_files(argv[1:]))
    settings = parse_settings(Settings, argv, "python -m models.classifier", __doc__.splitlines()[0])
    return exit_status(lambda: _train_once(settings, argv))


def _train_once(settings: Settings, argv: Sequence[str]) -> None:
    run = RunFolder(settings.out)
    examples = find_examples(settings.folder, settings.topic)
    goes_on = run.start(configuration(settings, examples), settings.folder)
    results = run.results() if goes_on else None
    if results is None:
        with Interruption() as interruption, one_thread():
            results = train(settings, run, examples, goes_on, interruption, argv)
    for split in ("train", "held_out"):
        told = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in results[split].items())
        print(f"{split.replace('_', ' '):>8}: {told}")
    key = "text.quality.head" if results["features"] == "ngrams" else "score.model"
    print(f"{run.path / HEAD}: the trained head; a recipe takes it as {key}", flush=True)


def configuration(settings: Settings, examples: Sequence[Example]) -> dict[str, Any]:
    """Return everything that decides a run: its settings, but where it stands, and its examples."""
    outside = ("folder", "out", "report_steps", "checkpoint_s")
    chosen = {name: value for name, value in dataclasses.asdict(settings).items() if name not in outside}
    return {"model": "classifier", "examples": digest_of(examples), **chosen}


def train(
    settings: Settings,
    run: RunFolder,
    examples: Sequence[Example],
    goes_on: bool,
    interruption: Interruption,
    argv: Sequence[str] = (),
) -> dict[str, Any]:
    """Train until no lower loss is worth having; leave head, results and pictures in the run's folder; return results.

    Args:
        settings: of the run.
        run: its folder, started.
        examples: all of them, those to be held out included.
        goes_on: whether to start from the folder's checkpoint.
        interruption: asked between two steps; the run is saved first.
        argv: the command line, noted in the head.

    Raises:
        RunError: the folder cannot be written, or an example not be read.
        KeyboardInterrupt: somebody asked.
    """
    # Data: features and labels, some of them kept apart, and scaled so that the gradient descends fast
    data = prepare(settings, examples)
    y = data.labels[data.train_rows]
    mean, scale = scaling(data.features.index_select(0, data.train_rows))
    x = scaled(data.features.index_select(0, data.train_rows), mean, scale)
    print(f"{len(y)} examples to learn from, {len(data.held_rows)} held out, {x.shape[1]:,} features each", flush=True)

    # Model: weights of zero give every example one half
    w = torch.zeros(x.shape[1] + 1, dtype=torch.float64)
    ahead = w.clone()
    step = 0
    penalty = PENALTIES[data.kind] if settings.penalty == "auto" else float(settings.penalty)
    curvature = 1.05 * largest_eigenvalue(x) / (4 * len(y)) + penalty
    momentum = (1 - (penalty / curvature) ** 0.5) / (1 + (penalty / curvature) ** 0.5)
    if goes_on:
        state = run.load()
        w, ahead, step = state["weights"], state["ahead"], state["step"]
        run.forget_after(step)
        print(f"goes on from step {step}", flush=True)

    # Loop
    started = saved_at = time.monotonic()
    while True:
        loss, slope = loss_and_gradient(ahead, x, y, penalty)
        gap = float(slope @ slope) / (2 * penalty)
        if step % settings.report_steps == 0 or gap < settings.tolerance:
            seconds = round(time.monotonic() - started, 3)
            run.report({"step": step, "seconds": seconds, "train": float(loss), "gap": gap})
            print(f"step {step:6d}  loss {loss:.6f}  at most {gap:.1e} above the lowest", flush=True)
        if gap < settings.tolerance or step >= settings.max_steps:
            break
        # One step down the gradient, and on a little in the direction that the last one went
        before, w = w, ahead - slope / curvature
        ahead = w + momentum * (w - before)
        step += 1

        # Checkpoint
        if interruption.asked or time.monotonic() - saved_at > settings.checkpoint_s:
            run.save({"weights": w, "ahead": ahead, "step": step})
            saved_at = time.monotonic()
            interruption.stop_if_asked()

    # What came out: weights for features as they are, not as they were scaled
    run.save({"weights": w, "ahead": ahead, "step": step})
    weights = ahead[:-1] / scale
    bias = float(ahead[-1] - weights @ mean)
    judged = leave(settings, run, data, weights.float(), bias, argv)
    results = {"model": "classifier", "features": data.kind, "train_steps": step, "loss": float(loss), "gap": gap}
    run.finish({**results, **judged})
    return {**results, **judged}


class Data(NamedTuple):
    """Examples as numbers, and which of them are held out.

    Attributes:
        kind: of the features.
        side: in pixels to which pictures are scaled.
        features: (N, D), dense or sparse.
        labels: float64 (N,), 1 of those that are of the topic.
        train_rows: the places of those to learn from.
        held_rows: the places of those held out.
        about: how many of each sort there are, and the hash of them all.
    """

    kind: str
    side: int
    features: Tensor
    labels: Tensor
    train_rows: Tensor
    held_rows: Tensor
    about: dict[str, Any]


def prepare(settings: Settings, examples: Sequence[Example]) -> Data:
    """Return the features and labels of examples, near duplicates held out together.

    Raises:
        RunError: an example cannot be read, or there are too few of a label.
    """
    kind = settings.features
    if kind == "auto":
        kind = "ngrams" if examples[0].open is None else "efficientnet-lite0"
    side = settings.side or SIDES[kind]
    features = design(kind, side, examples)
    labels = torch.tensor([float(example.is_topic) for example in examples], dtype=torch.float64)
    first = near_duplicates(scaled(features, *scaling(features)), settings.duplicate)
    is_held_out = held_out(examples, first, settings.held_out, settings.seed)
    train_rows, held_rows = (torch.from_numpy(np.flatnonzero(rows)) for rows in (~is_held_out, is_held_out))
    if any(not 0 < labels[rows].sum() < len(rows) for rows in (train_rows, held_rows)):
        raise RunError(f"{settings.folder}: too few examples to train on some of each label and hold others out")
    return Data(kind, side, features, labels, train_rows, held_rows, describe(examples, is_held_out))


def leave(
    settings: Settings, run: RunFolder, data: Data, weights: Tensor, bias: float, argv: Sequence[str]
) -> dict[str, Any]:
    """Write the trained head, its calibration and losses into the run's folder; return how it judges both splits."""
    log_odds = (data.features @ weights.to(data.features.dtype)).double() + bias
    judged = {
        name: judge(log_odds[rows].numpy(), data.labels[rows].numpy())
        for name, rows in (("train", data.train_rows), ("held_out", data.held_rows))
    }
    about = {
        "command": " ".join(["python -m models.classifier", *argv]),
        "data": data.about,
        "seed": settings.seed,
        "figures": judged,
    }
    run.write(HEAD, Head(settings.topic, data.kind, data.side, weights.numpy(), bias, about).to_bytes())
    held = data.held_rows
    run.write(CALIBRATION, draw_calibration(log_odds[held].numpy(), data.labels[held].numpy(), settings.topic))
    draw_losses(run, f"Classifier of '{settings.topic}'", "nats an example, prior included", {})
    return judged


def loss_and_gradient(w: Tensor, x: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Return the loss of weights `w` (D,) and its gradient (D,): the formulas at the head of this file.

    Args:
        w: weights, float64 (D,); the last is the bias.
        x: features, (N, D − 1), dense or sparse; the 1 that ends each row is left to this function.
        y: labels, float64 (N,), 0 or 1.
        penalty: λ.
    """
    z = x @ w[:-1] + w[-1]
    loss = (softplus(z) - y * z).mean() + penalty / 2 * (w @ w)
    off = (torch.sigmoid(z) - y) / len(y)
    return loss, torch.cat([x.T @ off, off.sum()[None]]) + penalty * w


def largest_eigenvalue(x: Tensor) -> float:
    """Return the largest eigenvalue of XᵀX, a 1 at the end of each row of X included, from below but for little."""
    v = torch.ones(x.shape[1] + 1, dtype=x.dtype)
    length = torch.ones((), dtype=x.dtype)
    for _ in range(POWER_STEPS):
        length = v.norm()
        z = x @ (v[:-1] / length) + v[-1] / length
        v = torch.cat([x.T @ z, z.sum()[None]])
    return float(v.norm())


def design(kind: str, side: int, examples: Sequence[Example]) -> Tensor:
    """Return the features of examples, float32 (N, D): dense of pictures, sparse of texts.

    Args:
        kind: one of `models.heads.KINDS`.
        side: to which pictures are scaled, in pixels.
        examples: pictures, or texts for `ngrams`.

    Raises:
        RunError: they are of the other sort, or one cannot be read.
    """
    is_picture = examples[0].open is not None
    if is_picture == (kind == "ngrams"):
        raise RunError(f"--features {kind}: the examples are {'pictures' if is_picture else 'texts'}; give auto")
    if kind == "ngrams":
        return ngram_matrix([example.text for example in examples])
    network = load_network() if kind == "efficientnet-lite0" else None
    pictures = (example.open() for example in examples if example.open)
    rows = (picture_features(network, picture, side) if network else pixels(picture, side) for picture in pictures)
    return torch.from_numpy(np.stack(list(rows)))


def pixels(picture: Image.Image, side: int) -> NDArray[np.float32]:
    """Return the pixels of a picture's middle square as features, float32 (side · side · 3,), in [0, 1]."""
    return np.asarray(middle_square(picture, side), np.float32).reshape(-1) / np.float32(255)


def _judge_files(argv: Sequence[str]) -> None:
    """Print the score of each file."""
    if not argv:
        raise RunError("judge: give the trained head, then files")
    head = read_head(Path(argv[0]))
    for name in argv[1:]:
        is_text = head.features == "ngrams"
        example = Example(name, False, "", read_text(Path(name)) if is_text else "")
        opened = example if is_text else example._replace(open=functools.partial(open_picture, Path(name)))
        (features,) = design(head.features, head.side, [opened]).to_dense().numpy()
        print(f"{head.score(features):.4f} {name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
