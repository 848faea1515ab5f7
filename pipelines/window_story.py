"""From a document to the windows that hold it; from a window to its documents, their pages and their WARC records."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.facts import Fact, find_rows
from pipelines.folders import committed_folders, current_manifest, is_committed
from pipelines.inspect.places import find_sample, locate, open_split
from shards.base_dataset import Dataset
from shards.committed import Committed
from shards.manifest import Manifest, read_manifest
from shards.object_path import AnyPath
from shards.shard import Shard, list_shards
from shards.window import RECORD, TOKENS


class Place(NamedTuple):
    """Where a part of a document stands, all in tokens.

    Attributes:
        start: Of the part in the document.
        length: Of the part.
        offset: Of the part in the window.
        window: The window's key.
        shard: The shard that holds it.
    """

    start: int
    length: int
    offset: int
    window: str
    shard: str


def windows_told(out: AnyPath, document: str, most: int | None) -> Iterator[Fact]:
    """Which windows hold a document, in the order of its tokens: a summary, then the first `most`, or all of them."""
    if current_manifest(out, "windows") is None:
        yield Fact("windows", "not built")
        return
    (committed,) = committed_folders(str(out / "windows"))
    places = sorted(_places(committed, document))
    if not places:
        yield Fact("windows", "none holds it")
        return
    last = max(place.start + place.length for place in places) - 1
    yield Fact("windows", f"{len(places):,} hold its tokens {places[0].start} to {last}, <eos> included")
    for place in places[:most]:
        yield Fact("window", f"{place.window} in {place.shard}: {_tokens_told(*place[:3])}")
    if len(places) > len(places[:most]):
        yield Fact("", f"and {len(places[most:]):,} more; --all tells them")


def window_told(out: AnyPath, key: str) -> Iterator[Fact]:
    """What is in a window, back to the WARC record of each of its documents; nothing where no window has that key."""
    if current_manifest(out, "windows") is None:
        return
    (committed,) = committed_folders(str(out / "windows"))
    for dataset in _datasets(committed):
        number = find_sample(dataset, key)
        if number is None:
            continue
        place = locate(dataset, number)
        shard, row = dataset.shards[place.shard], place.row
        record = json.loads(shard.read(row, RECORD))
        what = f"{record['length']} tokens from {record['position']} of the split {record['split']} on"
        yield Fact("window", f"{key}: {what}")
        yield Fact("stored", f"{shard.path}, offset {shard.index.offsets[row, shard.column(TOKENS)]}")
        for piece in record["documents"]:
            yield from _piece_told(out, committed.manifest, piece)


def _places(committed: Committed, document: str) -> Iterator[Place]:
    """Every part of a document in any window."""
    named = document.encode()
    for shard in _shards(committed):
        for row, key in enumerate(shard.index.keys):
            record = shard.read(row, RECORD)
            if named not in record:  # parsing it would take far longer
                continue
            for piece in json.loads(record)["documents"]:
                if piece["key"] == document:
                    yield Place(piece["start"], piece["length"], piece["offset"], key.decode(), Path(shard.path).name)


def _datasets(committed: Committed) -> Iterator[Dataset]:
    splits = (split for split, count in committed.manifest.splits.items() if count)
    yield from (open_split(committed.store.where, split) for split in splits)


def _shards(committed: Committed) -> Iterator[Shard]:
    for split, count in committed.manifest.splits.items():
        for files in list_shards(committed.store.where, committed.manifest, split) if count else ():
            yield Shard(committed.store, files)


def _piece_told(out: AnyPath, windows: Manifest, piece: dict[str, Any]) -> Iterator[Fact]:
    """A document in a window, its page, and where that page was stored as it came."""
    yield Fact("document", f"{piece['key']}: {_tokens_told(piece['start'], piece['length'], piece['offset'])}")
    yield Fact("URL", piece["url"])
    text = _input_folder(out, windows, "text")
    crawl = _input_folder(out, read_manifest(text), "crawl") if text else None
    if text is None or crawl is None:
        yield Fact("page", f"the {'crawl' if text else 'text'} stage that it was made from is gone")
        return
    for row in find_rows(text, "documents-", "key", piece["key"]):
        yield Fact("page", f"{(crawl / row['warc_file']).resolve()}, offset {row['warc_offset']}")


def _input_folder(out: AnyPath, manifest: Manifest, stage: str) -> AnyPath | None:
    """The folder that a stage was made from, where it is still there."""
    folders = (out / stage / entry.fingerprint for entry in manifest.inputs if entry.stage == stage)
    return next((folder for folder in folders if is_committed(folder)), None)


def _tokens_told(start: int, length: int, offset: int) -> str:
    """Where a part of a document stands.

    >>> _tokens_told(64, 65, 0)
    'tokens 64 to 128 of the document, at 0 of the window'
    """
    return f"tokens {start} to {start + length - 1} of the document, at {offset} of the window"
