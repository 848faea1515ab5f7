"""From the key of a sample to where it stands, and back: samples are in the order of their keys' hashes.

A binary search over the shards, then within one, opens as many indexes as it takes steps, and reads no tar.
"""

import bisect
import itertools
import json
from functools import lru_cache
from typing import Any, NamedTuple

from shards.base_dataset import Dataset
from shards.dataset import TripletDataset, open_dataset
from shards.shard import DamageError
from shards.triplet import RECORD, parse_triplet_key, triplet_key
from shards.writer import order_hash


class Place(NamedTuple):
    """Where a sample stands: its shard, its row of the index, and which rung of a virtual picture it is."""

    shard: int
    row: int
    rung: int


@lru_cache(maxsize=16)
def open_split(where: str, split: str) -> Dataset:
    """A split of a committed dataset, opened once: what is committed never changes."""
    return open_dataset(where, split)


def rungs_of(dataset: Dataset) -> int:
    """How many samples one row of an index stands for."""
    return dataset.spec.samples_per_picture if isinstance(dataset, TripletDataset) and dataset.is_virtual else 1


def locate(dataset: Dataset, number: int) -> Place:
    """Where a sample stands, by its number."""
    ends = list(itertools.accumulate(dataset.sizes))
    shard = bisect.bisect_right(ends, number)
    return Place(shard, *divmod(number - ends[shard] + dataset.sizes[shard], rungs_of(dataset)))


def find_sample(dataset: Dataset, key: str) -> int | None:
    """The number of the sample with a key, as `dataset[number]` takes it; of a virtual picture that of its rung."""
    stored, rung, each = key, 0, rungs_of(dataset)
    if isinstance(dataset, TripletDataset) and dataset.is_virtual:
        stored, step, draw = parse_triplet_key(key)
        if step > dataset.spec.steps or draw >= dataset.spec.draws:
            return None
        rung = draw * dataset.spec.steps + max(step, 1) - 1
    place = _find(dataset, stored)
    return None if place is None else sum(dataset.sizes[: place[0]]) + place[1] * each + rung


def in_what_can_be_read(dataset: Dataset) -> str:
    """What to add where a sample was not found: why a shard could not be looked into, "" where all could."""
    reasons = (dataset.shards.reason(number) for number in range(len(dataset.sizes)))
    reason = next(filter(None, reasons), "")
    return f", as far as they can be read: {reason}" if reason else ""


def key_of(dataset: Dataset, number: int) -> str:
    """The key of a sample by its number.

    Raises:
        DamageError: its shard cannot be read so far.
    """
    place = locate(dataset, number)
    keys = dataset.shards[place.shard].index.keys
    if place.row >= len(keys):
        raise DamageError(f"{dataset.shards.path(place.shard)}: sample number {place.row} is not there")
    key: str = keys[place.row].decode()
    if isinstance(dataset, TripletDataset) and dataset.is_virtual:
        return triplet_key(key, place.rung % dataset.spec.steps + 1, place.rung // dataset.spec.steps)
    return key


def key_or_none(dataset: Dataset, number: int) -> str:
    """The key of a sample, "" where there is none or its shard cannot be opened."""
    try:
        return key_of(dataset, number) if 0 <= number < len(dataset) else ""
    except DamageError:
        return ""


def record_of(dataset: Dataset, number: int) -> dict[str, Any]:
    """The JSON of a sample, without its arrays.

    Raises:
        DamageError: it is damaged.
        ValueError: it is no JSON.
    """
    place = locate(dataset, number)
    record: dict[str, Any] = json.loads(dataset.shards.read(place.shard, place.row, RECORD))
    return record


def _find(dataset: Dataset, key: str) -> tuple[int, int] | None:
    """Shard and row of a stored key; a shard that cannot be opened holds nothing."""
    wanted = order_hash(key)
    numbers = list(range(len(dataset.sizes)))
    while numbers:
        middle = len(numbers) // 2
        try:
            keys = dataset.shards[numbers[middle]].index.keys
        except DamageError:
            del numbers[middle]
            continue
        if not len(keys) or order_hash(keys[0].decode()) > wanted:
            numbers = numbers[:middle]
        elif order_hash(keys[-1].decode()) < wanted:
            numbers = numbers[middle + 1 :]
        else:
            row = bisect.bisect_left(keys, wanted, key=lambda each: order_hash(each.decode()))
            return (numbers[middle], row) if row < len(keys) and keys[row].decode() == key else None
    return None
