"""Samples of a dataset that have what somebody asks for: by key, host, or words in them."""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from shlex import quote
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import StageError
from shards.base_dataset import Dataset
from shards.dataset import TripletDataset, WindowDataset
from shards.shard import DamageError, Shard
from shards.triplet import CAPTION, PICTURE_KEY_LETTERS, RECORD, parse_triplet_key, rungs

Sample = dict[str, Any]

_KEY = re.compile(r"[0-9a-f]{1,31}|[0-9a-f]{32}(-k[1-9]\d*-d\d+)?")


@dataclass(frozen=True)
class Wanted:
    """What is asked for; what is None allows all.

    Attributes:
        count: pictures and windows, at most.
        split: `train`, `val` or `test`.
        step: of triplets, 0 for one after the other.
        key: of a picture, a sample or a window, or how it begins.
        search: a text that stands in caption, address or words; case does not count.
        host: of the picture or the page, or one above it.

    Raises:
        StageError: the key is none.
    """

    count: int = 4
    split: str | None = None
    step: int = 0
    key: str | None = None
    search: str | None = None
    host: str | None = None

    def __post_init__(self) -> None:
        if self.key is not None and not _KEY.fullmatch(self.key):
            told = "give 32 hex digits, their beginning, or a sample's, which ends as in -k2-d0"
            raise StageError(f"{self.key!r} is no key: {told}")

    @property
    def told(self) -> str:
        """What is asked for, as it stands on a command line."""
        asked = {name: getattr(self, name) for name in ("split", "step", "key", "search", "host")}
        return " ".join(f"--{name} {quote(str(value))}" for name, value in asked.items() if value) or "anything in it"

    def is_met(self, urls: Iterable[str], texts: Iterable[str]) -> bool:
        """Whether a sample with these addresses and these texts is wanted."""
        addresses = list(urls)
        if self.host is not None and not any(is_below(host_of(url), self.host) for url in addresses):
            return False
        needle = (self.search or "").casefold()
        return any(needle in text.casefold() for text in (*addresses, *texts))


def host_of(url: str) -> str:
    """The host of an address, "" where it has none.

    >>> host_of("https://Trees.example:8080/oak.png")
    'trees.example'
    """
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # crawled addresses are what they are
        return ""


def is_below(host: str, above: str) -> bool:
    """Whether a host is the other, or lies below it.

    >>> is_below("www.trees.example", "trees.example"), is_below("mytrees.example", "trees.example")
    (True, False)
    """
    above = above.lower().strip(".")
    return host == above or host.endswith(f".{above}")


def find_triplets(dataset: TripletDataset, wanted: Wanted, troubles: list[str]) -> Iterator[Sample]:
    """Yields samples, each of another picture, of the step that is wanted or of each in turn; with a key, every step.

    Args:
        dataset: where they are.
        wanted: which.
        troubles: what cannot be read is told of here.

    Raises:
        StageError: the ladder has no such step.
    """
    steps = dataset.spec.steps
    if wanted.step > steps:
        raise StageError(f"{dataset.where}: its ladder has the steps 1 to {steps}, no step {wanted.step}")
    if wanted.key is not None:
        yield from _read(dataset, _with_key(dataset, wanted, wanted.key, troubles), troubles)
    else:
        yield from islice(_read(dataset, _in_turn(dataset, wanted, troubles), troubles), wanted.count)


def find_windows(dataset: WindowDataset, wanted: Wanted, troubles: list[str]) -> Iterator[Sample]:
    """Yields windows, in the order in which they lie; see `find_triplets`."""

    def is_met(sample: Sample) -> bool:
        words = dataset.tokenizer.decode(sample["tokens"][: sample["length"]].tolist()) if wanted.search else ""
        return wanted.is_met((str(piece["url"]) for piece in sample["meta"]["documents"]), (words,))

    prefix = (wanted.key or "").encode()
    numbers = (
        number for shard, start in _shards(dataset, troubles) for number in _beginning_with(shard, prefix) + start
    )
    yield from islice(filter(is_met, _read(dataset, numbers, troubles)), wanted.count)


def _read(dataset: Dataset, numbers: Iterable[int], troubles: list[str]) -> Iterator[Sample]:
    """The samples of these numbers; of a damaged one is told."""
    for number in numbers:
        try:
            yield dataset[int(number)]
        except DamageError as error:
            _tell(troubles, error)


