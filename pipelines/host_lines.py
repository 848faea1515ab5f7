"""The lines that are boilerplate on their hosts, found among the documents that are set aside, and looked up there.

No line passes a shuffle, nor its hash: hashes are set aside beside the documents, sorted by range of hosts into a file
of their own, and read there by whoever counts the hosts of one range. What passes are the places in these files.
"""

import functools
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np

from crawl.host_lines import COMMON, LINE, HostLines, Rows, find_common_lines, hash_host
from pipelines.cleaning import records_set_aside
from pipelines.copies import open_file
from pipelines.open_files import OpenFiles
from pipelines.staging import staged_name
from shards.manifest import atomic_open
from shards.object_path import AnyPath

NUM_RANGES = 64
"""Of hosts, counted apart: at a million documents of 45 lines a range has 17 MB."""

Place = tuple[str, int, int]
"""A staging file, and first byte and length of the rows of one range in its file of lines."""


class FindCommonLines(beam.PTransform):
    """Finds the boilerplate of all hosts.

    Args:
        folder: the stage's.
        settings: how common a line must be.
    """

    def __init__(self, folder: AnyPath, settings: HostLines) -> None:
        super().__init__()
        self._folder, self._settings = folder, settings

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        """The graph from names of staging files, whose records end with `LINE` rows, to ranges that are counted."""
        return (
            parts
            | "SortLines" >> beam.FlatMap(sort_lines, self._folder)
            # (range, Place)
            | "GroupByHosts" >> beam.GroupByKey()
            | "Count" >> beam.MapTuple(lambda number, places: find_common(number, places, self._folder, self._settings))
        )


def sort_lines(part: str, folder: AnyPath) -> Iterator[tuple[int, Place]]:
    """Sorts the lines of one staging file by range of hosts, into a file; yields where each range stands in it."""
    rows: dict[int, list[bytes]] = {}
    with OpenFiles() as files:
        for record in records_set_aside(folder, part):
            begin, length = record.offset + sum(record.lengths[:-1]), record.lengths[-1]
            staged = files.read(folder / staged_name(part), begin, length)
            rows.setdefault(hash_host(record.url) % NUM_RANGES, []).append(staged)
    with atomic_open(folder / _lines_name(part)) as target:
        for number, pieces in sorted(rows.items()):
            begin = target.tell()
            target.write(b"".join(pieces))
            yield number, (part, begin, target.tell() - begin)


def find_common(number: int, places: Iterable[Place], folder: AnyPath, settings: HostLines) -> int:
    """Writes which lines are boilerplate on the hosts of one range; returns its number."""
    with OpenFiles() as files:
        rows = b"".join(files.read(folder / _lines_name(part), begin, length) for part, begin, length in places)
    with atomic_open(folder / _common_name(number)) as target:
        target.write(find_common_lines(np.frombuffer(rows, LINE), settings).tobytes())
    return number


@functools.lru_cache(maxsize=NUM_RANGES)
def _common_of_range(folder: AnyPath, number: int) -> Rows:
    with open_file(folder / _common_name(number), is_final=True) as file:
        return np.fromfile(file, COMMON)


def common_lines(folder: AnyPath, url: str) -> Rows:
    """The boilerplate of a document's host, and of others in its range: `COMMON` rows."""
    return _common_of_range(folder, hash_host(url) % NUM_RANGES)


def _lines_name(part: str) -> str:
    return staged_name(f"lines-{part}")


def _common_name(number: int) -> str:
    return staged_name(f"common-lines-{number:02d}")
