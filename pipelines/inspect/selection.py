"""Which samples are shown: the one with a key; of triplets, a page of all, of one step, or of what a filter passes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.inspect.catalogue import Filter, chosen_keys, hosts_of
from pipelines.inspect.places import find_sample, in_what_can_be_read, record_of, rungs_of
from pipelines.inspect.query import QueryError
from pipelines.inspect.sources import READING, Source
from shards.base_dataset import Dataset
from shards.dataset import TripletDataset
from shards.shard import DamageError
from shards.triplet import PICTURE_KEY_LETTERS, rungs, triplet_key

MOST_LOOKED_AT = 1_500
"""Records read for one page where no table says what they hold."""


@dataclass(frozen=True)
class Selection:
    """Some samples of a split.

    Attributes:
        numbers: of the samples.
        total: how many there are in all, None where only looking at each would tell.
        after: what `first` must be for the page behind this one, None where this is the last.
    """

    numbers: list[int]
    total: int | None
    after: int | None


def sample_number(dataset: Dataset, key: str) -> int:
    """The number of a sample, the first where no key is given.

    Raises:
        QueryError: there is none with that key.
    """
    try:
        number = find_sample(dataset, key) if key else 0
    except ValueError:
        number = None
    if number is None:
        what = "triplet" if isinstance(dataset, TripletDataset) else "window"
        raise QueryError(f"no {what} of {dataset.split} has the key {key[:60]!r}{in_what_can_be_read(dataset)}")
    return number


def choose(source: Source, split: str, step: int, wanted: Filter, first: int, count: int) -> Selection:
    """A page of samples of a split.

    Args:
        source: what is looked at.
        split: its name.
        step: k, or 0 for all steps.
        wanted: what else is asked for.
        first: how many of those that match come before this page.
        count: samples on a page.

    Raises:
        DatasetError: there is no such split.
    """
    dataset = source.triplets(split)
    if wanted.is_any:
        return _of_all(source, dataset, step, first, count)
    keys = chosen_keys(source, split, wanted)
    if keys is None:
        return _looked_at(dataset, step, wanted, first, count)
    tails = [rung for rung in rungs(dataset.spec) if step in (0, rung[0])]
    places = range(first, min(first + count, len(keys) * len(tails)))
    found = (find_sample(dataset, triplet_key(keys[p // len(tails)], *tails[p % len(tails)])) for p in places)
    return _page([number for number in found if number is not None], len(keys) * len(tails), first, count)


def _page(numbers: list[int], total: int, first: int, count: int) -> Selection:
    return Selection(numbers, total, first + count if first + count < total else None)


def _of_all(source: Source, dataset: TripletDataset, step: int, first: int, count: int) -> Selection:
    spec = dataset.spec
    if not step:
        return _page(list(range(first, min(first + count, len(dataset)))), len(dataset), first, count)
    total = len(dataset) // spec.steps
    if dataset.is_virtual:
        records = [divmod(place, spec.draws) for place in range(first, min(first + count, total))]
        numbers = [record * spec.samples_per_picture + draw * spec.steps + step - 1 for record, draw in records]
        return _page(numbers, total, first, count)
    return _page(_of_step(source, dataset, step, first, count), total, first, count)


def _of_step(source: Source, dataset: TripletDataset, step: int, first: int, count: int) -> list[int]:
    """Numbers of stored samples of one step: the indexes are gone through, as many as it takes."""
    numbers: list[int] = []
    before = seen = 0
    for shard, size in enumerate(dataset.sizes):
        rows = _rows_of_step(source, dataset, shard, step)
        begin = max(0, first - seen)
        numbers += (rows[begin : begin + count - len(numbers)] + before).tolist()
        seen, before = seen + len(rows), before + size
        if len(numbers) == count:
            break
    return numbers


def _rows_of_step(source: Source, dataset: TripletDataset, shard: int, step: int) -> NDArray[np.int64]:
    """Rows of one step in a shard; none where it cannot be opened."""

    def look() -> NDArray[np.int64]:
        try:
            keys = dataset.shards[shard].index.keys
        except DamageError:
            return np.empty(0, np.int64)
        tail = f"-k{step}-".encode()
        found = np.char.find(keys, tail, PICTURE_KEY_LETTERS) == PICTURE_KEY_LETTERS
        return np.flatnonzero(found)

    return source.kept.of((dataset.where, dataset.split, "rows", shard, step), look)


def _looked_at(dataset: TripletDataset, step: int, wanted: Filter, first: int, count: int) -> Selection:
    """What matches among the records from one on, looked at one by one; `first` and `after` count those looked at."""
    each = rungs_of(dataset)
    numbers: list[int] = []
    for record in range(first, min(first + MOST_LOOKED_AT, len(dataset) // each)):
        if _matches(dataset, record * each, step, wanted):
            numbers.append(record * each + max(step, 1) - 1 if each > 1 else record)
        if len(numbers) == count:
            break
    else:
        record = first + MOST_LOOKED_AT - 1
    return Selection(numbers, None, record + 1 if (record + 1) * each < len(dataset) else None)


def _matches(dataset: TripletDataset, number: int, step: int, wanted: Filter) -> bool:
    try:
        record: dict[str, Any] = record_of(dataset, number)
        if wanted.licence not in ("", record["licence"]) or (record.get("step", step) != step and step):
            return False
        if wanted.host and hosts_of_one(str(record["url"])) != wanted.host:
            return False
        return not wanted.word or wanted.word.casefold() in str(dataset[number]["caption"]).casefold()
    except READING:
        return False


def hosts_of_one(url: str) -> str:
    """The host of one URL, as `hosts_of` tells it."""
    import pyarrow as pa  # noqa: PLC0415 - only where there are no tables

    host: str = hosts_of(pa.array([url]))[0].as_py()
    return host
