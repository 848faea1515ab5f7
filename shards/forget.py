"""Shards without what was forgotten: samples taken out, or emptied of words; what it does not touch keeps its bytes."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shards.manifest import FileEntry, atomic_open
from shards.object_path import AnyPath, ObjectPath
from shards.remote_store import open_store
from shards.shard import Shard, ShardFiles
from shards.tokenizer import WordTokenizer
from shards.triplet import CAPTION, RECORD, record_bytes
from shards.window import TOKENS
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX, write_shard

Record = dict[str, Any]
Redact = Callable[[Record], Record | None]
"""Takes a sample's decoded JSON; returns it, or with less in it, or None where the whole sample is to go.

A sample whose JSON changes loses its caption too.
"""


@dataclass(frozen=True)
class RedactedShard:
    """What became of one shard.

    Attributes:
        files: The entries of its tar and index; none where no sample is left.
        is_touched: Whether it was written anew, or is gone.
        num_removed: How many samples went.
        num_emptied: How many stay with less in them.
    """

    files: tuple[FileEntry, ...]
    is_touched: bool = False
    num_removed: int = 0
    num_emptied: int = 0


def redact_shard(source: AnyPath, files: ShardFiles, target: AnyPath, redact: Redact) -> RedactedShard:
    """Write a shard and its index into another folder, without what is to go, under the same names.

    Args:
        source: The folder that it lies in.
        files: The shard's.
        target: The folder to write to.
        redact: Says what is to go.

    Raises:
        DatasetError: The shard is damaged.
    """
    shard = Shard(open_store(str(source)), files)
    old: list[Record] = [json.loads(shard.read(row, RECORD)) for row in range(len(shard.index))]
    new = [redact(record) for record in old]
    if old == new:
        return RedactedShard((link_file(source, files.tar, target), link_file(source, files.index, target)))
    num_removed = sum(record is None for record in new)
    num_emptied = sum(after not in (None, before) for before, after in zip(old, new, strict=True))
    written: list[FileEntry] = []
    if num_removed < len(new):
        written = write_shard(target / files.tar.path, _samples(shard, old, new), shard.index.extensions)
    return RedactedShard(tuple(written), True, num_removed, num_emptied)


def _samples(shard: Shard, old: list[Record], new: list[Record | None]) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    keys = shard.index.keys.astype(np.str_).tolist()
    for row, (key, before, after) in enumerate(zip(keys, old, new, strict=True)):
        if after is None:
            continue
        members = {extension: shard.read(row, extension) for extension in shard.index.extensions}
        if after != before:
            members[RECORD] = record_bytes(after)
            if CAPTION in members:
                members[CAPTION] = b""
        yield key, members


def forget_words(folder: AnyPath, files: Sequence[FileEntry], tokenizer: WordTokenizer, context: int) -> WordTokenizer:
    """Return a dictionary without the words that stand in no window of these shards; the others keep their ids.

    Args:
        folder: That the shards lie in.
        files: Of the dataset, the shards' tars and indexes among them.
        tokenizer: The dataset's.
        context: T of its windows.

    Raises:
        DatasetError: A shard is damaged.
    """
    entries = {entry.path: entry for entry in files}
    is_used = np.zeros(tokenizer.vocab_size, np.bool_)
    store = open_store(str(folder))
    for tar in (entry for entry in files if entry.path.endswith(TAR_SUFFIX)):
        index = entries[tar.path.removesuffix(TAR_SUFFIX) + INDEX_SUFFIX]
        shard = Shard(store, ShardFiles(tar, index))
        for row in range(len(shard.index)):
            is_used[shard.array(row, TOKENS, tokenizer.dtype, (context + 1,))] = True
    return tokenizer.only(is_used)


def link_file(source: AnyPath, entry: FileEntry, target: AnyPath) -> FileEntry:
    """Give a file a second name in another folder, or copy it where there are no links; return its entry."""
    path = target / entry.path
    if isinstance(source, ObjectPath) or isinstance(path, ObjectPath):
        assert isinstance(source, ObjectPath), "both lie in one build"
        with atomic_open(path) as file:
            (source / entry.path).fetch(file, entry.bytes)
        return entry
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        os.link(source / entry.path, temporary)
    except OSError:
        shutil.copyfile(source / entry.path, temporary)
    temporary.replace(path)
    return entry
