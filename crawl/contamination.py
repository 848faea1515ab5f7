"""Contamination: text that a model is to be tested on must not be trained on.

A text is contaminated where it shares 13 words in a row with a text of an evaluation. The words are compared in lower
case and without punctuation.

Source: Brown et al. 2020 (GPT-3), appendix C, for the n-grams, their length and what is compared.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crawl.word_hashes import Hashes, hash_n_grams, plain_words

WORDS_PER_N_GRAM = 13


class Evaluation(NamedTuple):
    """A text of an evaluation.

    Attributes:
        origin: where it stands, as `arc.jsonl, line 7`.
        text: the text.
    """

    origin: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationIndex:
    """The n-grams of all texts of evaluations.

    Attributes:
        n: words of an n-gram.
        hashes: of the n-grams, uint64 (N,), sorted, none twice.
        numbers: for each, the first text that holds it, int64 (N,).
        origins: where each text stands.
    """

    n: int
    hashes: Hashes
    numbers: npt.NDArray[np.int64]
    origins: tuple[str, ...]


def index_evaluations(evaluations: Iterable[Evaluation], n: int = WORDS_PER_N_GRAM) -> EvaluationIndex:
    """Return the index of the texts that `find_contamination` looks for; shorter ones than n words have no n-gram."""
    origins: list[str] = []
    hashes: list[Hashes] = [np.empty(0, np.uint64)]
    for evaluation in evaluations:
        hashes.append(hash_n_grams(plain_words(evaluation.text), n))
        origins.append(evaluation.origin)
    numbers = np.repeat(np.arange(len(origins)), [len(each) for each in hashes[1:]])
    distinct, first = np.unique(np.concatenate(hashes), return_index=True)
    return EvaluationIndex(n, distinct, numbers[first], tuple(origins))


def find_contamination(text: str, index: EvaluationIndex) -> str | None:
    """Return the first n-gram that a text shares with an evaluation, and where that stands, or None.

    >>> index = index_evaluations([Evaluation("quiz.txt, line 1", "Which oak is the oldest of all?")], n=4)
    >>> find_contamination("They asked: which oak is the oldest?", index)
    'which oak is the (quiz.txt, line 1)'
    """
    words = plain_words(text)
    hashes = hash_n_grams(words, index.n)
    if not len(hashes) or not len(index.hashes):
        return None
    places = np.searchsorted(index.hashes, hashes).clip(max=len(index.hashes) - 1)
    found = np.flatnonzero(index.hashes[places] == hashes)
    if not len(found):
        return None
    shared = " ".join(words[found[0] : found[0] + index.n])
    return f"{shared} ({index.origins[index.numbers[places[found[0]]]]})"
