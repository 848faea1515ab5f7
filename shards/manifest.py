"""The manifest, which alone says what a folder holds, and the way files get their names.

Every file is written under a temporary name, flushed to disk and renamed; the
manifest comes last. Readers believe nothing else.
"""

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from shards.json_values import elements, members, text, whole
from shards.object_path import AnyPath, ObjectPath

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
CURRENT_NAME = "current"


class ManifestError(RuntimeError):
    """A folder is not a committed output of this program."""


class BrokenManifestError(ManifestError):
    """A manifest is there, but is none that this program writes."""


@dataclass(frozen=True)
class FileEntry:
    """One file of an output.

    Attributes:
        path: Relative to the manifest's folder, with `/`.
        bytes: The file's size.
        sha256: Of its bytes, in hex.
        records: How many samples or rows it holds.
    """

    path: str
    bytes: int
    sha256: str
    records: int


@dataclass(frozen=True)
class InputEntry:
    """One input of a stage: which output of which stage, and its manifest's SHA-256."""

    stage: str
    fingerprint: str
    manifest_sha256: str


@dataclass(frozen=True)
class Counts:
    """The fates of a stage's inputs; `records_in = kept + rejected + failed`."""

    records_in: int = 0
    kept: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)

    def is_balanced(self) -> bool:
        """Return whether every input has exactly one fate."""
        return self.records_in == self.kept + sum(self.rejected.values()) + sum(self.failed.values())


@dataclass(frozen=True)
class Manifest:
    """What a committed folder holds, and what it was made from.

    Attributes:
        stage: `crawl`, `images`, `score`, `text`, `triplets` or `windows`.
        fingerprint: 12 hex digits.
        configuration: JSON values. A dataset's has the key `spec`, see `TripletSpec` and `WindowSpec`.
        inputs: The outputs it was made from.
        counts: The fates of its inputs.
        splits: Samples in each split; empty where there are none.
        files: Every file of the folder but the manifest and `run.json`.
        format_version: Of the files.
    """

    stage: str
    fingerprint: str
    configuration: Mapping[str, Any]
    inputs: tuple[InputEntry, ...]
    counts: Counts
    splits: Mapping[str, int]
    files: tuple[FileEntry, ...]
    format_version: int = FORMAT_VERSION


def canonical_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the one text of a JSON value: sorted keys, indented by one, a newline at the end."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of `manifest.json`."""
    return canonical_json(asdict(manifest)).encode()


def decode_manifest(data: bytes) -> Manifest:
    """Return the manifest in these bytes.

    Raises:
        BrokenManifestError: They are not a manifest, or one of another format version; the message names the field.
    """
    try:
        values = members(json.loads(data), "the whole")
        version = values.get("format_version")
        if version is not None and version != FORMAT_VERSION:
            told = f"format version {version}, but this program reads {FORMAT_VERSION}: build it again"
            raise BrokenManifestError(told)
        return _manifest(members(values, "the whole", _keys(Manifest) | values.keys()))
    except (ValueError, RecursionError) as error:
        raise BrokenManifestError(f"not a manifest ({error}): build it again") from error


def _manifest(values: Mapping[str, Any]) -> Manifest:
    """Return the manifest of these JSON values.

    Raises:
        ValueError: One is of another type or impossible; the message names it.
    """
    files = tuple(_entry(FileEntry, value, f"files[{n}]") for n, value in _numbered(values, "files"))
    paths = [entry.path for entry in files]
    if len(set(paths)) < len(paths):
        raise ValueError(f"files: {next(path for path in paths if paths.count(path) > 1)} is there twice")
    configuration = members(values["configuration"], "configuration")
    if "spec" in configuration:
        members(configuration["spec"], "configuration.spec")
    return Manifest(
        stage=text(values["stage"], "stage"),
        fingerprint=text(values["fingerprint"], "fingerprint"),
        configuration=configuration,
        inputs=tuple(_entry(InputEntry, value, f"inputs[{n}]") for n, value in _numbered(values, "inputs")),
        counts=_entry(Counts, values["counts"], "counts"),
        splits=_numbers(values["splits"], "splits"),
        files=files,
    )


