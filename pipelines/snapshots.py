"""Snapshots of a crawl: a new name crawls again, and asks only for what has changed since the snapshot before it."""

import itertools
from collections.abc import Iterator

from pipelines.folders import committed_versions, is_committed
from pipelines.inputs import committed_manifest
from shards.manifest import CURRENT_NAME, Manifest
from shards.object_path import AnyPath


def snapshot_before(out: AnyPath, snapshot: str) -> Manifest | None:
    """The crawl that the snapshot of this name begins from, or None where it is the first.

    It is the one in force; or where one of this name stands, the one that it began from: a build of a snapshot that
    stands finds the same input, whatever was built since, and whichever was put in force again.

    Raises:
        StageError: a crawl on the way there cannot be read.
    """
    in_force = _in_force(out)
    for manifest in itertools.chain(_back_from(out, in_force), _committed(out)):
        if manifest.configuration["snapshot"] == snapshot:
            return _input(out, manifest)
    return in_force


def _back_from(out: AnyPath, manifest: Manifest | None) -> Iterator[Manifest]:
    """A crawl, the one it began from, and so on."""
    while manifest is not None:
        yield manifest
        manifest = _input(out, manifest)


def _committed(out: AnyPath) -> Iterator[Manifest]:
    """All crawls that stand: one that began from the one in force is not on the way back."""
    for folder in committed_versions(out / "crawl"):
        yield committed_manifest(folder)


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
