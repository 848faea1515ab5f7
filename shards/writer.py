"""Shards on disk: a tar, its index beside it, and the list of them that `wids` reads."""

import hashlib
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import crc32c
import numpy as np

from shards.index import Index, encode_index
from shards.manifest import FileEntry, atomic_open, atomic_write, canonical_json
from shards.object_path import AnyPath
from shards.tar import BLOCK_BYTES, TRAILER, header, member_bytes, member_name, padding

TAR_SUFFIX, INDEX_SUFFIX = ".tar", ".idx"

WRITTEN_BYTES = 2**20
"""Of a tar that are hashed and written at a time: few enough to be held twice, enough for threads to seldom meet."""

FLUSHED_BYTES = 32 * 2**20
"""Of a tar that are sent to the disk at a time, while the rest is being made: little is left to wait for at the end.

What goes into a store need not stand on this machine's disk.
"""


def shard_name(split: str, number: int) -> str:
    """Return the name of a split's shard.

    >>> shard_name("train", 3)
    'train-000003.tar'
    """
    return f"{split}-{number:06d}{TAR_SUFFIX}"


def order_hash(key: str) -> str:
    """Return what the samples of a dataset are ordered by: the SHA-256 of the key, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def bucket_of(key: str, num_buckets: int) -> int:
    """Return the bucket of a key, 0 to `num_buckets - 1`.

    Buckets are equal ranges of `order_hash`: sorted buckets, one behind the other, are sorted.
    """
    return int(order_hash(key)[:8], 16) * num_buckets >> 32


def number_shards(sizes: Iterable[int], max_bytes: int) -> Iterator[int]:
    """Yield the number of the shard that each sample goes into: as many in a row as fit.

    >>> list(number_shards([1000, 1000, 1000], max_bytes=1024 + 2000))
    [0, 0, 1]

    Args:
        sizes: What each sample takes in a tar, see `shards.tar.sample_bytes`.
        max_bytes: The most a whole tar may take, its trailer included.

    Raises:
        ValueError: A sample fits no shard; the message says which.
    """
    shard, filled = 0, len(TRAILER)
    for number, size in enumerate(sizes):
        if len(TRAILER) + size > max_bytes:
            raise ValueError(
                f"sample {number} takes {len(TRAILER) + size} bytes as a file of its own, "
                f"above the limit of {max_bytes}"
            )
        if filled + size > max_bytes:
            shard, filled = shard + 1, len(TRAILER)
        filled += size
        yield shard


def write_shard(
    path: AnyPath, samples: Iterable[tuple[str, Mapping[str, bytes]]], extensions: Sequence[str]
) -> list[FileEntry]:
    """Write a shard and its index, each under its final name only when whole.

    Samples are taken one at a time; a shard need not fit into memory.

    Args:
        path: Of the tar, `….tar`; the index goes beside it as `….idx`.
        samples: Each sample's key and its members by extension.
        extensions: The extensions that every sample has, in the order of the members.

    Returns:
        The entries of the tar and of the index, in this order, their paths being bare names.

    Raises:
        ValueError: A sample has other extensions, an impossible key, or a key seen before; nothing is written.
    """
    with atomic_open(path) as file, ThreadPoolExecutor(1) as behind:
        writer = _TarWriter(file, extensions, behind, is_flushed=isinstance(path, Path))
        for key, members in samples:
            writer.add(key, members)
        writer.close()
    encoded = encode_index(writer.index())
    index_path = path.with_suffix(INDEX_SUFFIX)
    atomic_write(index_path, encoded)
    return [
        FileEntry(path.name, writer.position, writer.digest.hexdigest(), len(writer.keys)),
        FileEntry(index_path.name, len(encoded), hashlib.sha256(encoded).hexdigest(), len(writer.keys)),
    ]


def shards_files(name: str, entries: Iterable[FileEntry]) -> dict[str, str]:
    """Return the texts of the lists of shards that `wids` reads, by file name.

    One list for each split, since `wids` takes all that a list names as one dataset:
    `shards.json` for `train`, `shards-val.json` for `val` and so on.

    Source: `wids` 0.1.11, "wids-shard-index-v1"; relative names stand for files beside the list.

    Args:
        name: What the dataset is called.
        entries: Of files named by `shard_name`; others are passed over.
    """
    splits: dict[str, list[dict[str, Any]]] = {}
    for entry in sorted(entries, key=lambda entry: entry.path):
        if entry.path.endswith(TAR_SUFFIX):
            shard = {"url": entry.path, "nsamples": entry.records, "filesize": entry.bytes}
            splits.setdefault(split_of(entry.path), []).append(shard)
    return {
        "shards.json" if split == "train" else f"shards-{split}.json": canonical_json(
            {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": f"{name}-{split}", "shardlist": shards}
        )
        for split, shards in splits.items()
    }


def split_of(shard: str) -> str:
    """Return the split that a shard's name begins with.

    >>> split_of("train-000003.tar")
    'train'
    """
    return shard.rsplit("-", 1)[0]


class _TarWriter:
    """A tar in the making, its hash and its index; a thread behind it hashes and writes, a mebibyte at a time."""

    def __init__(self, file: BinaryIO, extensions: Sequence[str], behind: Executor, *, is_flushed: bool) -> None:
        self.file = file
        self._is_flushed = is_flushed
        self.extensions = tuple(extensions)
        self.digest = hashlib.sha256()
        self.position = 0
        self.keys: dict[str, None] = {}
        # Rows of the index side by side: as lists, they would take ten times the memory.
        self._offsets, self._lengths, self._crcs = array("q"), array("q"), array("I")
        self._behind = behind
        # Two buffers by turns: one is filled while the other is written, and no memory is asked for again.
        self._buffers = [memoryview(bytearray(WRITTEN_BYTES)) for _ in range(2)]
        self._filled = 0
        self._num_unflushed = 0
        self._written: Future[None] | None = None

    def add(self, key: str, members: Mapping[str, bytes]) -> None:
        if members.keys() != set(self.extensions):
            raise ValueError(f"sample {key!r} has the members {sorted(members)}, expected {sorted(self.extensions)}")
        if key in self.keys:
            raise ValueError(f"sample {key!r} is there twice")
        self.keys[key] = None
        pieces: list[bytes] = []
        position = self.position
        for extension in self.extensions:
            data = members[extension]
            pieces += (header(member_name(key, extension), len(data)), data, padding(len(data)))
            self._offsets.append(position + BLOCK_BYTES)
            self._lengths.append(len(data))
            self._crcs.append(crc32c.crc32c(data))
            position += member_bytes(len(data))
        self._put(b"".join(pieces))

    def close(self) -> None:
        self._put(TRAILER)
        self._hand_over()
        self._wait()

    def index(self) -> Index:
        keys = np.array([key.encode("ascii") for key in self.keys], np.bytes_)
        shape = (len(keys), len(self.extensions))
        offsets, lengths = (np.frombuffer(row, np.int64).reshape(shape) for row in (self._offsets, self._lengths))
        return Index(self.extensions, keys, offsets, lengths, np.frombuffer(self._crcs, np.uint32).reshape(shape))

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        self.position += len(rest)
        while rest:
            piece = rest[: WRITTEN_BYTES - self._filled]
            self._buffers[0][self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            if self._filled == WRITTEN_BYTES:
                self._hand_over()
            rest = rest[len(piece) :]

    def _hand_over(self) -> None:
        """Gives what has come together to the thread, and waits for what it was given before that."""
        self._wait()
        self._written = self._behind.submit(self._write, self._buffers[0][: self._filled])
        self._buffers.reverse()
        self._filled = 0

    def _wait(self) -> None:
        if self._written is not None:
            self._written.result()

    def _write(self, data: memoryview) -> None:
        self.file.write(data)
        self.digest.update(data)
        self._num_unflushed += len(data)
        if self._is_flushed and self._num_unflushed >= FLUSHED_BYTES:
            os.fdatasync(self.file.fileno())
            self._num_unflushed = 0
