"""The lecture's ideas about pictures, each of which leaves as many pictures as are held out to compare with."""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models import denoiser
from models.baselines import mean_picture
from models.budget import Budget
from models.devices import choose_device
from models.frechet import Floats, distances, features_of
from models.gaussian import fit_gaussian
from models.generation import generate, statics
from models.heads import read_head
from models.lecture.frequencies import draw_by_frequencies
from models.lecture.gan import compete
from models.lecture.nearest import LEVELS, nearest_pictures
from models.lecture.reverse import climb, log_odds_of
from models.lecture.shelf import Entry, Facts, Shelf
from models.pixels import to_pixels, to_values
from models.runs import RunError, RunFolder
from models.solvers import SOLVERS

NUM_DIRECTIONS = 128
"""Principal directions of the Gaussian: as many as the denoiser begins with."""

Pixels = NDArray[np.uint8]
Make = Callable[[], tuple[Facts, Pixels]]


class Idea(NamedTuple):
    """An idea: its name, what it shows in a sentence, and what makes pictures by it."""

    name: str
    says: str
    make: Make


@dataclass(frozen=True)
class Material:
    """What ideas about pictures are given.

    Attributes:
        dataset: path of the triplets, for what trains on them.
        folder: in which each training has its run.
        train: the training pictures, (N, S, S, C).
        real: pictures held out, (n, S, S, C).
        features: of the latter, or None where the network for them is not installed.
        num_steps: K of the ladder.
        seconds: of training for the denoiser.
        idea_seconds: for each of the other ideas that train.
        optimiser_steps: of all of them instead, where it is not 0.
        head: file of a trained classifier; None leaves its idea out.
        seed: of all chance.
        device: name of what trains.
        grown_steps: in which the denoiser grows pictures, beside K.
    """

    dataset: str
    folder: Path
    train: Pixels
    real: Pixels
    features: Floats | None
    num_steps: int
    seconds: float
    idea_seconds: float
    optimiser_steps: int
    head: Path | None
    seed: int
    device: str
    grown_steps: Sequence[int]

    @property
    def count(self) -> int:
        """Pictures that each idea makes: n."""
        return len(self.real)


def replay_pictures(material: Material, shelf: Shelf) -> list[Entry]:
    """Return what came of each idea, and of real pictures, in the lecture's order."""
    ideas = [*simple_ideas(material), *trained_ideas(material), *real_ones(material)]
    return [shelf.keep(idea.name, idea.says, functools.partial(_judged, material, idea.make)) for idea in ideas]


def simple_ideas(material: Material) -> list[Idea]:
    """Return the ideas that count, compare or climb, and train no network."""
    ideas = [
        Idea(
            "mean picture",
            "What is likeliest at each pixel by itself makes a blur.",
            lambda: ({}, _repeated(mean_picture([material.train]), material.count)),
        ),
        Idea(
            "pixel frequencies",
            "Each pixel by itself is as in a tree, and all together are static: a tree is how pixels go together.",
            lambda: ({}, draw_by_frequencies(material.train, material.count, material.seed)),
        ),
        Idea(
            "fitted Gaussian",
            "How pixels go together two by two makes light, dark and colour, but no trunk and no leaf.",
            lambda: ({}, _draw_gaussian(material)),
        ),
        Idea(
            "nearest training tree",
            "The greyest pictures are nearest to any static: hardly any choice, and nothing new.",
            lambda: ({}, _nearest(material)),
        ),
    ]
    if material.head is not None:
        says = "It is sure of a tree where we see static: to tell trees from other things is not to know their looks."
        ideas.append(Idea("classifier in reverse", says, functools.partial(_climb, material, material.head)))
    return ideas


def trained_ideas(material: Material) -> list[Idea]:
    """Return the ideas that train a network, each with its budget, the five-step denoiser last."""
    K = material.num_steps
    once, untold = ("--levels", "last", "--target", "clean"), ("--no-told", "--target", "clean")
    return [
        Idea(
            "two competing networks",
            "The one draws what the other lets pass; no loss says whether it gets better, or which trees are left out.",
            functools.partial(_compete, material),
        ),
        Idea(
            "denoiser in one shot",
            "Static tells nothing of the tree behind it, so the least error is at the mean of all trees.",
            functools.partial(_denoise, material, "one-shot", once, 1),
        ),
        Idea(
            "denoiser not told its step",
            "It has to see for itself how noisy a picture is, and to make the same network do for all.",
            functools.partial(_denoise, material, "not-told", untold, K),
        ),
        Idea(
            "white-out",
            "White holds no chance: what is grown differs only by the order in which its pixels are laid bare.",
            functools.partial(_denoise, material, "whiteout", ("--corruption", "whiteout"), K),
        ),
        Idea(
            "one pixel in five",
            "A fifth of the pixels is settled at each step, and never looked at again.",
            functools.partial(_denoise, material, "sparse", ("--corruption", "sparse"), K),
        ),
        *(
            Idea(
                f"denoiser, {steps} {'step' if steps == 1 else 'steps'}, {solver}",
                "Told the step, it takes a little of the static away each time, and all pixels may change their mind.",
                functools.partial(_denoise, material, "denoiser", (), steps, solver),
            )
            for steps in dict.fromkeys([K, *material.grown_steps])
            for solver in SOLVERS
        ),
    ]


