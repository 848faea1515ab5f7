"""What `seedbed diff` prints: two builds, or two versions of a stage, in a terminal."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.errors import StageError
from pipelines.inspect.difference import COMPARED, Example, Side, StageDifference, compare, compare_records
from pipelines.inspect.ordered_records import TABLES, Version
from pipelines.open_files import OpenFiles
from pipelines.pictures import read_picture
from pipelines.terminal import Screen

COLUMNS = 24
"""Of a picture, at most."""

MAX_VALUE = 60
"""Characters of a setting that are shown."""

MAX_WORDS = 200
"""Characters of a document that are shown."""


def show_difference(before: str, after: str, screen: Screen, stage: str | None, count: int) -> None:
    """Prints what is another in each stage: settings, counts by reason, records lost and new with examples.

    Args:
        before: a build, or a version of a stage.
        after: the other.
        screen: where it is printed.
        stage: the only one to look at, all if None.
        count: examples of each reason.

    Raises:
        ManifestError: nothing is committed in one of them, or it cannot be read.
        StageError: they have nothing in common, or something in them cannot be read.
    """
    differences = compare(before, after)
    known = [each.stage for each in differences]
    if stage is not None and stage not in known:
        raise StageError(f"{before} and {after} have no stage {stage!r}; there is {', '.join(known)}")
    for each in differences:
        if stage in (None, each.stage):
            _show_stage(each, screen, count)


def _show_stage(each: StageDifference, screen: Screen, count: int) -> None:
    versions = " -> ".join(
        version.manifest.fingerprint if version else "not built" for version in (each.before, each.after)
    )
    if each.is_same:
        screen.say(f"{each.stage}: the same, {versions.partition(' ')[0]}", "bold")
        return
    screen.say(f"{each.stage}: {versions}", "bold cyan")
    for setting in each.settings:
        screen.say(f"{setting.name}: {_short(setting.before)} -> {_short(setting.after)}", indent=2)
    if each.inputs:
        screen.say(f"made from another version of {' and '.join(each.inputs)}", indent=2)
    _show_counts(each, screen)
    if each.before and each.after and each.stage in COMPARED:
        _show_records(each.before, each.after, screen, count)
    screen.console.print()


def _short(value: str) -> str:
    return value if len(value) <= MAX_VALUE else value[:MAX_VALUE] + "..."


def _show_counts(each: StageDifference, screen: Screen) -> None:
    """A line for each fate whose number is another; those that are the same are counted."""
    changed = [entry for entry in each.counts if entry.before != entry.after]
    for entry in changed:
        numbers = f"{entry.before:,} -> {entry.after:,} ({entry.after - entry.before:+,})"
        screen.say(f"{entry.fate} {entry.reason}".strip() + f": {numbers}", indent=2)
    if len(changed) < len(each.counts):
        screen.say(f"{len(each.counts) - len(changed)} other counts are the same", "dim", indent=2)


def _show_records(before: Version, after: Version, screen: Screen, count: int) -> None:
    found = compare_records(before, after, count)
    moved = f", {found.num_moved:,} of them in another split" if found.num_moved else ""
    lost, gained = found.lost.counts.total(), found.gained.counts.total()
    screen.say(f"{found.num_kept:,} in both{moved}; {lost:,} lost, {gained:,} new", "bold", indent=2)
    for side, version, what in ((found.lost, before, "lost"), (found.gained, after, "new, before")):
        _show_side(side, version, what, screen)


def _show_side(side: Side, version: Version, what: str, screen: Screen) -> None:
    """The reasons, the commonest first, each with its examples."""
    for reason, number in sorted(side.counts.items(), key=lambda item: (-item[1], item[0])):
        screen.say(f"{what}: {reason}, {number:,}", "bold", indent=2)
        examples = side.examples[reason]
        if version.manifest.stage == "images":
            screen.draw([(each.key[:8], pixels) for each, pixels in _pictures(version, examples)], COLUMNS)
        texts = _texts(version, examples)
        for each in examples:
            split = f" ({each.split})" if each.split else ""
            screen.say(f"{each.key}{split}", indent=2)
            if each.url:
                screen.say_address(each.url, indent=2)
            screen.say(each.detail, indent=4)
            screen.say(texts.get(each.key, ""), "italic", MAX_WORDS, indent=4)


def _pictures(version: Version, examples: Sequence[Example]) -> Iterator[tuple[Example, NDArray[np.uint8]]]:
    """The clean pictures of those that can be read."""
    places = _rows(version, examples, ("key", "part", "offset", "length"))
    with OpenFiles() as files:
        for each in examples:
            try:
                _, part, offset, length = places[each.key]
                yield each, read_picture(files, version.folder / str(part), int(offset), int(length)).pixels
            except (StageError, OSError):  # what is missing or damaged, verify tells
                continue


def _texts(version: Version, examples: Sequence[Example]) -> dict[str, str]:
    """The documents of the text stage by key, each with its title in front."""
    if version.manifest.stage != "text":
        return {}
    rows = _rows(version, examples, ("key", "title", "text"))
    return {key: f"{title}: {text}" if title else str(text) for key, (_, title, text) in rows.items()}


def _rows(version: Version, examples: Sequence[Example], columns: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """Some columns of the rows of some examples, by key."""
    found: dict[str, tuple[Any, ...]] = {}
    wanted = [("key", "in", [each.key for each in examples])]
    for path in version.tables(TABLES[version.manifest.stage][0]) if examples else ():
        table = pq.read_table(path, columns=list(columns), filters=wanted)
        for row in zip(*(table[name].to_pylist() for name in columns), strict=True):
            found[row[0]] = row
    return found
