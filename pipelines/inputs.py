"""Whether what a stage is about to read still stands as its manifest says."""

from pathlib import Path

from pipelines.errors import StageError
from pipelines.stages import Job
from shards.manifest import MANIFEST_NAME, Manifest, ManifestError, read_manifest
from shards.object_path import AnyPath, ObjectPath


def committed_manifest(folder: AnyPath) -> Manifest:
    """The manifest of a stage that is committed in `folder`.

    Raises:
        StageError: it is there, but cannot be read, or is another folder's: what it names is not to be touched.
    """
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        raise StageError(f"{error}, after removing {folder}") from error
    outside = [file.path for file in manifest.files if file.path.startswith("/") or ".." in file.path.split("/")]
    if manifest.fingerprint != folder.name or outside:
        told = f"lists {outside[0]}, outside its folder" if outside else f"is that of {manifest.fingerprint}"
        raise StageError(f"{folder / MANIFEST_NAME} {told}: build it again, after removing {folder}")
    return manifest


def check_inputs(job: Job) -> None:
    """Checks that every file of a job's inputs is there in its length; what is in it is checked where it is read.

    Raises:
        StageError: one is missing, or is longer or shorter than its manifest says.
    """
    for stage, manifest in job.inputs.items():
        check_files(job.stage, job.input_folder(stage), manifest)


def check_files(stage: str, folder: AnyPath, manifest: Manifest) -> None:
    """Checks that every file of a committed folder is there in its length.

    Raises:
        StageError: one is missing, or is longer or shorter than its manifest says.
    """
    there = folder.listing() if isinstance(folder, ObjectPath) else None
    for file in manifest.files:
        path = folder / file.path
        found = _size_of(path) if there is None else there[file.path].bytes if file.path in there else None
        if found != file.bytes:
            what = "is missing" if found is None else f"has {found} bytes where its manifest says {file.bytes}"
            raise StageError(f"{stage}: {path} {what}; put it back, or remove {folder} and build again to make it anew")


def _size_of(path: AnyPath) -> int | None:
    return path.stat().st_size if isinstance(path, Path) and path.is_file() else None