def real_ones(material: Material) -> list[Idea]:
    """Return real pictures, as the floor below which nothing honest gets."""
    says = "As many training pictures: what a perfect painter of other trees would come to. Copies come to it too."
    chosen = np.random.default_rng(material.seed).permutation(len(material.train))[: material.count]
    return [Idea("real pictures", says, lambda: ({}, material.train[np.resize(chosen, material.count)]))]


def _judged(material: Material, make: Make) -> tuple[Facts, Pixels]:
    """Make pictures, and say how like real ones, how varied and how far from training pictures they are."""
    started = time.monotonic()
    facts, pictures = make()
    facts = {"seconds_in_all": round(time.monotonic() - started, 1), **facts, "num_pictures": len(pictures)}
    _, apart = nearest_pictures(to_values(pictures), material.train)
    facts |= {"variety": _scatter(pictures) / _scatter(material.real), "nearest": float(np.median(apart))}
    if material.features is not None:
        found = distances(features_of(pictures), material.features)
        facts |= {"frechet": found.frechet, "kernel": found.kernel, "kernel_error": found.kernel_error}
    told = ", ".join(f"{name} {value:.4g}" for name, value in facts.items() if isinstance(value, float))
    print(told, flush=True)
    return facts, pictures


def _scatter(pictures: Pixels) -> float:
    """Return the root mean square distance of pictures from their mean, in grey levels."""
    values = to_values(pictures)
    return float((values - values.mean(dim=0)).square().mean().sqrt()) * LEVELS


def _repeated(values: NDArray[np.float64], count: int) -> Pixels:
    pixels = to_pixels(torch.from_numpy(values).permute(2, 0, 1)[None])
    return np.repeat(pixels, count, axis=0)


def _draw_gaussian(material: Material) -> Pixels:
    values = to_values(material.train)
    gaussian = fit_gaussian(torch.cat([values, values.flip(-1)]), NUM_DIRECTIONS)
    return to_pixels(gaussian.draw(_statics(material)))


def _nearest(material: Material) -> Pixels:
    chosen, _ = nearest_pictures(_statics(material), material.train)
    return material.train[chosen]


def _statics(material: Material) -> torch.Tensor:
    _, S, _, C = material.train.shape
    return statics(material.seed, material.count, (S, S, C))


def _climb(material: Material, head: Path) -> tuple[Facts, Pixels]:
    values, odds = climb(log_odds_of(read_head(head)), _statics(material))
    return {"log_odds": float(odds.median())}, to_pixels(values)


def _compete(material: Material) -> tuple[Facts, Pixels]:
    budget = Budget(material.idea_seconds, material.optimiser_steps)
    competition = compete(to_values(material.train).to(choose_device(material.device)), budget, material.seed)
    facts = {"num_parameters": competition.num_parameters, "train_steps": competition.num_steps}
    seconds = round(budget.elapsed_s(), 1)
    return {**facts, "seconds": seconds}, to_pixels(competition.draw(material.count, material.seed))


def _denoise(
    material: Material, name: str, settings: Sequence[str], steps: int, solver: str = "auto"
) -> tuple[Facts, Pixels]:
    """Train a denoiser, unless it is trained, and grow pictures with it."""
    run = material.folder / name
    seconds = material.idea_seconds if settings else material.seconds
    budget = ["--seconds", f"{seconds:g}", "--num-steps", str(material.optimiser_steps)]
    told = settings if "--corruption" in settings else ("--corruption", "gaussian", *settings)
    chance = ("--seed", str(material.seed), "--device", material.device)
    results = trained(denoiser.main, run, (material.dataset, *told, *budget, *chance))
    pictures = generate(run, material.count, material.seed, steps, solver)
    return {**results, "solver": solver, "steps": steps}, pictures


@functools.cache
def trained(train: Callable[[Sequence[str]], int], run: Path, argv: tuple[str, ...]) -> Facts:
    """Train a network by its command line, unless its run is complete; return what a table tells of it.

    Raises:
        RunError: it failed, and said why.
        KeyboardInterrupt: somebody asked for an end.
    """
    status = train([*argv, "--out", str(run)])
    if status == 130:
        raise KeyboardInterrupt
    results = RunFolder(run).results()
    if status or results is None:
        raise RunError(f"{run}: not trained, as said above")
    return {name: results[name] for name in ("num_parameters", "train_steps", "seconds")}
