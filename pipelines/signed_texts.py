"""Documents with their shingles, set aside: by staging file and place, and as rows of all files put end to end."""

import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crawl.similar_texts import Rows
from crawl.word_hashes import Hashes
from pipelines.copies import open_file
from pipelines.open_files import OpenFiles
from pipelines.receipts import receipt_of
from pipelines.staging import staged_name
from shards.manifest import atomic_open
from shards.object_path import AnyPath

_ENTRY = np.dtype([("key", "S32"), ("offset", "<u8"), ("length", "<u4"), ("num_shingles", "<u4")])
"""Of a document: its key, and where its JSON stands in the staging file, with its shingles behind it."""


class StagedText(NamedTuple):
    """A clean document, set aside: its JSON and behind that its shingles.

    Attributes:
        key: its key.
        url: where it was found.
        offset: of the JSON in the staging file.
        lengths: of JSON and shingles, in bytes.
    """

    key: str
    url: str
    offset: int
    lengths: tuple[int, int]


def note_texts(folder: AnyPath, part: str, offsets: Iterable[int]) -> list[StagedText]:
    """Notes which documents of a staging file go on, and returns them in the order of their offsets."""
    texts = _staged_texts(folder, part, offsets)
    rows = [(text.key.encode(), text.offset, text.lengths[0], text.lengths[1] // 8) for text in texts]
    with atomic_open(folder / _entries_name(part)) as target:
        target.write(np.array(rows, _ENTRY).tobytes())
    return texts


def noted_texts(folder: AnyPath, part: str) -> list[StagedText]:
    """The documents that `note_texts` returned."""
    return _staged_texts(folder, part, _entries(folder, part)["offset"].tolist())


def _staged_texts(folder: AnyPath, part: str, offsets: Iterable[int]) -> list[StagedText]:
    receipt, wanted = receipt_of(folder, part), set(offsets)
    found = (StagedText(key, url, place[0], (place[1], place[2])) for key, url, place in receipt.notes["cleaned"])
    return sorted((each for each in found if each.offset in wanted), key=lambda each: each.offset)


class SignedTexts:
    """The documents of all staging files by row, in the order of the files' names and of places within.

    Args:
        files: to read through.
        folder: the stage's.
        counts: documents of each staging file.
    """

    def __init__(self, files: OpenFiles, folder: AnyPath, counts: Mapping[str, int]) -> None:
        self._files, self._folder, self._parts = files, folder, sorted(counts)
        self._starts = np.cumsum([0, *(counts[part] for part in self._parts)])
        self._first = dict(zip(self._parts, self._starts.tolist(), strict=False))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def rows(self, part: str, numbers: npt.NDArray[np.uint32]) -> Rows:
        """The rows of documents that are known by their number within a staging file."""
        return numbers + np.uint32(self._first[part])

    def place(self, row: int) -> tuple[str, int]:
        """The staging file that a row stands in, and its number within it."""
        part = int(np.searchsorted(self._starts, row, "right")) - 1
        return self._parts[part], row - int(self._starts[part])

    def key(self, row: int) -> str:
        """The key of a row's document."""
        return bytes(self._entry(row)["key"]).decode()

    def num_shingles(self, row: int) -> int:
        """How many shingles a row's document has."""
        return int(self._entry(row)["num_shingles"])

    def shingles(self, row: int) -> Hashes:
        """The shingles of a row's document: uint64 (N,), sorted."""
        entry, (part, _) = self._entry(row), self.place(row)
        begin, length = int(entry["offset"]) + int(entry["length"]), 8 * int(entry["num_shingles"])
        return np.frombuffer(self._files.read(self._folder / staged_name(part), begin, length), "<u8")

    def _entry(self, row: int) -> np.void:
        part, number = self.place(row)
        entry: np.void = _entries(self._folder, part)[number]
        return entry


@functools.lru_cache(maxsize=256)
def _entries(folder: AnyPath, part: str) -> npt.NDArray[np.void]:
    with open_file(folder / _entries_name(part), is_final=True) as file:
        return np.fromfile(file, _ENTRY)


def _entries_name(part: str) -> str:
    return staged_name(f"signed-{part}")
