"""What `seedbed show` prints: training examples in a terminal, chosen by what stands in them.

Nothing here reads more than it must: samples are looked at in the order in which they lie, which is a shuffled one,
until as many were found as are wanted. What is damaged is told of, and the rest is shown.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from pipelines.errors import StageError
from pipelines.folders import committed_folders
from pipelines.found_samples import Wanted, find_triplets, find_windows, host_of
from pipelines.harmless import harmless
from pipelines.strips import save_strip, triptych
from pipelines.terminal import Screen
from shards.committed import Committed
from shards.dataset import TripletDataset, WindowDataset, open_dataset
from shards.describe import SPLITS
from shards.tokens import END, UNKNOWN

MAX_CONTEXT = 600
"""Characters of a window's context that are shown: its end, before the next word."""

MAX_ADDRESSES = 3
"""Documents of a window whose addresses are shown."""


@dataclass
class Shown:
    """What came of looking.

    Attributes:
        count: how many examples were found.
        troubles: what could not be read, each in a line.
    """

    count: int = 0
    troubles: list[str] = field(default_factory=list)


def show_samples(path: str, wanted: Wanted, screen: Screen, png: Path | None = None) -> Shown:
    """Prints samples of the datasets that `path` means: a build, a stage, a dataset, or a dataset's URL.

    Args:
        path: where they are.
        wanted: which.
        screen: where they are shown.
        png: a folder where the pictures are written instead of drawn.

    Raises:
        StageError: there is no dataset, or no sample that is wanted.
        ManifestError: nothing is committed there, or it cannot be read.
        DatasetError: a dataset cannot be opened.
    """
    datasets = _datasets(path, wanted)
    shown = Shown()
    for committed in datasets:
        split = shown_split(committed, wanted.split)
        if split is None:
            screen.say(f"{committed.manifest.stage}: no sample in {wanted.split or 'any split'}")
            continue
        dataset = open_dataset(committed.store.where, split)
        if isinstance(dataset, TripletDataset):
            _show_triplets(dataset, wanted, screen, png, shown)
        else:
            _show_windows(dataset, wanted, screen, shown)
    if not shown.count and not shown.troubles:
        raise StageError(f"{path}: no sample has {wanted.told}; ask for less")
    return shown


def shown_split(committed: Committed, wanted: str | None) -> str | None:
    """The split to show of a dataset: the one wanted, else train, or val, or test; None where it has no sample."""
    splits = SPLITS if wanted is None else (wanted,)
    return next((split for split in splits if committed.manifest.splits.get(split)), None)


def _datasets(path: str, wanted: Wanted) -> list[Committed]:
    """The datasets that are meant and have what is wanted.

    Raises:
        StageError: there is none.
    """
    folders = committed_folders(path)
    datasets = [committed for committed in folders if "spec" in committed.manifest.configuration]
    if not datasets:
        built = ", ".join(committed.manifest.stage for committed in folders)
        raise StageError(f"{path}: neither triplets nor windows were built there, but {built}; build them too")
    if not any(shown_split(committed, wanted.split) for committed in datasets):
        told = " and ".join(committed.manifest.stage for committed in datasets)
        raise StageError(f"{path}: {told} have no sample in {wanted.split or 'any split'}; give another --split")
    if wanted.step:
        datasets = [committed for committed in datasets if committed.manifest.stage == "triplets"]
        if not datasets:
            raise StageError(f"{path}: --step {wanted.step} is about triplets, and there are none; leave it out")
    return datasets


def _show_triplets(dataset: TripletDataset, wanted: Wanted, screen: Screen, png: Path | None, shown: Shown) -> None:
    for sample in find_triplets(dataset, wanted, shown.troubles):
        strip, meta = triptych(sample, dataset.spec), sample["meta"]
        screen.say(sample["key"], "bold cyan")
        if png is None:
            screen.draw(strip.panels)
        else:
            screen.say_address(str(save_strip(strip, png)))
        screen.say(sample["caption"] or "(no caption)", "" if sample["caption"] else "dim")
        screen.say(", ".join(_facts(dataset.split, meta)), "dim")
        screen.say_address(str(meta.get("url", "")))
        screen.console.print()
        shown.count += 1


def _facts(split: str, meta: dict[str, Any]) -> list[str]:
    """What there is to say of a picture besides its caption, each in a word or two."""
    licence = "no licence known" if meta["licence"] == "unknown" else meta["licence"]
    author = [] if meta["author"] == "unknown" else [f"by {meta['author']}"]
    return [split, licence, *author, host_of(str(meta.get("url", "")))]


def _show_windows(dataset: WindowDataset, wanted: Wanted, screen: Screen, shown: Shown) -> None:
    for sample in find_windows(dataset, wanted, shown.troubles):
        length, meta = sample["length"], sample["meta"]
        tokens = sample["tokens"][:length].tolist()
        before, word = dataset.tokenizer.decode(tokens[:-1]), dataset.tokenizer.token(tokens[-1])
        screen.say(f"window {sample['key']}", "bold cyan")
        screen.say_text(_as_text(before, word, screen.console.encoding))
        screen.say(f"{dataset.split}, {length} tokens from {meta['position']} on", "dim")
        addresses = list(dict.fromkeys(str(piece["url"]) for piece in meta["documents"]))
        for address in addresses[-MAX_ADDRESSES:]:
            screen.say_address(address)
        screen.console.print()
        shown.count += 1


def _as_text(before: str, word: str, encoding: str) -> Text:
    """The end of a window's context and the next word, in brackets; what the dictionary lacks stands out."""
    start = "... " if len(before) > MAX_CONTEXT else ""
    context = Text(start + harmless(before[-MAX_CONTEXT:], encoding, MAX_CONTEXT))
    context.highlight_words([UNKNOWN], "red")
    context.highlight_words([END], "dim")
    return Text.assemble(
        context, " ", (f"[{harmless(word, encoding) or word.encode('unicode_escape').decode()}]", "bold reverse")
    )
