"""Parts of a stage, each finished once: what a killed run leaves behind and the next run carries on from (law 3).

While a stage runs, its folder holds `_work/receipts/NAME.json`, one for each finished part, and `_work/staging/`, what
later parts are made from. A receipt is renamed into place last; a part without one is made again. Both go when the
manifest stands.
"""

import json
import posixpath
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Self

from pipelines.fates import Fates
from shards.manifest import FileEntry, atomic_write
from shards.object_path import AnyPath, ObjectPath

WORK = "_work"
STAGING = "_work/staging"
_RECEIPTS = "_work/receipts"
_OPEN = "_work/open"


@dataclass(frozen=True)
class Receipt:
    """What one finished part wrote, and the fates it settled.

    Attributes:
        files: written files, their paths relative to the stage's folder; those below `_work` go at the commit.
        fates: fates settled by this part and no other, so that a sum over all receipts counts each record once.
        handled: records this part worked on, whether or not their fate is settled here; shown as progress.
        notes: small JSON values that the stage needs to commit or to carry on.
    """

    files: tuple[FileEntry, ...] = ()
    fates: Fates = field(default_factory=Fates)
    handled: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The receipt as plain JSON values."""
        files = [asdict(file) for file in self.files]
        return {"files": files, "fates": self.fates.to_json(), "handled": self.handled, "notes": self.notes}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The receipt that `to_json` wrote."""
        files = tuple(FileEntry(**file) for file in data["files"])
        return cls(files, Fates.from_json(data["fates"]), data["handled"], data["notes"])


def finish_part(folder: AnyPath, name: str, make: Callable[[], Receipt]) -> Receipt:
    """The receipt of part `name`: the one already there, or that of `make()`, which is written when it returns."""
    found = read_receipt(folder, name)
    if found is not None:
        return found
    (folder / STAGING).mkdir(parents=True, exist_ok=True)
    receipt = make()
    write_receipt(folder, name, receipt)
    _forget_open(folder, name)
    return receipt


def write_receipt(folder: AnyPath, name: str, receipt: Receipt, *, is_new: bool = False) -> None:
    """Writes the receipt of part `name` whole, in the place of one that may be there, unless it must be new."""
    path = folder / _RECEIPTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(receipt.to_json(), sort_keys=True).encode(), is_new=is_new)


def create_receipt(folder: AnyPath, name: str, receipt: Receipt) -> bool:
    """Writes the receipt of part `name` if there is none; returns whether, as only one of those who try can."""
    try:
        write_receipt(folder, name, receipt, is_new=True)
    except FileExistsError:
        return False
    _forget_open(folder, name)
    return True


def read_receipt(folder: AnyPath, name: str) -> Receipt | None:
    """The receipt of part `name`, or None if the part is not finished or a file of it is gone or torn."""
    try:
        receipt = _load_receipt(folder, name)
    except FileNotFoundError:
        return None
    return receipt if all(_stands(folder / f.path, f.bytes) for f in receipt.files) else None


def receipt_of(folder: AnyPath, name: str) -> Receipt:
    """The receipt of part `name`, which is known to be finished: its files are not looked at."""
    return _kept_receipt(folder, name) if isinstance(folder, ObjectPath) else _load_receipt(folder, name)


def _load_receipt(folder: AnyPath, name: str) -> Receipt:
    return Receipt.from_json(json.loads((folder / _RECEIPTS / f"{name}.json").read_bytes()))


@lru_cache(maxsize=64)
def _kept_receipt(folder: ObjectPath, name: str) -> Receipt:
    return _load_receipt(folder, name)


def remove_receipt(folder: AnyPath, name: str) -> None:
    """Makes part `name` one that is not finished."""
    (folder / _RECEIPTS / f"{name}.json").unlink(missing_ok=True)


def receipt_names(folder: AnyPath) -> list[str]:
    """The names of the parts that have a receipt, in order."""
    return sorted(path.stem for path in (folder / _RECEIPTS).glob("*.json"))


def note_open(folder: AnyPath, name: str, fates: Fates) -> None:
    """Notes what a part that is not finished has got to, for whoever watches; nothing relies on it."""
    path = folder / _OPEN / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fates.to_json()))


def _forget_open(folder: AnyPath, name: str) -> None:
    """Removes what was noted of a part that is finished; in a store, where that takes a request, at the commit."""
    if not isinstance(folder, ObjectPath):
        (folder / _OPEN / f"{name}.json").unlink(missing_ok=True)


def open_fates(folder: AnyPath) -> Iterator[tuple[str, Fates]]:
    """What each part that is not finished has got to, as far as it was noted, with the part's name."""
    for path in (folder / _OPEN).glob("*.json"):
        with suppress(FileNotFoundError, ValueError):  # finished meanwhile, or just being written
            yield path.stem, Fates.from_json(json.loads(path.read_text()))


def all_receipts(folder: AnyPath) -> Iterator[tuple[str, Receipt]]:
    """Every trusted receipt with its part's name, in order of name."""
    if isinstance(folder, ObjectPath):
        yield from _of_store(folder)
        return
    for name in receipt_names(folder):
        receipt = read_receipt(folder, name)
        if receipt is not None:
            yield name, receipt


def remove_strays(folder: AnyPath, keep: set[str]) -> None:
    """Removes everything in `folder` but the files named in `keep`: what killed runs and finished work left."""
    if isinstance(folder, ObjectPath):
        folder.remove_each(folder.listing().keys() - keep)
        return
    with suppress(FileNotFoundError):
        shutil.rmtree(folder / WORK)
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in keep:
            path.unlink()


def _stands(path: AnyPath, num_bytes: int) -> bool:
    if isinstance(path, ObjectPath):
        seen = path.look()
        return seen is not None and seen.bytes == num_bytes
    return path.is_file() and path.stat().st_size == num_bytes


def _of_store(folder: ObjectPath) -> Iterator[tuple[str, Receipt]]:
    """Every trusted receipt in a store, read many at once, and none twice by one process."""
    there = folder.listing()
    names = sorted(name for name in there if posixpath.dirname(name) == _RECEIPTS)
    known = {name: _read.get((folder, name, there[name].version)) for name in names}
    found = folder.read_each(name for name in names if known[name] is None)
    for name in names:
        receipt = known[name] or (Receipt.from_json(json.loads(found[name])) if name in found else None)
        if receipt is not None:
            _read[folder, name, there[name].version] = receipt
            if all(file.path in there and there[file.path].bytes == file.bytes for file in receipt.files):
                yield posixpath.basename(name).removesuffix(".json"), receipt


_read: dict[tuple[ObjectPath, str, str], Receipt] = {}
