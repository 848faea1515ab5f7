"""What stands in a build's folders: the versions of each stage, and which is in force. Imports nothing heavy."""

import hashlib

from shards.committed import Committed, open_committed
from shards.manifest import CURRENT_NAME, MANIFEST_NAME, Manifest, read_manifest
from shards.object_path import AnyPath, ObjectPath
from shards.remote_store import open_store
from shards.store import Store

STAGE_NAMES = ("crawl", "images", "score", "text", "triplets", "windows")

RUN_NAME = "run.json"
"""When, where and how a stage ran: what the manifest must not say."""


def manifest_sha256(folder: AnyPath) -> str:
    """Hex SHA-256 of the manifest in `folder`, or "" where the stage is not committed."""
    path = folder / MANIFEST_NAME
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def is_committed(folder: AnyPath) -> bool:
    """Whether the stage in `folder` is whole."""
    return (folder / MANIFEST_NAME).exists()


def committed_versions(stage: AnyPath) -> list[AnyPath]:
    """The folders of a stage's committed versions, sorted by fingerprint."""
    folders = stage.folders() if isinstance(stage, ObjectPath) else sorted(stage.glob("*/"))
    return [folder for folder in folders if is_committed(folder)]


def current_manifest(out: AnyPath, stage: str) -> Manifest | None:
    """The manifest in force for `stage` in `out`, or None where none was ever committed."""
    current = out / stage / CURRENT_NAME
    return read_manifest(out / stage / current.read_text().strip()) if current.exists() else None


def committed_folders(path: str) -> list[Committed]:
    """The committed folders that `path` means: itself, the one its `current` names, or those in force in a build.

    Raises:
        ManifestError: there is none, or one cannot be read.
    """
    return [open_committed(store) for store in stage_stores(path)]


def stage_stores(path: str) -> list[Store]:
    """The stages that a build in `path` has in force, or `path` itself where it is no build."""
    store = open_store(path)
    if _has(store, MANIFEST_NAME) or _has(store, CURRENT_NAME):
        return [store]
    stages = [store.at(name) for name in STAGE_NAMES]
    return [stage for stage in stages if _has(stage, CURRENT_NAME)] or [store]


def _has(store: Store, name: str) -> bool:
    try:
        store.size(name)
    except OSError:
        return False
    return True
