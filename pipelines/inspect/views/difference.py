"""Diff: two builds, or two versions of a stage, side by side; and the records that only one of them has."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.inspect.difference import COMPARED, Example, StageDifference, compare, compare_records
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.sources import READING, Source, Trouble

NUM_EXAMPLES = 12
"""Records shown of each reason."""


@dataclass(frozen=True)
class Pair:
    """What stands side by side.

    Attributes:
        stage: its name, "" for all stages of two builds.
        before: fingerprint, or name of the build.
        after: likewise.
    """

    stage: str
    before: str
    after: str


@dataclass(frozen=True)
class Diff:
    """What two builds or versions differ in.

    Attributes:
        pair: shown, None where there is nothing to compare.
        choices: stages with the fingerprints of their versions, the one in force first.
        stages: what differs.
        troubles: what could not be read.
    """

    pair: Pair | None
    choices: dict[str, list[str]]
    stages: list[StageDifference]
    troubles: list[Trouble]


@dataclass(frozen=True)
class Only:
    """Records that only one of two versions has, for a reason."""

    reason: str
    number: int
    examples: list[Example]


@dataclass(frozen=True)
class Records:
    """What became of the records of a stage.

    Attributes:
        stage: its name.
        num_kept: that both have.
        num_moved: of those, in another split.
        lost: that only the first has, by reason.
        gained: that only the second has.
        before: the first version, as a picture's address names it.
        after: the second.
    """

    stage: str
    num_kept: int
    num_moved: int
    lost: list[Only]
    gained: list[Only]
    before: str
    after: str


def diff(source: Source, query: Query) -> Diff:
    """What differs between another build and this one, or between two versions of a stage.

    Raises:
        QueryError: there is no such version.
    """
    if source.beside is not None:
        pair = Pair("", str(source.beside), source.name)
        return Diff(pair, {}, compare(source.beside.out, source.out), source.beside.stages()[1])
    choices = _choices(source)
    if not choices:
        return Diff(None, {}, [], source.stages()[1])
    stage = query.choice("stage", list(choices))
    known, every = choices[stage], [name for names in choices.values() for name in names]
    pair = Pair(stage, query.choice("a", known, known[1], every), query.choice("b", known, known[0], every))
    folders = [_folder(source, stage, name) for name in (pair.before, pair.after)]
    return Diff(pair, choices, compare(*folders), [])


def diff_records(source: Source, query: Query) -> Records:
    """The records that only one of two versions of a stage has.

    Raises:
        QueryError: there is no such stage or version.
        StageError: a table or an index cannot be read.
    """
    stage = query.choice("stage", COMPARED)
    shown = diff(source, query if source.beside is None else Query({}))
    found = next((each for each in shown.stages if each.stage == stage), None)
    before, after = (found.before, found.after) if found else (None, None)
    if before is None or after is None:
        raise QueryError(f"{stage} does not stand in both")
    key = ("diff", before.folder, after.folder)
    records = source.kept.of(key, lambda: compare_records(before, after, NUM_EXAMPLES))
    lost, gained = (_only(side.counts, side.examples) for side in (records.lost, records.gained))
    names = (before.folder.name, after.folder.name)
    return Records(stage, records.num_kept, records.num_moved, lost, gained, *names)


def _only(counts: dict[str, int], examples: dict[str, list[Example]]) -> list[Only]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Only(reason, number, examples.get(reason, [])) for reason, number in ordered]


def _choices(source: Source) -> dict[str, list[str]]:
    """Stages that have more than one version."""
    found = {}
    for state in source.stages()[0]:
        try:
            names = [version.folder.name for version in source.versions(state.stage)]
        except READING:
            continue
        if len(names) > 1:
            found[state.stage] = names
    return found


def _folder(source: Source, stage: str, name: str) -> Path:
    state = source.version(stage, name)
    if state is None:
        raise QueryError(f"{stage} has no version {name}")
    return state.folder
