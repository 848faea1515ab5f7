"""Two builds, or two versions of a stage, side by side: settings, counts by reason, which records were lost and why.

What manifests say is told at once; records are gone through side by side, one of each version in memory at a time.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.errors import StageError
from pipelines.folders import STAGE_NAMES, committed_folders
from pipelines.inspect.ordered_records import Record, Version, records
from pipelines.inspect.reasons import Reasons
from shards.manifest import Manifest
from shards.store import LocalStore

ABSENT = "absent"
COMPARED = ("images", "score", "text", "triplets", "windows")
"""Stages whose records are compared one by one; those of a crawl are counted."""


class Setting(NamedTuple):
    """A setting that is another, as JSON; `absent` where there is none."""

    name: str
    before: str
    after: str


class Count(NamedTuple):
    """How many records met a fate before and after: `in`, `kept`, or `rejected` and `failed` for a reason."""

    fate: str
    reason: str
    before: int
    after: int


class Example(NamedTuple):
    """A record that one of two versions has, and why the other has not."""

    key: str
    split: str
    url: str
    detail: str


@dataclass(frozen=True)
class StageDifference:
    """A stage before and after, by what its manifests say.

    Attributes:
        stage: its name.
        before: the one version, None where that build has none.
        after: the other.
        settings: those that are others.
        counts: of all fates, those that changed nothing among them.
        inputs: the stages it was made from in another version.
    """

    stage: str
    before: Version | None
    after: Version | None
    settings: tuple[Setting, ...]
    counts: tuple[Count, ...]
    inputs: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether both have one and the same version: all in it is the same."""
        if self.before is None or self.after is None:
            return False
        return self.before.manifest == self.after.manifest


@dataclass
class Side:
    """What only one of two versions has, by why the other has not.

    Attributes:
        counts: how many, by reason.
        examples: the first of each reason, in the order of the keys' hashes: a fair draw.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    def add(self, record: Record, reason: str, most: int) -> None:
        """Counts a record, and keeps it as an example where there are not `most` of them."""
        self.counts[reason] += 1
        some = self.examples.setdefault(reason, [])
        if len(some) < most:
            some.append(Example(record.key, record.split, record.url, ""))

    def learn(self, reasons: Reasons) -> None:
        """Looks up what was measured of the examples."""
        details = reasons.details([each.url for some in self.examples.values() for each in some])
        for reason, some in self.examples.items():
            self.examples[reason] = [each._replace(detail=details.get(each.url, "")) for each in some]


@dataclass
class RecordDifference:
    """Which records of a stage are in both versions, and which in one alone, by key.

    Attributes:
        num_kept: how many are in both.
        num_moved: how many of those are in another split.
        lost: what only the first has.
        gained: what only the second has.
    """

    num_kept: int = 0
    num_moved: int = 0
    lost: Side = field(default_factory=Side)
    gained: Side = field(default_factory=Side)


def compare(before: str | Path, after: str | Path) -> list[StageDifference]:
    """The stages of two builds, or two versions of one stage, by their manifests alone.

    Raises:
        ManifestError: nothing is committed in one of them, or it cannot be read.
        StageError: they have no stage in common, or one is not on this machine.
    """
    first, second = _versions(before), _versions(after)
    if not first.keys() & second.keys():
        told = f"{before} has {', '.join(first)}, and {after} {', '.join(second)}"
        raise StageError(f"{told}: there is nothing to compare; give two builds, or two versions of one stage")
    stages = sorted(first.keys() | second.keys(), key=STAGE_NAMES.index)
    return [_compared(stage, first.get(stage), second.get(stage)) for stage in stages]


def compare_records(before: Version, after: Version, num_examples: int = 3) -> RecordDifference:
    """What became of each record that one of two versions of a stage has; not of a crawl's.

    Raises:
        StageError: a table or an index cannot be read, or is not in order.
    """
    found = RecordDifference()
    why_lost, why_gained = Reasons(after), Reasons(before)
    for first, second in merged(records(before), records(after)):
        if second is None:
            assert first is not None
            found.lost.add(first, why_lost.of(first.url), num_examples)
        elif first is None:
            found.gained.add(second, why_gained.of(second.url), num_examples)
        else:
            found.num_kept += 1
            found.num_moved += first.split != second.split
    found.lost.learn(why_lost)
    found.gained.learn(why_gained)
    return found


def merged(first: Iterable[Record], second: Iterable[Record]) -> Iterator[tuple[Record | None, Record | None]]:
    """Records with the same key side by side, the others by themselves; both in order, as is what comes out."""
    ours, theirs = iter(first), iter(second)
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.order < other.order):
            yield one, None
            one = next(ours, None)
        elif one is None or other.order < one.order:
            yield None, other
            other = next(theirs, None)
        else:
            yield one, other
            one, other = next(ours, None), next(theirs, None)


def _versions(path: str | Path) -> dict[str, Version]:
    """The versions that a path means: those in force in a build, or the one of a stage.

    Raises:
        ManifestError: nothing is committed there, or it cannot be read.
        StageError: it is not on this machine, or holds no stage that this program knows.
    """
    found = {}
    for committed in committed_folders(str(path)):
        stage = committed.manifest.stage
        if not isinstance(committed.store, LocalStore):
            raise StageError(f"{path} is not on this machine; copy it here to compare it")
        if stage not in STAGE_NAMES:
            raise StageError(f"{path} holds {stage!r}, no stage of a build; give two builds, or versions of a stage")
        found[stage] = Version(committed.store.folder, committed.manifest)
    return found


def _compared(stage: str, before: Version | None, after: Version | None) -> StageDifference:
    old, new = (version.manifest if version else None for version in (before, after))
    settings = tuple(_settings(old, new)) if old and new else ()
    inputs = tuple(sorted({name for name, _ in _inputs(old) ^ _inputs(new)})) if old and new else ()
    return StageDifference(stage, before, after, settings, tuple(_counts(old, new)), inputs)


def _inputs(manifest: Manifest) -> set[tuple[str, str]]:
    return {(entry.stage, entry.fingerprint) for entry in manifest.inputs}


def _settings(before: Manifest, after: Manifest) -> Iterator[Setting]:
    old, new = dict(_flat(before.configuration)), dict(_flat(after.configuration))
    names = old.keys() | new.keys()
    for name in sorted(name for name in names if name.removeprefix("spec.") not in names - {name}):  # one said twice
        if old.get(name, ABSENT) != new.get(name, ABSENT):
            yield Setting(name, old.get(name, ABSENT), new.get(name, ABSENT))


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Each setting under its whole name, as in `filters.min_entropy`; an empty group of them as a setting itself."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", json.dumps(value, ensure_ascii=False)


def _counts(before: Manifest | None, after: Manifest | None) -> Iterator[Count]:
    old, new = _fates(before), _fates(after)
    for fate, reason in {**old, **new}:
        yield Count(fate, reason, old.get((fate, reason), 0), new.get((fate, reason), 0))


def _fates(manifest: Manifest | None) -> dict[tuple[str, str], int]:
    if manifest is None:
        return {}
    counts = manifest.counts
    fates = {("in", ""): counts.records_in, ("kept", ""): counts.kept}
    for fate, reasons in (("rejected", counts.rejected), ("failed", counts.failed)):
        for reason, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
            fates[fate, reason] = number
    return fates
