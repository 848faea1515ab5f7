"""A build as plain Parquet: what `datasets`, DuckDB or pandas read by themselves, ready for the Hugging Face hub.

    DEST/pictures/train-00000.parquet   and so on, for each split and each part that a stage wrote
    DEST/README.md, DEST/LICENCES.md    the dataset's card and what is known of licences
    DEST/export.json                    what it was made from, and every file with its SHA-256

Rows are read and written a few mebibytes at a time. All is written in a folder of another name, which gets its own when
it is whole: what is there is complete, and the same build gives the same bytes.
"""

import glob
import hashlib
import json
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.errors import StageError
from pipelines.export.card import CARD_NAME, LICENCES_NAME, dataset_card, licences_text
from pipelines.export.columns import Columns
from pipelines.export.parts import write_part
from pipelines.export.sources import Source, open_source
from pipelines.folders import committed_folders
from shards.attribution import NAME as ATTRIBUTION
from shards.committed import Committed
from shards.manifest import FileEntry, atomic_write, canonical_json
from shards.tokenizer import TOKENIZER_NAME

Kind = Literal["hf", "parquet"]

EXPORT_NAME = "export.json"
"""Tells a folder that was exported from all others, and holds what stands in it."""

EXPORT_VERSION = 1


@dataclass
class Exported:
    """What was written of one stage.

    Attributes:
        name: of the configuration, and of its folder.
        about: what its rows are, in a sentence.
        columns: what each row holds.
        rows: of each split.
        licences: how many rows are under each; empty where rows name none.
        files: with paths relative to the whole export.
    """

    name: str
    about: str
    columns: Columns
    rows: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    files: list[FileEntry] = field(default_factory=list)


def export(path: str, dest: Path, kind: Kind) -> list[Exported]:
    """Writes the committed stages of a build, or one stage of it, as Parquet into `dest`; returns what was written.

    Args:
        path: a build, a stage of it or a dataset, on this machine or in an object store.
        dest: a folder that is not there yet, or that was exported before.
        kind: `hf` with a card for the hub, `parquet` without.

    Raises:
        StageError: `dest` is something else, or there is nothing to export.
        ManifestError: nothing is committed in `path`.
        DatasetError: a file is not what was committed.
    """
    _refuse_others(dest)
    found = committed_folders(path)
    sources = [source for source in map(open_source, found) if source is not None]
    if not sources:
        stages = ", ".join(committed.manifest.stage for committed in found)
        raise StageError(f"{path} holds {stages} alone: nothing of it can be exported; build pictures or documents")
    making = _fresh_folder(dest)
    try:
        exported = [_write_source(source, making) for source in sources]
        _describe(exported, sources, making, kind)
        _put_in_place(making, dest)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return exported


def _refuse_others(dest: Path) -> None:
    """Checks that whatever stands at `dest` may go.

    Raises:
        StageError: it was not exported by this program.
    """
    if not dest.name:
        raise StageError(f"{dest}: name a folder to be made, such as {dest / 'export'}")
    if not dest.exists() or (dest.is_dir() and not any(dest.iterdir())):
        return
    if not _is_export(dest / EXPORT_NAME):
        raise StageError(f"{dest} is there and is no earlier export: move it away, or name another folder")


def _fresh_folder(dest: Path) -> Path:
    """A folder beside `dest`, without what exports that were killed left there."""
    for leftover in dest.parent.glob(f".{glob.escape(dest.name)}.*.tmp"):
        shutil.rmtree(leftover)
    making = dest.with_name(f".{dest.name}.{secrets.token_hex(6)}.tmp")
    making.mkdir(parents=True)
    return making


def _is_export(path: Path) -> bool:
    try:
        return "export_version" in json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def _write_source(source: Source, folder: Path) -> Exported:
    """Writes one stage's rows, part by part, and what belongs to them."""
    done = Exported(source.name, source.about, source.columns)
    (folder / source.name).mkdir()
    numbers: Counter[str] = Counter()
    for rows in source.parts():
        done.files += write_part(folder, source.name, numbers, source.columns, _counting(rows, done))
    for name in (ATTRIBUTION, TOKENIZER_NAME):
        entries = [file for file in source.committed.manifest.files if file.path == name]
        done.files += [_copied(source.committed, entry, folder, f"{source.name}/{name}") for entry in entries]
    return done


def _counting(rows: Iterator[tuple[str, dict[str, Any]]], done: Exported) -> Iterator[tuple[str, dict[str, Any]]]:
    for split, row in rows:
        done.rows[split] += 1
        if "licence" in row:
            done.licences[str(row["licence"])] += 1
        yield split, row


def _copied(committed: Committed, entry: FileEntry, folder: Path, path: str) -> FileEntry:
    return _written(folder, path, committed.store.read(entry.path), entry.records)


def _written(folder: Path, path: str, data: bytes, records: int = 0) -> FileEntry:
    atomic_write(folder / path, data)
    return FileEntry(path, len(data), hashlib.sha256(data).hexdigest(), records)


def _describe(exported: list[Exported], sources: list[Source], folder: Path, kind: Kind) -> None:
    """Writes what people and the hub read, and last of all what stands in the folder."""
    files = [entry for done in exported for entry in done.files]
    texts = {LICENCES_NAME: licences_text({done.name: done.licences for done in exported})}
    if kind == "hf":
        texts[CARD_NAME] = dataset_card(sources, {done.name: done.rows for done in exported})
    files += [_written(folder, name, text.encode()) for name, text in texts.items()]
    committed = [source.committed for source in sources]
    told = {
        "export_version": EXPORT_VERSION,
        "kind": kind,
        "inputs": [
            {"stage": each.manifest.stage, "fingerprint": each.manifest.fingerprint, "manifest_sha256": each.sha256}
            for each in committed
        ],
        "files": [asdict(entry) for entry in sorted(files, key=lambda entry: entry.path)],
    }
    atomic_write(folder / EXPORT_NAME, canonical_json(told).encode())


def _put_in_place(making: Path, dest: Path) -> None:
    """Gives the finished folder its name; the export that had it goes."""
    old = making.with_suffix(".old.tmp")
    if dest.exists():
        dest.rename(old)
    making.rename(dest)
    shutil.rmtree(old, ignore_errors=True)
