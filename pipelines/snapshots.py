"""Snapshots of a crawl: a new name crawls again, and asks only for what has changed since the snapshot before it."""

from pipelines.folders import is_committed
from pipelines.inputs import committed_manifest
from shards.manifest import CURRENT_NAME, Manifest
from shards.object_path import AnyPath


def snapshot_before(out: AnyPath, snapshot: str) -> Manifest | None:
    """The crawl that the snapshot of this name begins from, or None where it is the first.

    It is the one in force; or where that is of this name itself, or began from one that is, the one before that: a
    build of a snapshot that stands finds the snapshot it began from, whatever was built since.

    Raises:
        StageError: a crawl on the way there cannot be read.
    """
    newest = _in_force(out)
    manifest = newest
    while manifest is not None:
        before = _input(out, manifest)
        if manifest.configuration["snapshot"] == snapshot:
            return before
        manifest = before
    return newest


def _in_force(out: AnyPath) -> Manifest | None:
    """The crawl that `current` names, as far as it stands."""
    current = out / "crawl" / CURRENT_NAME
    folder = out / "crawl" / current.read_text().strip() if current.exists() else None
    return committed_manifest(folder) if folder is not None and is_committed(folder) else None


def _input(out: AnyPath, manifest: Manifest) -> Manifest | None:
    """The snapshot that a crawl began from, as far as it still stands."""
    for entry in manifest.inputs:
        folder = out / entry.stage / entry.fingerprint
        return committed_manifest(folder) if is_committed(folder) else None
    return None