def _tell(troubles: list[str], error: DamageError) -> None:
    if str(error) not in troubles:
        troubles.append(str(error))


def _shards(dataset: Dataset, troubles: list[str]) -> Iterator[tuple[Shard, int]]:
    """The shards that can be opened, each with the number of its first sample."""
    start = 0
    for number, size in enumerate(dataset.sizes):
        try:
            yield dataset.shards[number], start
        except DamageError as error:
            _tell(troubles, error)
        start += size


def _beginning_with(shard: Shard, prefix: bytes) -> NDArray[np.int64]:
    """The rows whose keys begin so."""
    keys = shard.index.keys
    return np.flatnonzero(np.char.startswith(keys, prefix)) if prefix else np.arange(len(keys))


def _in_turn(dataset: TripletDataset, wanted: Wanted, troubles: list[str]) -> Iterator[int]:
    """Numbers of samples of different pictures, of one step after the other, until there are no more."""
    steps = [wanted.step] if wanted.step else list(range(1, dataset.spec.steps + 1))
    if dataset.is_virtual:
        first_samples = (number for number, _ in _rows_met(dataset, wanted, b"", troubles))
        yield from (number + step - 1 for number, step in zip(first_samples, cycle(steps), strict=False))
        return
    turn = deque(_rows_met(dataset, wanted, f"-k{step}-d0".encode(), troubles) for step in steps)
    seen: set[bytes] = set()
    while turn:
        samples = turn.popleft()
        found = next(((number, picture) for number, picture in samples if picture not in seen), None)
        if found is not None:
            yield found[0]
            seen.add(found[1])
            turn.append(samples)


def _rows_met(
    dataset: TripletDataset, wanted: Wanted, ending: bytes, troubles: list[str]
) -> Iterator[tuple[int, bytes]]:
    """The number of a row's first sample, and its picture, of the rows that are wanted and whose keys end so."""
    each = dataset.spec.samples_per_picture if dataset.is_virtual else 1
    for shard, start in _shards(dataset, troubles):
        keys = shard.index.keys
        for row in np.flatnonzero(np.char.endswith(keys, ending)).tolist():
            if _is_met(shard, row, wanted, troubles):
                yield start + row * each, keys[row][:PICTURE_KEY_LETTERS]


def _is_met(shard: Shard, row: int, wanted: Wanted, troubles: list[str]) -> bool:
    """Whether what a picture's record and caption say is wanted; they are read only where that is asked."""
    if wanted.search is None and wanted.host is None:
        return True
    try:
        record = json.loads(shard.read(row, RECORD))
        caption = shard.read(row, CAPTION).decode(errors="replace")
        return wanted.is_met((str(record["url"]), str(record["page_url"])), (caption,))
    except DamageError as error:
        _tell(troubles, error)
    except (ValueError, LookupError, TypeError):
        _tell(troubles, shard.damage(row, RECORD, "is no record"))
    return False


def _with_key(dataset: TripletDataset, wanted: Wanted, key: str, troubles: list[str]) -> Iterator[int]:
    """Numbers of the samples of the first pictures whose keys begin so, step by step."""
    picture, _, rung = key.partition("-")
    found = [
        (keys, step, draw, number)
        for shard, start in _shards(dataset, troubles)
        for row in _beginning_with(shard, picture.encode()).tolist()
        for keys, step, draw, number in _rungs_of(dataset, shard, start, row)
        if wanted.step in (0, step) and (f"k{step}-d{draw}" == rung or (not rung and draw == 0))
        if _is_met(shard, row, wanted, troubles)
    ]
    pictures = sorted({name for name, *_ in found})[: wanted.count]
    yield from (number for name, _, _, number in sorted(found) if name in pictures)


def _rungs_of(dataset: TripletDataset, shard: Shard, start: int, row: int) -> Iterator[tuple[str, int, int, int]]:
    """Picture, step, draw and number of each sample that a row stands for."""
    key = shard.index.keys[row].decode(errors="replace")
    if not dataset.is_virtual:
        yield (*parse_triplet_key(key), start + row)
        return
    for place, (step, draw) in enumerate(rungs(dataset.spec)):
        yield key, step, draw, start + row * dataset.spec.samples_per_picture + place
