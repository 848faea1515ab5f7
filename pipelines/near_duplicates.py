"""Near duplicates among clean pictures: of each cluster the largest goes on, and its name decides the split.

No picture's hashes pass a shuffle: they are set aside beside the pictures (`LIKENESS`, 512 bytes each), put end to end
in one file, and searched there by tasks side by side, more of them the more pictures there are. What passes between
the steps are names of files.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import TaggedOutput

from crawl.likeness import LIKENESS
from crawl.similar_pairs import Indices, Pairs, SearchTask, components, search_tasks, similar_pairs, unique_pairs
from pipelines.cleaning import Cleaned
from pipelines.copies import open_file
from pipelines.duplicates import REJECTS
from pipelines.fates import Reject
from pipelines.receipts import Receipt, finish_part
from pipelines.staging import create_staged, map_staged, staged_name
from shards.manifest import FileEntry
from shards.object_path import AnyPath

_LOOKS, _KEYS, _PARTS, _FATES = "looks", "looks-keys", "looks-parts", "looks-fates"
_KEY = np.dtype("S32")
_BLOCK = 1 << 20
"""Pictures whose fates are written at a time, 16 bytes each."""


class Distinct(NamedTuple):
    """A clean picture that goes on, set aside.

    Attributes:
        key: its key.
        cluster: the smallest key among its near duplicates and its own.
        part: the staging file.
        offset: in it.
        lengths: of its pieces, in bytes: the file, caption and JSON, and its likeness where near duplicates are sought.
    """

    key: str
    cluster: str
    part: str
    offset: int
    lengths: tuple[int, ...]


class SettleNearDuplicates(beam.PTransform):
    """Turns away all but the largest of each cluster of near duplicates; ties go to the smallest key.

    Args:
        folder: the stage's folder.
        how: "reject"; or "keep", where all go on, told which cluster they are of; or "ignore", where none are looked
            for, and each picture is a cluster of its own.
    """

    def __init__(self, folder: AnyPath, how: str) -> None:
        super().__init__()
        self._folder, self._how = folder, how

    def expand(self, cleaned: beam.PCollection) -> tuple[beam.PCollection, tuple[beam.PCollection, ...]]:
        """The graph from `Cleaned`, whose last piece is a `LIKENESS`, to lists of `Distinct`, and to `Reject`s."""
        parts = (
            cleaned
            | "KeyByStaging" >> beam.Map(lambda cleaned: (cleaned.part, cleaned.packed()))
            | "GroupByStaging" >> beam.GroupByKey()
            | "UnpackCleaned" >> beam.MapTuple(lambda part, packed: (part, [*map(Cleaned.unpack, packed)]))
            # (staging file, [Cleaned])
        )
        if self._how == "ignore":
            return parts | "StandAlone" >> beam.MapTuple(lambda _, cleaned: [stand_alone(each) for each in cleaned]), ()
        told = self._tell(parts)
        return told.kept, (told.rejects,)

    def _tell(self, parts: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        return (
            parts
            | "SetLooksAside" >> beam.MapTuple(lambda part, cleaned: set_looks_aside(part, cleaned, self._folder))
            # (0, (staging file, pictures in it))
            | "GroupAll" >> beam.GroupByKey()
            | "JoinLooks" >> beam.FlatMapTuple(lambda _, parts: join_looks(parts, self._folder))
            # task
            | "SpreadTasks" >> beam.Reshuffle()
            | "FindPairs" >> beam.Map(find_pairs, self._folder)
            # (0, task)
            | "GroupTasks" >> beam.GroupByKey()
            | "Cluster" >> beam.FlatMapTuple(lambda _, tasks: cluster_all(tasks, self._folder))
            # (staging file, first row, rows)
            | "SpreadFates" >> beam.Reshuffle()
            | "TellFates" >> beam.FlatMapTuple(self._tell_fates).with_outputs(REJECTS, main="kept")
        )

    def _tell_fates(self, part: str, begin: int, count: int) -> Iterator[Any]:
        return tell_fates(part, begin, count, self._folder, keep=self._how == "keep")


def stand_alone(cleaned: Cleaned) -> Distinct:
    """A clean picture as one without near duplicates."""
    return Distinct(cleaned.key, cleaned.key, cleaned.part, cleaned.offset, cleaned.lengths)


def set_looks_aside(part: str, cleaned: Iterable[Cleaned], folder: AnyPath) -> tuple[int, tuple[str, int]]:
    """Copies the likenesses of the pictures in one staging file into one of their own, with a list of the pictures."""
    pictures = sorted((each.offset, each.key, each.url, each.lengths) for each in cleaned)
    with (
        open_file(folder / staged_name(part), is_final=True) as source,
        create_staged(folder, f"{_LOOKS}-{part}") as target,
    ):
        for offset, _, _, lengths in pictures:
            source.seek(offset + sum(lengths[:-1]))
            target.write(source.read(LIKENESS.itemsize))
    with create_staged(folder, f"{_PARTS}-{part}") as target:
        target.write(json.dumps(pictures, ensure_ascii=False).encode())
    return 0, (part, len(pictures))


def join_looks(parts: Iterable[tuple[str, int]], folder: AnyPath) -> Iterator[SearchTask]:
    """Puts the likenesses and the keys of all pictures end to end, in order of staging file; yields the tasks to do."""
    ordered = sorted(parts)
    with create_staged(folder, _LOOKS) as looks, create_staged(folder, _KEYS) as keys:
        for part, _ in ordered:
            looks.write((folder / staged_name(f"{_LOOKS}-{part}")).read_bytes())
            keys.write(b"".join(key.encode() for _, key, _, _ in _pictures(folder, part)))
    with create_staged(folder, _PARTS) as target:
        target.write(json.dumps(ordered).encode())
    yield from search_tasks(sum(count for _, count in ordered))


def find_pairs(task: SearchTask, folder: AnyPath) -> tuple[int, SearchTask]:
    """Writes the pairs of near duplicates that one task finds, unless an earlier run has."""
    finish_part(folder, _pairs_name(task), lambda: _find_pairs(task, folder))
    return 0, task


def _find_pairs(task: SearchTask, folder: AnyPath) -> Receipt:
    looks: npt.NDArray[np.void] = map_staged(folder, _LOOKS, LIKENESS)
    name, pairs = _pairs_name(task), similar_pairs(looks, task)
    with create_staged(folder, name) as target:
        np.save(target, pairs)
        size = target.tell()
    return Receipt((FileEntry(staged_name(name), size, "", len(pairs)),))


def cluster_all(tasks: Iterable[SearchTask], folder: AnyPath) -> Iterator[tuple[str, int, int]]:
    """Writes which picture stands for each one, and which names its cluster; yields where each part's rows lie."""
    found = [_load(folder, _pairs_name(task)) for task in sorted(tasks)]
    area = map_staged(folder, _LOOKS, LIKENESS)["area"]
    keys = map_staged(folder, _KEYS, _KEY)
    with create_staged(folder, _FATES) as target:
        for fates in all_fates(len(area), *stand_ins(unique_pairs(np.concatenate(found)), area, keys)):
            target.write(fates.tobytes())
    begin = 0
    for part, count in json.loads((folder / staged_name(_PARTS)).read_bytes()):
        yield part, begin, count
        begin += count