def _numbers(value: object, name: str) -> dict[str, int]:
    return {key: whole(count, f"{name}.{key}") for key, count in members(value, name).items()}


def _digest(value: object, name: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text(value, name)):
        raise ValueError(f"{name} is {value!r}: it must be a SHA-256 of 64 hex digits")
    return str(value)


Entry = TypeVar("Entry", FileEntry, InputEntry, Counts)

_CHECKS: Mapping[str, Callable[[object, str], Any]] = {
    "bytes": whole,
    "records": whole,
    "records_in": whole,
    "kept": whole,
    "rejected": _numbers,
    "failed": _numbers,
    "sha256": _digest,
}
"""What a field of an entry must be, text if nothing stands here."""


def _entry(kind: type[Entry], value: object, name: str) -> Entry:
    found = members(value, name, _keys(kind))
    return kind(**{key: _CHECKS.get(key, text)(each, f"{name}.{key}") for key, each in found.items()})


def _numbered(values: Mapping[str, Any], name: str) -> Iterator[tuple[int, Any]]:
    return enumerate(elements(values[name], name))


def _keys(kind: type[Any]) -> frozenset[str]:
    return frozenset(each.name for each in fields(kind))


def read_manifest(folder: AnyPath) -> Manifest:
    """Return a committed folder's manifest.

    Raises:
        ManifestError: There is none, or it cannot be read; the message names the file and what would do.
    """
    data = _manifest_bytes(folder)
    try:
        return decode_manifest(data)
    except BrokenManifestError as error:
        raise BrokenManifestError(f"{folder / MANIFEST_NAME}: {error}") from error


def _manifest_bytes(folder: AnyPath) -> bytes:
    path = folder / MANIFEST_NAME
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ManifestError(f"{path} is missing: the build was not finished; run it again") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error


def write_manifest(folder: AnyPath, manifest: Manifest) -> None:
    """Commit a folder: write its `manifest.json`, last of all files.

    Raises:
        ManifestError: Some input has no fate, or two, or another build has committed it; nothing is written.
    """
    if not manifest.counts.is_balanced():
        raise ManifestError(f"{folder}: records in = kept + rejected + failed does not hold: {manifest.counts}")
    try:
        atomic_write(folder / MANIFEST_NAME, encode_manifest(manifest), is_new=isinstance(folder, ObjectPath))
    except FileExistsError as error:
        raise ManifestError(committed_meanwhile(folder)) from error


def committed_meanwhile(folder: AnyPath) -> str:
    """Return what whoever was second is told of a folder that another build has committed."""
    return f"another build has committed {folder} meanwhile; run again, and what it made is taken as it is"


def write_current(stage_folder: AnyPath, fingerprint: str) -> None:
    """Put an output in force: `current` names it from now on."""
    atomic_write(stage_folder / CURRENT_NAME, f"{fingerprint}\n".encode())


@contextmanager
def atomic_open(path: AnyPath, *, is_new: bool = False) -> Iterator[BinaryIO]:
    """Yield a file that gets its name, flushed to disk, when the block ends without an error; it may be read back.

    On an error the temporary file goes; after a kill it stays as `.NAME.….tmp`, which nothing reads.

    Args:
        path: the file's.
        is_new: whether it must not take the place of another: of all that write it, one alone does.

    Raises:
        FileExistsError: `is_new`, and it is there.
    """
    if isinstance(path, ObjectPath):
        with path.created(is_new=is_new) as file:
            yield file
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            os.link(temporary, path)  # unlike a rename, it fails where the file is there
            temporary.unlink()
        else:
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def atomic_write(path: AnyPath, data: bytes, *, is_new: bool = False) -> None:
    """Write a whole file, so that it is never seen in part; for `is_new` see `atomic_open`."""
    with atomic_open(path, is_new=is_new) as file:
        file.write(data)


def _flush_folder(folder: Path) -> None:
    """Flush a folder's entries to disk: a rename lasts only then."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
