"""For texts, the longest run of words that stands in a training document too, beside the same of texts held out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from models.documents import Tokens, read_documents
from models.text_size import unit_of
from models.training_windows import open_windows
from models.verbatim import Run, longest_runs, unknown_of
from shards.dataset import WindowDataset

HELD_OUT = 40
"""Texts held out that are looked for too, at most."""

SHOWN = 70
"""Characters of a run that are printed."""


def compare_texts(grown: Sequence[Tokens], path: str, training: WindowDataset) -> dict[str, Any]:
    """Print the longest runs that texts (n,) share with training documents; return them.

    Args:
        grown: the texts, as tokens.
        path: of the dataset.
        training: its training split.
    """
    real = read_held_out(path, training, [len(text) for text in grown])
    texts = [*grown, *real]
    runs = longest_runs(texts, read_documents(training), unknown_of(training))
    told = [describe_run(run, text, training) for run, text in zip(runs, texts, strict=True)]
    found = {"grown": told[: len(grown)], "held_out": told[len(grown) :]}
    unit = f"{unit_of(training.tokenizer)}s"
    for each in found["grown"]:
        print(f"{each['length']:5d} of {each['of']} {unit}  {_shown(each['text'])!r}  {each['url']}", flush=True)
    print(f"longest run of {unit} that stands in training text too: {_medians(found)}", flush=True)
    return {"unit": unit, **found}


def read_held_out(path: str, training: WindowDataset, lengths: Sequence[int]) -> list[Tokens]:
    """Return up to `HELD_OUT` stretches of the documents of val and test, as long as the lengths say in turn."""
    splits = [split for split in ("val", "test") if training.manifest.splits.get(split)]
    documents = [document for split in splits for document in read_documents(open_windows(path, split))]
    found = list(cut([document.tokens for document in documents], [length for length in lengths if length]))
    if not found:
        print("no text as long is held out (in a split val or test): nothing says how long is long", flush=True)
        return []
    return [found[place] for place in np.linspace(0, len(found) - 1, min(HELD_OUT, len(found))).astype(int)]


def cut(documents: Iterable[Tokens], lengths: Sequence[int]) -> Iterator[Tokens]:
    """Yield stretches of documents, one after another, as long as the lengths say in turn; what is left over is not.

    >>> [piece.tolist() for piece in cut([np.arange(4), np.arange(9)], [2, 3])]
    [[0, 1], [0, 1, 2], [3, 4], [5, 6, 7]]
    """
    number = 0
    for document in documents if lengths else ():
        at = 0
        while at + (length := lengths[number % len(lengths)]) <= len(document):
            yield document[at : at + length]
            at, number = at + length, number + 1


def describe_run(run: Run, text: Tokens, training: WindowDataset) -> dict[str, Any]:
    """Return the run of a text (n,): how long, of how many, what it says, and in which document it stands and where."""
    words = training.tokenizer.decode(text[run.place : run.place + run.length].tolist())
    key, url = (run.document.key, run.document.url) if run.document else ("", "")
    at = {"place": run.place, "document": key, "url": url, "start": run.start}
    return {"length": run.length, "of": len(text), "text": words, **at}


def _medians(found: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    parts = []
    for name in ("grown", "held_out"):
        lengths = [each["length"] for each in found[name]]
        if lengths:
            longest = f"longest {max(lengths)}"
            parts.append(f"{np.median(lengths):g} (median of {len(lengths)}, {longest}) {name.replace('_', ' ')}")
    return "; ".join(parts)


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
