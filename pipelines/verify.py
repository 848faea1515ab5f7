"""Whether what was built still stands: every stage in force, or one folder; what only a stage understands is read here.

The formats of shards are verified by `shards.verify`; here are the folders around them, the crawl's records, the clean
pictures and the documents.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from rich.console import Console
from rich.progress import Progress

from pipelines.errors import StageError
from pipelines.folders import RUN_NAME, stage_stores
from pipelines.harmless import harmless
from pipelines.open_files import OpenFiles
from pipelines.pictures import read_picture
from pipelines.tables import read_table
from pipelines.words import word_faults
from shards.committed import Committed, open_committed
from shards.manifest import MANIFEST_NAME, BrokenManifestError, ManifestError
from shards.object_path import AnyPath, ObjectPath, files_below
from shards.store import LocalStore, Store
from shards.verify import Fault, verify

MAX_TOLD = 10_000
"""Characters of one fault that are printed."""


@dataclass(frozen=True)
class Found:
    """A fault, with the folder that it is in."""

    where: str
    fault: Fault


def print_faults(path: str, deep: bool, console: Console) -> int:
    """Prints every fault of what `path` means, with the file it is in, and a closing line; returns how many.

    Raises:
        ManifestError: nothing is committed there.
    """
    folders, broken = _opened(path)
    total = sum(file.bytes for committed in folders for file in committed.manifest.files)
    for error in broken:
        _print(str(error), console)
    num_faults = len(broken)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("verifying", total=total)
        for committed in folders:
            for found in verify_folder(committed, deep, lambda num_bytes: progress.advance(task, num_bytes)):
                num_faults += 1
                _print(f"{found.where}/{found.fault.path}: {found.fault.what}", console)
    num_files = sum(len(committed.manifest.files) for committed in folders)
    told = "no fault" if not num_faults else f"{num_faults} fault{'s' if num_faults > 1 else ''}"
    how = "every byte read" if deep else "hashes of large files not computed: --deep does"
    stages = ", ".join(committed.manifest.stage for committed in folders) or "nothing that can be read"
    console.print(f"{stages}: {num_files} files, {total / 1e6:,.1f} MB, {told} ({how})", soft_wrap=True)
    return num_faults


def _print(told: str, console: Console) -> None:
    """Prints what is wrong, in which crawled addresses may stand."""
    console.print(harmless(told, console.encoding, MAX_TOLD), markup=False, soft_wrap=True)


def _opened(path: str) -> tuple[list[Committed], list[ManifestError]]:
    """The committed folders that `path` means, and what is wrong with the manifests that cannot be read.

    Raises:
        ManifestError: nothing is committed there.
    """
    folders, broken = [], []
    stores = stage_stores(path)
    for store in stores:
        try:
            folders.append(open_committed(store))
        except ManifestError as error:
            if len(stores) == 1 and not isinstance(error, BrokenManifestError):
                raise
            broken.append(error)
    return folders, broken


def verify_folder(committed: Committed, deep: bool, advance: Callable[[int], None]) -> Iterator[Found]:
    """Every fault of a committed folder; see `shards.verify.verify`."""
    for fault in verify(committed, deep=deep, advance=advance):
        yield Found(committed.store.where, fault)
    folder = _folder_of(committed.store)
    if folder is not None:
        for fault in (*_folder_faults(committed, folder), *(_deep_faults(committed, folder) if deep else ())):
            yield Found(committed.store.where, fault)


def _folder_of(store: Store) -> AnyPath | None:
    """The folder of a store, where what lies in it and beside it can be listed."""
    if isinstance(store, LocalStore):
        return store.folder
    return ObjectPath(store.where) if store.where.startswith("s3://") else None


def _deep_faults(committed: Committed, folder: AnyPath) -> Iterator[Fault]:
    """What is wrong with what a stage's files say of one another, and with what they were made from."""
    yield from _record_faults(committed, folder)
    yield from word_faults(committed, folder)


def _folder_faults(committed: Committed, folder: AnyPath) -> Iterator[Fault]:
    """What is wrong around a committed folder: leftovers in it, its name, and the outputs it was made from."""
    manifest = committed.manifest
    known = {MANIFEST_NAME, RUN_NAME, *(file.path for file in manifest.files)}
    for name in sorted(files_below(folder)):
        if name not in known:
            yield Fault(name, "is not in the manifest: a leftover, which no reader believes")
    if folder.resolve().name != manifest.fingerprint:
        yield Fault(MANIFEST_NAME, f"is that of {manifest.fingerprint}, but lies in {folder.resolve().name}")
    for source in manifest.inputs:
        path = folder.resolve().parent.parent / source.stage / source.fingerprint / MANIFEST_NAME
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() != source.manifest_sha256:
            yield Fault(MANIFEST_NAME, f"it was made from another {path} than the one there is")


def _record_faults(committed: Committed, folder: AnyPath) -> Iterator[Fault]:
    """What is wrong with the records of a stage that is no dataset: each is looked up by its reference."""
    looks = {"ledger-": _ledger_faults, "images-": _picture_faults, "documents-": _document_faults}
    for file in committed.manifest.files:
        look = looks.get(file.path.partition("-")[0] + "-")
        if look is not None and (folder / file.path).exists():
            try:
                yield from (Fault(file.path, what) for what in look(folder, file.path))
            except (pa.ArrowException, LookupError, OSError, TypeError, ValueError, AttributeError) as error:
                yield Fault(file.path, f"cannot be read ({type(error).__name__}: {error})")


def _ledger_faults(folder: AnyPath, table: str) -> Iterator[str]:
    from crawl.warc import WarcError  # noqa: PLC0415 - whoever has datasets alone needs no crawler
    from pipelines.ledger import stored_record  # noqa: PLC0415 - likewise

    for row in read_table(f"{folder}/{table}", ("url", "sha256", "warc_file", "warc_offset")).to_pylist():
        if row["warc_offset"] < 0:
            continue
        try:
            stored = stored_record(folder, row["warc_file"], row["warc_offset"])
        except (WarcError, OSError) as error:
            yield f"{row['url']}: {error}"
            continue
        if (stored.url, hashlib.sha256(stored.payload).hexdigest()) != (row["url"], row["sha256"]):
            yield f"{row['url']}: another record stands at {row['warc_file']} {row['warc_offset']}"


def _picture_faults(folder: AnyPath, table: str) -> Iterator[str]:
    with OpenFiles() as files:
        for row in read_table(f"{folder}/{table}", ("key", "part", "offset", "length")).to_pylist():
            try:
                if read_picture(files, folder / row["part"], row["offset"], row["length"]).key != row["key"]:
                    yield f"picture {row['key']} is not at {row['part']} {row['offset']}"
            except StageError as error:
                yield f"picture {row['key']}: {error}"


def _document_faults(folder: AnyPath, table: str) -> Iterator[str]:
    for row in read_table(f"{folder}/{table}", ("key", "text")).to_pylist():
        if hashlib.sha256(row["text"].encode()).hexdigest()[:32] != row["key"]:
            yield f"document {row['key']} has another text than its key says"