def stand_ins(
    pairs: Pairs, area: npt.NDArray[np.int64], keys: npt.NDArray[np.bytes_]
) -> tuple[Indices, npt.NDArray[np.int64]]:
    """The pictures with near duplicates, (R,), sorted, and for each the largest of its cluster and the first, (R, 2).

    Args:
        pairs: rows of pictures that are near duplicates of one another, (M, 2).
        area: of each of all pictures, (N,).
        keys: of each, (N,); the smallest decides between those of one size, and is the first.
    """
    rows, ends = np.unique(pairs, return_inverse=True)
    label, area, keys = components(ends.reshape(pairs.shape), len(rows)), area[rows], keys[rows]
    fates = np.empty((len(rows), 2), np.int64)
    for column, order in enumerate((np.lexsort((keys, -area, label)), np.lexsort((keys, label)))):
        labels, first = np.unique(label[order], return_index=True)
        fates[:, column] = rows[order[first][np.searchsorted(labels, label)]]
    return rows, fates


def all_fates(count: int, rows: Indices, fates: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """What `stand_ins` tells, with all that have no near duplicates and stand for themselves, in pieces, (n, 2)."""
    for begin in range(0, count, _BLOCK):
        block = np.arange(begin, min(begin + _BLOCK, count)).repeat(2).reshape(-1, 2)
        here = slice(*np.searchsorted(rows, (begin, begin + len(block))))
        block[rows[here] - begin] = fates[here]
        yield block


def tell_fates(part: str, begin: int, count: int, folder: AnyPath, *, keep: bool) -> Iterator[Any]:
    """The pictures of one staging file that go on, as one list, and the rejects, which name the picture that does."""
    rows = map_staged(folder, _FATES, np.int64).reshape(-1, 2)[begin : begin + count]
    keys = map_staged(folder, _KEYS, _KEY)
    going_on = []
    for row, picture, (kept, named) in zip(range(begin, begin + count), _pictures(folder, part), rows, strict=True):
        offset, key, url, lengths = picture
        if keep or kept == row:
            going_on.append(Distinct(key, keys[named].decode(), part, offset, tuple(lengths)))
        else:
            yield TaggedOutput(REJECTS, Reject(url, "rejected", "near_duplicate", keys[kept].decode()))
    yield going_on


def _pictures(folder: AnyPath, part: str) -> Any:  # noqa: ANN401 - a list as `set_looks_aside` wrote it
    return json.loads((folder / staged_name(f"{_PARTS}-{part}")).read_bytes())


def _load(folder: AnyPath, name: str) -> Pairs:
    with open_file(folder / staged_name(name), is_final=True) as file:
        return cast("Pairs", np.load(file))


def _pairs_name(task: SearchTask) -> str:
    return f"{_LOOKS}-pairs-{task.word}-{task.rows[0]}-{task.among[0]}"
