"""What was committed in a folder, wherever the folder lies: a manifest and the store of the files that it lists."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from shards.manifest import CURRENT_NAME, MANIFEST_NAME, BrokenManifestError, Manifest, ManifestError, decode_manifest
from shards.remote_store import open_store
from shards.store import LocalStore, Store, is_url


@dataclass(frozen=True)
class Committed:
    """A committed output.

    Attributes:
        store: Of its folder.
        manifest: What it holds.
        sha256: Of the manifest's file, in hex: it stands for all that the folder holds.
    """

    store: Store
    manifest: Manifest
    sha256: str


def open_committed(store: Store) -> Committed:
    """Return the committed output that a folder is, or that its `current` names.

    Raises:
        ManifestError: Neither is there, or it cannot be read; the message says what would do.
        StoreError: The store gives no answer.
    """
    try:
        data = _read(store, MANIFEST_NAME)
        if data is None:
            current = _read(store, CURRENT_NAME)
            if current is None:
                raise ManifestError(_nothing_there(store))
            store = store.at(current.decode().strip())
            data = _read(store, MANIFEST_NAME)
        if data is None:
            raise ManifestError(f"{store.where}/{MANIFEST_NAME} is missing: the build was not finished; run it again")
    except (OSError, ValueError) as error:  # a name that is no text, or that no folder can have
        raise ManifestError(f"{store.where} cannot be read: {error}") from error
    try:
        return Committed(store, decode_manifest(data), hashlib.sha256(data).hexdigest())
    except BrokenManifestError as error:
        raise BrokenManifestError(f"{store.where}/{MANIFEST_NAME}: {error}") from error


def stage_folder(path: str | Path, stage: str) -> str | Path:
    """Return the folder of a stage's outputs in what a build wrote, or `path` itself where it has no such folder.

    Raises:
        StoreError: The store gives no answer.
    """
    if not is_url(path):
        return Path(path, stage) if Path(path, stage).is_dir() else path
    folder = f"{str(path).rstrip('/')}/{stage}"
    return path if _read(open_store(folder), CURRENT_NAME) is None else folder


def _read(store: Store, name: str) -> bytes | None:
    try:
        return store.read(name)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _nothing_there(store: Store) -> str:
    if isinstance(store, LocalStore) and not store.folder.is_dir():
        return f"{store.where} is not a folder: give one that a build has written"
    return (
        f"{store.where} holds neither {MANIFEST_NAME} nor {CURRENT_NAME}: nothing was committed there; run the build "
        "again"
    )
