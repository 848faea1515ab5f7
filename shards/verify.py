"""Whether a committed folder holds what its manifest says: files, hashes, indexes, counts and, looked into, samples."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from crc32c import crc32c

from shards import triplet, window
from shards.committed import Committed
from shards.describe import describing_files
from shards.index import Index, IndexFileError, decode_index
from shards.manifest import MANIFEST_NAME, FileEntry, Manifest, encode_manifest
from shards.samples import SampleWriter, sample_writer
from shards.shard import ShardFiles
from shards.store import Store
from shards.tar import BLOCK_BYTES, TRAILER, header, member_name
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX, order_hash, split_of

PIECE_BYTES = 8 * 2**20

DATASETS = (triplet.KIND, window.KIND)

PAYLOAD = (TAR_SUFFIX, ".warc.gz", ".parquet")
"""Files whose hashes take long: they are computed only where `deep` asks for it."""


class Fault(NamedTuple):
    """Something that is not as it was committed."""

    path: str
    """Of the file, relative to the folder."""
    what: str


def verify(
    committed: Committed, *, deep: bool = False, advance: Callable[[int], None] = lambda num_bytes: None
) -> Iterator[Fault]:
    """Yield every fault of a committed folder.

    Args:
        committed: The folder.
        deep: Whether to compute every hash, read every tar byte by byte against its index, and write every sample anew
            from its record and its picture or tokens, to compare.
        advance: Told, as work goes on, how many bytes of files are done.
    """
    store, manifest = committed.store, committed.manifest
    if encode_manifest(manifest) != store.read(MANIFEST_NAME):
        yield Fault(MANIFEST_NAME, "is not written as a build writes it: it was changed by hand")
    if not manifest.counts.is_balanced():
        yield Fault(MANIFEST_NAME, f"records in = kept + rejected + failed does not hold: {manifest.counts}")
    usable: set[str] = set()
    for entry in manifest.files:
        missing = _missing(store, entry)
        is_due = missing is None and (deep or not entry.path.endswith(PAYLOAD))
        changed = _changed(store, entry) if is_due else None
        if missing is None and (changed is None or entry.path.endswith(TAR_SUFFIX)):
            usable.add(entry.path)  # what has changed in a tar is looked for sample by sample
        yield from filter(None, (missing, changed))
        advance(0 if deep and entry.path.endswith(TAR_SUFFIX) else entry.bytes)
    try:
        writer = sample_writer(committed)
        if writer is None and manifest.stage in DATASETS:
            yield Fault(MANIFEST_NAME, "its configuration has no spec, which a dataset needs")
    except (ValueError, OSError) as error:
        yield Fault(MANIFEST_NAME, f"its samples cannot be written anew: {error}")
        writer = None
    yield from _shard_faults(committed, usable, writer, advance if deep else None)
    if writer is not None:
        yield from _count_faults(manifest)
        yield from _description_faults(manifest)


def _missing(store: Store, entry: FileEntry) -> Fault | None:
    """Return what is wrong with a file before it is opened, if anything."""
    if entry.path.startswith("/") or ".." in entry.path.split("/"):
        return Fault(entry.path, "lies outside the folder; it was not looked at")
    try:
        size = store.size(entry.path)
    except FileNotFoundError:
        return Fault(entry.path, "is missing")
    except (OSError, ValueError) as error:
        return Fault(entry.path, f"cannot be read: {error}")
    return None if size == entry.bytes else Fault(entry.path, f"has {size} bytes, the manifest says {entry.bytes}")


def _changed(store: Store, entry: FileEntry) -> Fault | None:
    """Return that a file is not the one that was committed, if so."""
    try:
        data, digest = store.map(entry), hashlib.sha256()
    except OSError as error:
        return Fault(entry.path, f"cannot be read: {error}")
    for start in range(0, len(data), PIECE_BYTES):
        digest.update(data[start : start + PIECE_BYTES])
    found = digest.hexdigest()
    return (
        None
        if found == entry.sha256
        else Fault(entry.path, f"has the SHA-256 {found}, the manifest says {entry.sha256}")
    )


def _shard_faults(
    committed: Committed, usable: set[str], writer: SampleWriter | None, advance: Callable[[int], None] | None
) -> Iterator[Fault]:
    """Yield what is wrong with indexes and, if told how to say how far it is, with the tars and the samples in them."""
    entries = {entry.path: entry for entry in committed.manifest.files}
    last: dict[str, str] = {}
    for path, entry in sorted(entries.items()):
        if path.endswith(INDEX_SUFFIX) and path.removesuffix(INDEX_SUFFIX) + TAR_SUFFIX not in entries:
            yield Fault(path, "is the index of no tar that the manifest lists")
        if not path.endswith(TAR_SUFFIX):
            continue
        name = path.removesuffix(TAR_SUFFIX) + INDEX_SUFFIX
        if name not in entries:
            yield Fault(name, f"is not in the manifest, but {path} needs it")
        elif name in usable:
            try:
                index = decode_index(committed.store.map(entries[name]))
            except IndexFileError as error:
                yield Fault(name, str(error))
            else:
                yield from _index_faults(ShardFiles(entry, entries[name]), index, last)
                if advance is not None and path in usable:
                    yield from _tar_faults(committed.store, entry, index, writer)
        if advance is not None:
            advance(entry.bytes)


def _index_faults(files: ShardFiles, index: Index, last: dict[str, str]) -> Iterator[Fault]:
    """Yield what is wrong with an index; `last` holds the order hash of the last key of each split so far."""
    name = files.index.path
    if not len(index) == files.index.records == files.tar.records:
        yield Fault(name, f"has {len(index)} samples, the manifest says {files.index.records} and {files.tar.records}")
    ends = index.offsets + index.lengths + -index.lengths % BLOCK_BYTES
    begins = np.append(0, ends.reshape(-1))
    expected = np.append(index.offsets.reshape(-1) - BLOCK_BYTES, files.tar.bytes - len(TRAILER))
    if not np.array_equal(begins, expected):
        yield Fault(name, f"does not cover {files.tar.path} member by member without gaps")
    split = split_of(files.tar.path)
    for key in index.keys.tolist():
        place = order_hash(key.decode())
        if place <= last.get(split, ""):
            yield Fault(name, f"sample {key.decode()} stands out of order, or twice")
        last[split] = place


def _tar_faults(store: Store, tar: FileEntry, index: Index, writer: SampleWriter | None) -> Iterator[Fault]:
    """Yield what is wrong inside a tar: headers, contents, padding, and samples that are not what they should be."""
    view = store.map(tar)
    for row, key in enumerate(index.keys.astype(np.str_).tolist()):
        members: dict[str, bytes] = {}
        for column, extension in enumerate(index.extensions):
            offset, length = int(index.offsets[row, column]), int(index.lengths[row, column])
            content = bytes(view[offset : offset + length])
            if not _is_header(bytes(view[max(0, offset - BLOCK_BYTES) : max(0, offset)]), key, extension, length):
                yield Fault(tar.path, f"sample {key}: {extension} has another header than a shard's")
            if crc32c(content) != index.crcs[row, column]:
                yield Fault(tar.path, f"sample {key} is damaged: {extension} has another CRC-32C than its index says")
            elif any(view[offset + length : offset + length + -length % BLOCK_BYTES]):
                yield Fault(tar.path, f"sample {key}: {extension} is not filled up with zeros")
            else:
                members[extension] = content
        if writer is not None and len(members) == len(index.extensions):
            yield from _sample_faults(writer, tar.path, key, members)
    if bytes(view[-len(TRAILER) :]) != TRAILER:
        yield Fault(tar.path, "does not end with two blocks of zeros")


def _is_header(block: bytes, key: str, extension: str, length: int) -> bool:
    try:
        return block == header(member_name(key, extension), length)
    except ValueError:  # a name or a length that no header can hold
        return False


def _sample_faults(writer: SampleWriter, path: str, key: str, members: Mapping[str, bytes]) -> Iterator[Fault]:
    """Yield where a sample differs from the one that is written anew from its record and its picture or tokens."""
    try:
        anew_key, anew = writer(split_of(path), members)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        yield Fault(path, f"sample {key} cannot be written anew ({type(error).__name__}: {error})")
        return
    if anew_key != key:
        yield Fault(path, f"sample {key} should be called {anew_key}")
    for extension in members:
        if anew.get(extension) != members[extension]:
            yield Fault(path, f"sample {key}: {extension} is not what its record says")


def _count_faults(manifest: Manifest) -> Iterator[Fault]:
    spec, counts = manifest.configuration["spec"], manifest.counts
    found: Counter[str] = Counter()
    for entry in manifest.files:
        if entry.path.endswith(TAR_SUFFIX):
            found[split_of(entry.path)] += entry.records
    for split in sorted({*found, *manifest.splits}):
        if found[split] != manifest.splits.get(split, 0):
            told = f"{split} has {found[split]} samples in its shards, the manifest says {manifest.splits.get(split)}"
            yield Fault(MANIFEST_NAME, told)
    if spec["kind"] == triplet.KIND:
        each = spec["steps"] * spec["draws"] if spec["mode"] == "materialised" else 1
        if found.total() != counts.kept * each:
            told = f"{counts.kept} pictures of {each} samples each do not make {found.total()} samples"
            yield Fault(MANIFEST_NAME, told)


def _description_faults(manifest: Manifest) -> Iterator[Fault]:
    """Yield which of the files that describe a dataset say something else than the manifest."""
    if not {"name", "published"} <= manifest.configuration.keys():
        yield Fault(MANIFEST_NAME, "its configuration lacks the name and the date that describe the dataset")
        return
    entries = {entry.path: entry for entry in manifest.files}
    for name in ("name", "published"):
        if not isinstance(manifest.configuration[name], str):
            yield Fault(MANIFEST_NAME, f"configuration.{name} is {manifest.configuration[name]!r}: it must be text")
            return
    for name, text in describing_files(manifest.configuration, manifest.splits, manifest.files).items():
        if name not in entries:
            yield Fault(name, "is not in the manifest")
        elif entries[name].sha256 != hashlib.sha256(text.encode()).hexdigest():
            yield Fault(name, "does not describe the dataset that the manifest lists")
