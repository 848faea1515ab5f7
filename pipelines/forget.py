"""Forgetting: records taken out of everything under a build's folder, and kept out of what is built later.

A tombstone is written first. Then each committed folder, from the crawl on, gets a successor without what it covers:
files that hold none of it keep their bytes and names. When all successors stand, the folders before them go, with
whatever was not committed. Whatever interrupts it, the same command carries on.

The crawl's successor is the folder that a build looks for after the tombstone: nothing is fetched again. The others
have names of their own, since a stage run anew would cut its files elsewhere: the next build makes them from the crawl.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from crawl.urls import canonical_url, without_parameters
from pipelines.errors import StageError
from pipelines.folders import STAGE_NAMES, committed_versions, is_committed, manifest_sha256
from pipelines.inputs import committed_manifest
from pipelines.locks import locked
from pipelines.redact import redact_folder
from pipelines.redaction import Forgotten
from pipelines.stages import STAGES, fingerprint, tidy
from pipelines.tombstones import FILE as TOMBSTONES
from pipelines.tombstones import add_tombstones, read_tombstones
from shards.manifest import (
    CURRENT_NAME,
    MANIFEST_NAME,
    InputEntry,
    Manifest,
    atomic_write,
    write_current,
    write_manifest,
)
from shards.object_path import AnyPath, ObjectPath, remove_tree

RECEIPTS = "forgotten"
"""Folder of the receipts: what each call took out, and which folder followed which."""

COPIES = ("report", "show")
"""Folders of pictures to look at, which are made anew when asked for."""


@dataclass(frozen=True)
class Successor:
    """What followed a committed folder.

    Attributes:
        stage: its stage.
        before: its fingerprint.
        before_sha256: of its manifest.
        after: the fingerprint of the folder that follows it.
        num_removed: records and samples taken out.
        num_emptied: samples that lost what a forgotten page had said of them: caption, licence, address.
        rewritten: paths of files written anew.
        num_kept: files that kept their bytes.
    """

    stage: str
    before: str
    before_sha256: str
    after: str
    num_removed: int
    num_emptied: int
    rewritten: tuple[str, ...]
    num_kept: int


def forget_and_tell(out: AnyPath, wanted: Sequence[tuple[str, str]], console: Console) -> None:
    """Forgets, and prints what came of it; errors as `forget`."""
    successors = forget(out, wanted)
    table = Table(title="What was forgotten", title_justify="left")
    for column in ("stage", "was", "is now", "removed", "emptied", "rewritten", "kept"):
        table.add_column(column, justify="left" if column in ("stage", "was", "is now") else "right", no_wrap=True)
    for each in successors:
        numbers = (each.num_removed, each.num_emptied, len(each.rewritten), each.num_kept)
        table.add_row(each.stage, each.before, each.after, *(f"{number:,}" for number in numbers))
    if any(each.num_removed or each.num_emptied for each in successors):
        console.print(table)
        console.print(f"Receipt: {_last_receipt(out)}", soft_wrap=True)
    else:
        console.print(f"Nothing in {out} came from there.", soft_wrap=True)
    for run in trained_on(out, successors):
        console.print(f"{run} learnt from what is gone and cannot forget: train again", soft_wrap=True)
    console.print(f"{out / TOMBSTONES} keeps it out of later builds.", soft_wrap=True)


def forget(out: AnyPath, wanted: Sequence[tuple[str, str]]) -> list[Successor]:
    """Takes what `wanted` names out of all that was built in `out`; returns what followed each committed folder.

    Args:
        out: the build's folder.
        wanted: kinds (`url`, `host`, `sha256`) and values.

    Raises:
        StageError: another build is at work there, or nothing was ever built there.
        TombstoneError: a value is none of its kind.
    """
    if not any(_folders(out, stage) for stage in STAGE_NAMES):
        raise StageError(f"{out}: nothing was built there; give the folder of a build")
    with locked(out):
        add_tombstones(out, [*wanted, *_known_as(out, wanted)])
        forgotten = Forgotten(read_tombstones(out))
        successors: list[Successor] = []
        for stage in STAGE_NAMES:
            for folder in _committed(out, stage):
                successors += _succeed(out, stage, folder, forgotten, successors)
        if successors:
            _write_receipt(out, wanted, successors)
        _remove(out, successors)
        return successors


def _known_as(out: AnyPath, wanted: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The URLs under which the crawls in `out` know those that are wanted, where parameters are dropped there."""
    crawls = [committed_manifest(folder) for folder in _committed(out, "crawl")]
    dropped = {tuple(crawl.configuration.get("drop_parameters", ())) for crawl in crawls}
    for kind, value in wanted:
        url = canonical_url(value) if kind == "url" else None
        if url is not None:
            yield from (("url", without_parameters(url, patterns)) for patterns in sorted(dropped))


def trained_on(out: AnyPath, successors: Sequence[Successor]) -> list[Path]:
    """The training runs in `out` that learnt from what has lost samples: they cannot forget."""
    changed = {successor.before_sha256 for successor in successors if successor.num_removed or successor.num_emptied}
    configs = sorted(out.glob("runs/*/config.json")) if isinstance(out, Path) else []  # models are trained on disk
    return [path.parent for path in configs if json.loads(path.read_bytes()).get("manifest_sha256") in changed]


