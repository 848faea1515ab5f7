"""What trained models make of samples, as arrays: for whoever shows it and computes nothing."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.denoising import Denoiser
from models.devices import choose_device
from models.generation import generate, load_denoiser
from models.nearest_pictures import by_pixels, find_nearest
from models.pixels import to_pixels
from models.runs import RunError
from models.training_pictures import each_picture
from models.writing import Writer, load_writer
from shards.dataset import TripletDataset

__all__ = [
    "NextWord",
    "Writer",
    "denoise",
    "generate",
    "load_denoiser_here",
    "load_writer_here",
    "nearest_pictures",
    "next_words",
]


class NextWord(NamedTuple):
    """A word that may come next, and how probable it is."""

    word: str
    probability: float


def load_denoiser_here(run: Path) -> Denoiser:
    """Return a run's denoiser on the CPU, which a page that shows a few pictures leaves to no one else.

    Raises:
        RunError: there is none.
    """
    return load_denoiser(run, choose_device("cpu"))


def load_writer_here(run: Path) -> Writer:
    """Return a run's language model on the CPU.

    Raises:
        RunError: there is none.
    """
    return load_writer(run, choose_device("cpu"))


@torch.no_grad()
def denoise(model: Denoiser, noisy: NDArray[np.float16], step: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return what a denoiser takes for the clean pictures in noisy ones, uint8 (B, S, S, C).

    Args:
        model: the denoiser.
        noisy: (B, S, S, C).
        step: k of each, 1 to K, (B,).

    Raises:
        RunError: the pictures are of another shape than it has learned.
    """
    shape = (model.shape.size, model.shape.size, model.shape.channels)
    if noisy.shape[1:] != shape or int(step.max()) > model.num_steps:
        raise RunError(f"it has learned pictures of {shape} in {model.num_steps} steps, these are {noisy.shape[1:]}")
    values = torch.from_numpy(noisy.astype(np.float32)).permute(0, 3, 1, 2)
    clean, _ = model.predict(values, torch.from_numpy(step.astype(np.float64)))
    return to_pixels(clean)


class Nearest(NamedTuple):
    """The training pictures nearest to some.

    Attributes:
        numbers: of a sample of each, int64 (N,).
        distances: root mean squared difference, in levels of 0 to 255, float64 (N,).
        num_compared: training pictures that were looked at.
    """

    numbers: NDArray[np.int64]
    distances: NDArray[np.float64]
    num_compared: int


def nearest_pictures(pictures: NDArray[np.uint8], training: TripletDataset, most: int) -> Nearest:
    """Return the training pictures nearest to some by their pixels, as they are or mirrored.

    Args:
        pictures: (N, S, S, C).
        training: what is looked through.
        most: training pictures looked at; a few more where a batch is begun.
    """
    num_compared = 0

    def some() -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        nonlocal num_compared
        for numbers, batch in each_picture(training):
            num_compared += len(numbers)
            yield numbers, batch
            if num_compared >= most:
                return

    near = find_nearest(pictures, some(), by_pixels)
    return Nearest(near.numbers, near.distances, num_compared)


@torch.no_grad()
def next_words(writer: Writer, tokens: Sequence[int], actual: int, count: int) -> list[NextWord]:
    """Return the likeliest next words after some tokens, and behind them the one that came, if it is not among them.

    Args:
        writer: the language model.
        tokens: what stands before, at least one; the last T count.
        actual: the token that came.
        count: of the likeliest.

    Raises:
        RunError: the tokens are of another dictionary.
    """
    if max(*tokens, actual) >= writer.tokenizer.vocab_size:
        raise RunError("it was trained with another dictionary than these windows have")
    seen = torch.tensor([list(tokens)[-writer.model.shape.context :]])
    logits: Any = writer.model(seen, None)[0, -1].float()
    probabilities = logits.softmax(-1)
    best, words = probabilities.topk(min(count, len(probabilities)))
    found = list(zip(words.tolist(), best.tolist(), strict=True))
    if actual not in words.tolist():
        found.append((actual, float(probabilities[actual])))
    return [NextWord(writer.tokenizer.token(word), probability) for word, probability in found]
