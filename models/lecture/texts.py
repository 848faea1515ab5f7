"""The lecture's ideas about text, each judged by the same words held out, with a sentence of each."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models import language
from models.baselines import Bigram, Floats, count_words, unigram
from models.drawing import Drawing, next_word_probabilities
from models.lecture.pictures import trained
from models.lecture.shelf import Entry, Facts, Shelf
from models.lecture.trigrams import Trigram, count_triples
from models.runs import RunFolder
from models.training_windows import MAX_COUNTED_BATCHES
from models.word_losses import COUNTED_TOGETHER
from models.writing import generate
from shards.dataset import WindowDataset
from shards.tokenizer import WordTokenizer

NUM_WORDS = 30
"""Most words of a sample."""

TEMPERATURE = 0.8
"""At which samples are drawn, from counts as from networks."""

Predict = Callable[[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]], Floats]
"""Words two before, one before and next, of one shape, to the probability of the last."""

NETWORKS = {
    "state, no attention": ("no-attention", "All that it knows of the words before has to go through one vector."),
    "state with attention": ("attention", "It looks back at any word, and the state says which matter now."),
    "GPT": ("gpt", "No state: every word looks at all before it, at once, and in several layers."),
}


class Told(NamedTuple):
    """An idea that counts: its name, what it shows in a sentence, and the probabilities it gives."""

    name: str
    says: str
    predict: Predict


@dataclass(frozen=True)
class Library:
    """What ideas about text are given.

    Attributes:
        dataset: path of the windows, for what trains on them.
        folder: in which each training has its run.
        train: the training windows.
        held_out: those that judge.
        seconds: of training for each network.
        optimiser_steps: instead, where it is not 0.
        seed: of all chance.
        device: name of what trains.
    """

    dataset: str
    folder: Path
    train: WindowDataset
    held_out: WindowDataset
    seconds: float
    optimiser_steps: int
    seed: int
    device: str


def replay_texts(library: Library, shelf: Shelf) -> list[Entry]:
    """Return what came of each idea, in the lecture's order."""
    counted = [
        shelf.keep(told.name, told.says, lambda told=told: (judge(library, told.predict), None))  # type: ignore[misc]
        for told in counting_ideas(library)
    ]
    networks = [
        shelf.keep(name, says, lambda model=model: (train_network(library, model), None))  # type: ignore[misc]
        for name, (model, says) in NETWORKS.items()
    ]
    return [*counted, *networks]


def counting_ideas(library: Library) -> list[Told]:
    """Return the ideas that count words, and train nothing."""
    num_words = library.train.tokenizer.vocab_size
    counts = count_words(_windows(library.train), num_words)
    alone, bigram = unigram(counts), Bigram(counts)
    trigram = Trigram(count_triples(_windows(library.train), num_words), counts.words)
    return [
        Told(
            "counts of words",
            "How often each word is written, whatever stands before it: the words of the language, and no sentence.",
            lambda first, second, third: np.asarray(alone[third]),
        ),
        Told(
            "counts of pairs",
            "Each word fits the one before it, and nothing else.",
            lambda first, second, third: bigram.probability(second, third),
        ),
        Told(
            "counts of triples",
            "Pieces of sentences; but most runs of three were never seen, and of longer ones nearly all.",
            trigram.probability,
        ),
    ]


def _windows(dataset: WindowDataset) -> Iterator[tuple[NDArray[np.integer], NDArray[np.bool_]]]:
    loader = dataset.loader(COUNTED_TOGETHER, finite=True, shuffle=False, fields=("tokens", "mask"))
    batches = ((batch["tokens"], batch["mask"] & batch["valid"][:, None]) for batch in loader)
    return itertools.islice(batches, MAX_COUNTED_BATCHES)


def judge(library: Library, predict: Predict) -> Facts:
    """Return the cross-entropy of the words held out, in nats, and a sample.

    Before the first word of a window the end of a text is thought.
    """
    nats, num_words = 0.0, 0
    eos = library.train.tokenizer.eos_id
    for tokens, mask in _windows(library.held_out):
        earlier = np.concatenate([np.full((len(tokens), 1), eos), tokens[:, :-2]], axis=1)
        nats -= np.log(predict(earlier[mask], tokens[:, :-1][mask], tokens[:, 1:][mask])).sum()
        num_words += int(mask.sum())
    return {"nats": float(nats / max(1, num_words)), "num_words": num_words, "sample": write(library, predict)}


def write(library: Library, predict: Predict) -> str:
    """Return a text drawn word by word."""
    tokenizer = library.train.tokenizer
    chance = torch.Generator().manual_seed(library.seed)
    banned = (tokenizer.unk_id,) if isinstance(tokenizer, WordTokenizer) else ()
    drawing = Drawing(temperature=TEMPERATURE, banned=banned)
    everything = np.arange(tokenizer.vocab_size)
    text = [tokenizer.eos_id, tokenizer.eos_id]
    while len(text) < NUM_WORDS + 2 and text.count(tokenizer.eos_id) == 2:
        first, second = (np.full_like(everything, word) for word in text[-2:])
        logits = torch.from_numpy(np.log(predict(first, second, everything)))
        text.append(int(torch.multinomial(next_word_probabilities(logits, drawing), 1, generator=chance)))
    return tokenizer.decode([word for word in text if word != tokenizer.eos_id]).strip()


def train_network(library: Library, model: str) -> Facts:
    """Train a language model, unless it is trained; return how well it knows the words held out, and a sample."""
    run = library.folder / model
    budget = ("--seconds", f"{library.seconds:g}", "--num-steps", str(library.optimiser_steps))
    argv = (library.dataset, "--model", model, *budget, "--seed", str(library.seed), "--device", library.device)
    facts = trained(language.main, run, argv)
    results = RunFolder(run).results()
    assert results is not None
    sample = generate(run, "", NUM_WORDS, library.seed)
    return {**facts, "nats": results["losses"]["model"], "num_words": results["num_words"], "sample": sample}
