"""Shards: the files of each stage, whether they are there, and what their indexes say."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.inspect.query import Query
from pipelines.inspect.sources import Source, StageState, Trouble
from shards.manifest import FileEntry
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX

MOST_FILES = 400
"""Files of a stage that are listed; the rest is counted."""


@dataclass(frozen=True)
class FileLine:
    """One file: what the manifest says of it, and what is wrong at a glance, "" where nothing is."""

    path: str
    bytes: int
    records: int
    sha256: str
    wrong: str


@dataclass(frozen=True)
class StageFiles:
    """The files of one stage, and how many more there are."""

    stage: str
    fingerprint: str
    files: list[FileLine]
    num_more: int
    num_wrong: int
    members: list[tuple[str, int]]


@dataclass(frozen=True)
class Shards:
    """All stages."""

    stages: list[StageFiles]
    troubles: list[Trouble]


def shards(source: Source, query: Query) -> Shards:
    """The files of every stage in force."""
    states, troubles = source.stages()
    return Shards([_stage_files(source, state) for state in states if state.manifest], troubles)


def _stage_files(source: Source, state: StageState) -> StageFiles:
    assert state.manifest is not None
    entries = state.manifest.files
    ordered = sorted(entries, key=lambda entry: (not entry.path.endswith((TAR_SUFFIX, INDEX_SUFFIX)), entry.path))
    wrong = {entry.path: told for entry in entries if (told := _wrong(state.folder, entry))}
    ordered.sort(key=lambda entry: entry.path not in wrong)
    lines = [
        FileLine(entry.path, entry.bytes, entry.records, entry.sha256, wrong.get(entry.path, ""))
        for entry in ordered[:MOST_FILES]
    ]
    more = max(0, len(entries) - MOST_FILES)
    return StageFiles(state.stage, state.folder.name, lines, more, len(wrong), _members(state))


def _wrong(folder: Path, entry: FileEntry) -> str:
    """What is wrong with a file without reading it."""
    try:
        size = (folder / entry.path).stat().st_size
    except OSError as error:
        return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
    return "" if size == entry.bytes else f"has {size:,} bytes, the manifest says {entry.bytes:,}"


def _members(state: StageState) -> list[tuple[str, int]]:
    """What members the samples of a dataset have, and how many bytes the first of each takes."""
    from shards.index import decode_index  # noqa: PLC0415

    name = next((path for path in _indexes(state) if (state.folder / path).exists()), None)
    if name is None:
        return []
    try:
        index = decode_index((state.folder / name).read_bytes())
    except (ValueError, OSError):
        return []
    return list(zip(index.extensions, index.lengths[0].tolist(), strict=True)) if len(index) else []


def _indexes(state: StageState) -> list[str]:
    assert state.manifest is not None
    return [entry.path for entry in state.manifest.files if entry.path.endswith(INDEX_SUFFIX)]