def _committed(out: AnyPath, stage: str) -> list[AnyPath]:
    """The committed folders of a stage, each behind the one it began from.

    Raises:
        StageError: a manifest of one cannot be read.
    """
    waiting = {folder.name: folder for folder in committed_versions(out / stage)}
    before = {name: [entry.fingerprint for entry in committed_manifest(waiting[name]).inputs] for name in waiting}
    found: list[AnyPath] = []
    while waiting:
        ready = [name for name in waiting if not any(needed in waiting for needed in before[name])]
        found += [waiting.pop(name) for name in ready]
    return found


def _folders(out: AnyPath, stage: str) -> list[AnyPath]:
    """The folders of a stage, committed or not."""
    if isinstance(out, ObjectPath):
        names = {name.partition("/")[0] for name in (out / stage).listing() if "/" in name}
        return [out / stage / name for name in sorted(names)]
    return sorted(path for path in (out / stage).glob("*") if path.is_dir())


def _remove_folder(folder: AnyPath) -> None:
    if isinstance(folder, ObjectPath):
        remove_tree(folder)
    else:
        shutil.rmtree(folder)  # what cannot be removed is not passed over


def _succeed(
    out: AnyPath, stage: str, folder: AnyPath, forgotten: Forgotten, before: Sequence[Successor]
) -> list[Successor]:
    """Gives a committed folder its successor, unless it was made after the tombstones.

    Raises:
        StageError: its manifest cannot be read.
    """
    manifest = committed_manifest(folder)
    sha256 = manifest_sha256(folder)
    inputs = tuple(_input(out, entry, before) for entry in manifest.inputs)
    if stage == "crawl":
        after = fingerprint(
            STAGES[stage],
            manifest.configuration,
            {entry.stage: entry.manifest_sha256 for entry in inputs},
            forgotten.tombstones,
        )
    else:
        told = f"{sha256} without {forgotten.tombstones.digest}"
        after = hashlib.sha256(told.encode()).hexdigest()[:12]
    is_orphan = any(not is_committed(out / entry.stage / entry.fingerprint) for entry in manifest.inputs)
    is_from_after = after == manifest.fingerprint or (bool(inputs) and inputs == manifest.inputs)
    if is_from_after and not is_orphan:
        return []
    target = out / stage / after
    if stage == "crawl":
        forgotten.crawls[manifest.fingerprint] = after
    (target / MANIFEST_NAME).unlink(missing_ok=True)  # of a run that was killed: it is made again
    redacted = redact_folder(manifest, folder, target, forgotten)
    if is_orphan and not redacted.rewritten:  # it was made after the tombstones, or holds nothing of what they cover
        _remove_folder(target)
        return []
    successor = Manifest(
        stage=stage,
        fingerprint=after,
        configuration=manifest.configuration,
        inputs=inputs,
        counts=redacted.counts,
        splits=redacted.splits,
        files=tuple(sorted(redacted.files, key=lambda file: file.path)),
    )
    write_manifest(target, successor)
    tidy(target, successor)
    current = out / stage / CURRENT_NAME
    if current.is_file() and current.read_text().strip() == manifest.fingerprint:
        write_current(out / stage, after)
    rewritten = tuple(sorted(redacted.rewritten))
    num_kept = len(redacted.files) - len(rewritten)
    return [
        Successor(
            stage, manifest.fingerprint, sha256, after, redacted.num_removed, redacted.num_emptied, rewritten, num_kept
        )
    ]


def _input(out: AnyPath, entry: InputEntry, successors: Sequence[Successor]) -> InputEntry:
    """What an input is now: itself, or its successor."""
    for successor in successors:
        if (successor.stage, successor.before_sha256) == (entry.stage, entry.manifest_sha256):
            sha256 = manifest_sha256(out / entry.stage / successor.after)
            return replace(entry, fingerprint=successor.after, manifest_sha256=sha256)
    return entry


def _last_receipt(out: AnyPath) -> AnyPath:
    receipts: list[AnyPath] = sorted((out / RECEIPTS).glob("*.json"))
    return receipts[-1]


def _write_receipt(out: AnyPath, wanted: Sequence[tuple[str, str]], successors: Sequence[Successor]) -> None:
    """Notes what was done, under the next number."""
    folder = out / RECEIPTS
    folder.mkdir(exist_ok=True)
    numbers = [int(path.stem) for path in folder.glob("*.json") if path.stem.isdigit()]
    receipt = {"forgotten": [list(pair) for pair in wanted], "folders": [asdict(each) for each in successors]}
    atomic_write(folder / f"{max(numbers, default=0) + 1:06d}.json", json.dumps(receipt, indent=1).encode() + b"\n")


def _remove(out: AnyPath, successors: Sequence[Successor]) -> None:
    """Removes the folders that have a successor, the crawl's last, what was not committed, and copies to look at."""
    for successor in reversed(successors):
        _remove_folder(out / successor.stage / successor.before)
    for stage in STAGE_NAMES:
        for folder in _folders(out, stage):
            if not is_committed(folder):
                _remove_folder(folder)
    for copies in COPIES:
        remove_tree(out / copies)
