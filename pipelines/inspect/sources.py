"""What is looked at: a build's folder, one stage of it or one dataset, as far as it can be read.

Nothing here fails for what lies in the folder: what is wrong with a stage or a table is a `Trouble`, and the rest is
read. Manifests say which files there are; tables are read a few columns at a time, shards through their indexes.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.facts import Row
from pipelines.folders import STAGE_NAMES
from pipelines.inspect.columns import read_columns
from shards.base_dataset import Dataset
from shards.dataset import TripletDataset, WindowDataset, open_dataset
from shards.describe import SPLITS
from shards.manifest import CURRENT_NAME, MANIFEST_NAME, Manifest, ManifestError, read_manifest
from shards.store import DatasetError

Value = TypeVar("Value")

READING = (OSError, pa.ArrowException, LookupError, ValueError, DatasetError, ManifestError)
"""What reading a damaged file raises."""

MAX_KEPT = 256
"""Of tables' columns, datasets and the like that are kept read."""

MAX_TABLES = 4
"""Of tables of which single rows were asked for, with their texts, that are kept read."""


class Trouble(NamedTuple):
    """Something that is not as it should be: where, and what."""

    where: str
    what: str


@dataclass(frozen=True)
class StageState:
    """One stage as it stands on disk.

    Attributes:
        stage: its name.
        folder: of the version in force, or of the unfinished one where none is.
        manifest: of that version, None where there is none that can be read.
    """

    stage: str
    folder: Path
    manifest: Manifest | None

    def tables(self, prefix: str) -> list[str]:
        """The names of the tables that begin with `prefix`."""
        files = self.manifest.files if self.manifest else ()
        return [file.path for file in files if file.path.startswith(prefix) and file.path.endswith(".parquet")]


@dataclass(frozen=True)
class Columns:
    """Columns of a stage's tables, one behind the other, and which tables could not be read."""

    table: pa.Table
    troubles: tuple[Trouble, ...]


class Kept:
    """Values made once for each key, the most recently asked for kept; threads may share it."""

    def __init__(self, most: int = MAX_KEPT) -> None:
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._most = most
        self._lock = threading.Lock()

    def of(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made where it is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]  # type: ignore[no-any-return]
        value = make()
        with self._lock:
            while len(self._values) >= self._most:
                self._values.popitem(last=False)
            return self._values.setdefault(key, value)  # type: ignore[no-any-return]


