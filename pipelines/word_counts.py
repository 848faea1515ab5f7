"""The commonest words of many tables: counts are set aside by range of words, and what passes is where they stand."""

import heapq
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

import apache_beam as beam

from pipelines.staging import Place, create_staged, read_staged, stage_payload
from shards.object_path import AnyPath

NUM_RANGES = 16
"""Of words, added up apart: the memory of a worker holds the words of one, and each table names as many places."""


class FindCommonest(beam.PTransform):
    """Finds the commonest words.

    Args:
        folder: the stage's.
        max_words: the most to find.
        min_count: of each.
    """

    def __init__(self, folder: AnyPath, max_words: int, min_count: int) -> None:
        super().__init__()
        self._folder, self._max_words, self._min_count = folder, max_words, min_count

    def expand(self, places: beam.PCollection) -> beam.PCollection:
        """The graph from `set_aside`'s ranges and places to one dictionary of counts by word, the commonest first."""
        return (
            places
            | "GroupByRange" >> beam.GroupByKey()
            # (range, [Place])
            | "AddUp" >> beam.MapTuple(self._add_up)
            # Place
            | "Gather" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
            # [Place], also where there is no word
            | "Commonest" >> beam.Map(lambda found: dict(self._commonest(_read(self._folder, found))))
        )

    def _add_up(self, number: int, places: Iterable[Place]) -> Place:
        name = f"commonest-words-{number:02d}"
        found = self._commonest(_read(self._folder, places))
        with create_staged(self._folder, name) as file:
            return _write(file, name, found)

    def _commonest(self, counts: Mapping[str, int]) -> list[tuple[str, int]]:
        """The commonest first, ties in the order of their code points."""
        enough = (word for word in counts.items() if word[1] >= self._min_count)
        return heapq.nsmallest(self._max_words, enough, key=lambda word: (-word[1], word[0]))


def set_aside(counts: Mapping[str, int], folder: AnyPath, name: str) -> Iterator[tuple[int, Place]]:
    """Writes counts by word into a staging file of a name; yields where each range of words stands in it."""
    ranges: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for word, count in counts.items():
        ranges[zlib.crc32(word.encode()) % NUM_RANGES][word] = count
    with create_staged(folder, name) as file:
        for number, counted in sorted(ranges.items()):
            yield number, _write(file, name, sorted(counted.items()))


def _write(file: BinaryIO, name: str, counts: Iterable[tuple[str, int]]) -> Place:
    begin, length = stage_payload(file, [json.dumps(list(counts)).encode()])
    return name, begin, length


def _read(folder: AnyPath, places: Iterable[Place]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name, begin, length in places:
        for word, count in json.loads(read_staged(folder, name, begin, [length])[0]):
            counts[word] += count
    return counts
