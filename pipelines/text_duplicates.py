"""Near duplicates among clean documents: of those alike one goes on, and the cluster's name decides the split.

No text passes a shuffle, nor its shingles, which are set aside beside it. What passes are bands, packed: 12 bytes each,
168 a document; pairs of rows, 8 bytes; and the fates of those in clusters.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import AsDict, TaggedOutput

from crawl.minhash import NUM_BANDS, hash_bands
from crawl.similar_texts import (
    Choice,
    PackedPairs,
    candidate_pairs,
    choose_kept,
    connect,
    unpack_pairs,
    verified_pairs,
)
from pipelines.duplicates import REJECTS
from pipelines.fates import Reject
from pipelines.open_files import OpenFiles
from pipelines.signed_texts import SignedTexts, note_texts, noted_texts
from pipelines.sorting import SampleRef
from shards.object_path import AnyPath

CLUSTERED_ROWS = 1_000
"""Rows of clusters that are settled together, and those of the last cluster beyond."""

RANGES_PER_BUCKET = 4
"""Of the hashes of bands, which tell one band from the next: at ten million documents a range is sorted in 300 MB."""

_BANDS = "bands"
_BAND = np.dtype([("band", "<u8"), ("number", "<u4")])
_FATE = np.dtype([("number", "<u4"), ("similarity", "<f4"), ("cluster", "S32"), ("kept", "S32")])

Packed = tuple[str, bytes]
"""Rows of `_BAND` or `_FATE`, and the staging file whose documents their numbers tell."""

Counts = Mapping[str, int]
"""Documents of each staging file."""


class Alike(NamedTuple):
    """Which documents count as near duplicates, and what becomes of them.

    Attributes:
        folder: the stage's.
        min_similarity: Jaccard similarity of their 5-grams.
        keep: whether all go on, told which cluster they are of.
        buckets: pieces that the work falls into; the search for candidates into four times as many.
    """

    folder: AnyPath
    min_similarity: float
    keep: bool
    buckets: int


class RejectNearDuplicates(beam.PTransform):
    """Turns away the documents that are much like one that is kept."""

    def __init__(self, alike: Alike) -> None:
        super().__init__()
        self._alike = alike

    def expand(self, cleaned: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """The graph from (staging file, offset) of documents with shingles to [SampleRef] (`kept`) and `Reject`."""
        signed = (
            cleaned
            | "GroupByStaging" >> beam.GroupByKey()
            | "Sign" >> beam.FlatMap(sign_part, self._alike).with_outputs(_BANDS, main="parts")
        )
        parts = signed.parts  # (staging file, documents in it)
        counts = AsDict(parts)
        fates = (
            signed[_BANDS]
            # (range, Packed)
            | "GroupByRange" >> beam.GroupByKey()
            | "FindCandidates" >> beam.FlatMap(find_candidates, self._alike, counts)
            # (task, pairs)
            | "GroupByTask" >> beam.GroupByKey()
            | "Verify" >> beam.Map(verify, self._alike, counts)
            # (0, pairs)
            | "GroupAll" >> beam.GroupByKey()
            | "Cluster" >> beam.FlatMapTuple(cluster_all)
            # pairs: rows with the smallest row of their cluster
            | "SpreadClusters" >> beam.Reshuffle()
            | "Settle" >> beam.FlatMap(settle, self._alike, counts)
            # (staging file, fates)
        )
        nothing_told = parts | "AskForFates" >> beam.MapTuple(lambda part, _: (part, b""))
        return (
            (nothing_told, fates)
            | "AllParts" >> beam.Flatten()
            | "GroupFates" >> beam.GroupByKey()
            | "TellFates" >> beam.FlatMap(tell_fates, self._alike).with_outputs(REJECTS, main="kept")
        )


def sign_part(staged: tuple[str, Iterable[int]], alike: Alike) -> Iterator[Any]:
    """Notes the documents of one staging file, and yields how many there are, and their bands by range."""
    part, offsets = staged
    texts = note_texts(alike.folder, part, offsets)
    yield part, len(texts)
    with OpenFiles() as files:
        signed = SignedTexts(files, alike.folder, {part: len(texts)})
        numbers = [number for number in range(len(texts)) if texts[number].lengths[1]]
        bands = np.array([hash_bands(signed.shingles(number)) for number in numbers], np.uint64).reshape(-1, NUM_BANDS)
    found = np.zeros(bands.size, _BAND)
    found["band"], found["number"] = bands.ravel(), np.repeat(numbers, NUM_BANDS)
    ranges = found["band"] % np.uint64(RANGES_PER_BUCKET * alike.buckets)
    for number in np.unique(ranges).tolist():
        yield TaggedOutput(_BANDS, (number, (part, found[ranges == np.uint64(number)].tobytes())))


def find_candidates(hashes: tuple[int, Iterable[Packed]], alike: Alike, counts: Counts) -> Iterator[tuple[int, bytes]]:
    """The pairs of documents that share a band of one range, by task: neighbouring first rows go together."""
    with OpenFiles() as files:
        signed = SignedTexts(files, alike.folder, counts)
        found = [(part, np.frombuffer(piece, _BAND)) for part, piece in hashes[1]]
        rows = np.concatenate([signed.rows(part, piece["number"]) for part, piece in found])
        pairs = candidate_pairs(np.concatenate([piece["band"] for _, piece in found]), rows)
        tasks = unpack_pairs(pairs)[0].astype(np.int64) * alike.buckets // len(signed)
    for task in np.unique(tasks).tolist():
        yield task, pairs[tasks == task].tobytes()


def verify(task: tuple[int, Iterable[bytes]], alike: Alike, counts: Counts) -> tuple[int, bytes]:
    """Of the pairs of one task those alike, as which row they connect with which."""
    with OpenFiles() as files:
        signed = SignedTexts(files, alike.folder, counts)
        pairs = verified_pairs(np.unique(_unpack(task[1])), signed.shingles, alike.min_similarity)
    return 0, connect(pairs).tobytes()


def cluster_all(_: int, packed: Iterable[bytes]) -> Iterator[bytes]:
    """The rows of all clusters, each with the smallest of its cluster, many clusters together and none torn apart."""
    rows = connect(_unpack(packed))
    labels = unpack_pairs(rows)[0]
    starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1])) if len(rows) else np.empty(0, np.int64)
    batches = np.append(starts[np.unique(starts // CLUSTERED_ROWS, return_index=True)[1]], len(rows))
    for begin, end in pairwise(batches.tolist()):
        yield rows[begin:end].tobytes()


def settle(packed: bytes, alike: Alike, counts: Counts) -> Iterator[tuple[str, bytes]]:
    """What becomes of the documents of clusters, by staging file."""
    labels, rows = unpack_pairs(np.frombuffer(packed, np.uint64))
    fates: defaultdict[str, list[tuple[int, float, bytes, bytes]]] = defaultdict(list)
    with OpenFiles() as files:
        signed = SignedTexts(files, alike.folder, counts)
        for members in np.split(rows, np.flatnonzero(labels[1:] != labels[:-1]) + 1):
            keys = {row: signed.key(row).encode() for row in members.tolist()}
            for choice in _choices(keys, signed, alike):
                part, number = signed.place(choice.row)
                fates[part].append((number, choice.similarity, min(keys.values()), keys[choice.kept]))
    for part, told in fates.items():
        yield part, np.array(told, _FATE).tobytes()


def tell_fates(settled: tuple[str, Iterable[bytes]], alike: Alike) -> Iterator[Any]:
    """The documents of one staging file that go on, as one list, and the rejects, which name the one that does."""
    part, told = settled
    fates = {number: fate for number, *fate in np.frombuffer(b"".join(told), _FATE).tolist()}
    going_on = []
    for number, text in enumerate(noted_texts(alike.folder, part)):
        alone = (1.0, text.key.encode(), text.key.encode())
        similarity, cluster, kept = fates.get(number, alone)
        if kept.decode() == text.key:
            source = (part, text.offset, text.lengths[0], cluster.decode())
            going_on.append(SampleRef("documents", text.key, text.lengths[0], source))
        else:
            detail = f"{kept.decode()}, similarity {similarity:.3f}"
            yield TaggedOutput(REJECTS, Reject(text.url, "rejected", "near_duplicate", detail))
    yield going_on


def _choices(keys: Mapping[int, bytes], signed: SignedTexts, alike: Alike) -> Iterable[Choice]:
    """What becomes of the documents of a cluster: the one with the most shingles first, then the smallest key."""
    if alike.keep:
        return [Choice(row, row, 1.0) for row in keys]
    ordered = sorted(keys, key=lambda row: (-signed.num_shingles(row), keys[row]))
    return choose_kept(ordered, signed.shingles, alike.min_similarity)


def _unpack(packed: Iterable[bytes]) -> PackedPairs:
    return np.frombuffer(b"".join(packed), np.uint64)