class Source:
    """What is looked at.

    Args:
        out: folder of a build, of a stage, or of a dataset.
        beside: another one that it is compared with.
    """

    def __init__(self, out: Path, beside: "Source | None" = None) -> None:
        self.out = out
        self.beside = beside
        self.name = out.resolve().name or str(out)
        self.kept = Kept()
        self._tables = Kept(MAX_TABLES)

    def stages(self) -> tuple[list[StageState], list[Trouble]]:
        """The stages there are, in the order of the pipeline, and what is wrong with them."""
        states: list[StageState] = []
        troubles: list[Trouble] = []
        for stage, where in self._places():
            state, wrong = self._state(stage, where)
            troubles += wrong
            if state is not None:
                states.append(state)
        if not states and not troubles:
            told = "nothing was built there" if self.out.is_dir() else "there is no such folder"
            troubles.append(Trouble(str(self.out), f"{told}; give the folder of a build, a stage or a dataset"))
        return states, troubles

    def stage(self, name: str) -> StageState | None:
        """One stage, where a version of it is in force and can be read."""
        return next((state for state in self.stages()[0] if state.stage == name and state.manifest), None)

    def version(self, stage: str, fingerprint: str) -> StageState | None:
        """Another version of a stage, if it is committed and can be read."""
        for state in self.versions(stage):
            if state.folder.name == fingerprint:
                return state
        return None

    def versions(self, stage: str) -> list[StageState]:
        """All committed versions of a stage that can be read, the one in force first."""
        current = self.stage(stage)
        if current is None or current.folder.parent.name != stage:
            return [current] if current else []
        folders = sorted(path.parent for path in current.folder.parent.glob(f"*/{MANIFEST_NAME}"))
        others = (self._state(stage, folder)[0] for folder in folders if folder.name != current.folder.name)
        return [current, *(state for state in others if state is not None and state.manifest)]

    def input_of(self, state: StageState | None, stage: str) -> StageState | None:
        """The version of a stage that another one was made from; None where it was made from none, or it is gone."""
        inputs = state.manifest.inputs if state and state.manifest else ()
        wanted = next((entry.fingerprint for entry in inputs if entry.stage == stage), "")
        return self.version(stage, wanted) if wanted else None

    def columns(self, state: StageState, prefix: str, names: tuple[str, ...]) -> Columns:
        """Some columns of a stage's tables; a table that cannot be read is told of and left out."""
        return self.kept.of((state.folder, prefix, names), lambda: _read_columns(state, prefix, names))

    def rows(
        self, state: StageState, prefix: str, column: str, values: set[str], names: tuple[str, ...]
    ) -> tuple[list[Row], list[Trouble]]:
        """The rows of a stage's tables that have one of some values in a column: the other tables are not read."""
        rows: list[Row] = []
        troubles: list[Trouble] = []
        wanted = pa.array(sorted(values), pa.string())
        for name in state.tables(prefix):
            path = state.folder / name
            try:
                held = self.kept.of((path, column), partial(_column, path, column))
                if pc.any(pc.is_in(held, value_set=wanted)).as_py():
                    table = self._tables.of((path, names), partial(read_columns, path, names))
                    rows += table.filter(pc.is_in(held, value_set=wanted)).to_pylist()
            except READING as error:
                troubles.append(_unreadable(name, error))
        return rows, troubles

    def in_force(self) -> tuple[Path, ...]:
        """The folders of the stages in force: what follows from them alone need be made but once."""
        return tuple(state.folder for state in self.stages()[0] if state.manifest)

    def splits(self, stage: str) -> list[str]:
        """The splits of a dataset that have samples."""
        state = self.stage(stage)
        counts = state.manifest.splits if state and state.manifest else {}
        return [split for split in (*SPLITS, *sorted(counts.keys() - set(SPLITS))) if counts.get(split)]

    def triplets(self, split: str) -> TripletDataset:
        """A split of the triplets; errors as `open_dataset`."""
        dataset = self._dataset("triplets", split)
        if not isinstance(dataset, TripletDataset):
            raise DatasetError(f"{dataset.where} holds no triplets")
        return dataset

    def windows(self, split: str) -> WindowDataset:
        """A split of the windows; errors as `open_dataset`."""
        dataset = self._dataset("windows", split)
        if not isinstance(dataset, WindowDataset):
            raise DatasetError(f"{dataset.where} holds no windows")
        return dataset

    def runs(self) -> list[Path]:
        """The folders of training runs; what lies beside them, as lectures do, has no configuration."""
        return sorted(path for path in (self.out / "runs").glob("*") if (path / "config.json").exists())

    def _dataset(self, stage: str, split: str) -> Dataset:
        state = self.stage(stage)
        if state is None:
            raise DatasetError(f"{self.out}: no {stage} were built there")
        where = state.folder
        return self.kept.of((where, "dataset", split), lambda: open_dataset(where, split).tolerant())

    def _places(self) -> list[tuple[str, Path]]:
        """Where stages may stand: below a build's folder, or this very folder."""
        if (self.out / MANIFEST_NAME).exists() or (self.out / CURRENT_NAME).exists():
            return [("", self.out)]
        return [(stage, self.out / stage) for stage in STAGE_NAMES if (self.out / stage).is_dir()]

    def _state(self, stage: str, where: Path) -> tuple[StageState | None, list[Trouble]]:
        """A stage in a folder, and what is wrong with it."""
        try:
            folder = where
            if not (where / MANIFEST_NAME).exists():
                if not (where / CURRENT_NAME).exists():
                    return _unfinished(stage, where)
                folder = where / (where / CURRENT_NAME).read_text("utf-8").strip()
            manifest = self._manifest(folder)
        except READING as error:
            return StageState(stage or where.name, where, None), [Trouble(stage or where.name, str(error))]
        halves = _unfinished(stage, where)[1] if folder != where else []
        return StageState(manifest.stage, folder, manifest), halves

    def _manifest(self, folder: Path) -> Manifest:
        """The manifest in a folder, read again where its file has changed."""
        path = folder / MANIFEST_NAME
        about = path.stat() if path.exists() else None
        key = (path, about.st_mtime_ns, about.st_size) if about else path
        return self.kept.of(key, lambda: _checked_manifest(folder))


def _checked_manifest(folder: Path) -> Manifest:
    """A manifest none of whose files lies outside its folder.

    Raises:
        ManifestError: one does, or it cannot be read.
    """
    manifest = read_manifest(folder)
    outside = [file.path for file in manifest.files if file.path.startswith("/") or ".." in file.path.split("/")]
    if outside:
        raise ManifestError(f"{folder / MANIFEST_NAME} lists {outside[0]}, outside its folder: build it again")
    return manifest


def _unfinished(stage: str, where: Path) -> tuple[StageState | None, list[Trouble]]:
    """A version of a stage that was begun and not committed, if there is one."""
    folders = [path for path in sorted(where.iterdir()) if path.is_dir() and not (path / MANIFEST_NAME).exists()]
    if not folders:
        return None, []
    troubles = []
    for folder in folders:
        parts = len(list((folder / "_work" / "receipts").glob("*.json")))
        told = f"{folder.name} is not finished: {parts:,} parts are done; run the same build again and it carries on"
        troubles.append(Trouble(stage, told))
    return StageState(stage, folders[0], None), troubles


def _read_columns(state: StageState, prefix: str, names: tuple[str, ...]) -> Columns:
    tables, troubles = [], []
    for name in state.tables(prefix):
        try:
            tables.append(read_columns(state.folder / name, names))
        except READING as error:
            troubles.append(_unreadable(name, error))
    if not tables:
        return Columns(pa.table({name: pa.array([], pa.string()) for name in names}), tuple(troubles))
    return Columns(pa.concat_tables(tables, promote_options="permissive"), tuple(troubles))


def _column(path: Path, column: str) -> pa.ChunkedArray:
    return read_columns(path, (column,))[column]


def _unreadable(name: str, error: Exception) -> Trouble:
    told = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Trouble(name, f"cannot be read ({told}): built by another version, or damaged; build again")
