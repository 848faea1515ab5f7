"""What a build cost where it was measured: the numbers that a plan is made from."""

import json
import os
import platform
from collections import Counter
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from pipelines.errors import StageError
from pipelines.folders import RUN_NAME, STAGE_NAMES, current_manifest
from pipelines.section import Section
from pipelines.tables import read_table
from shards.manifest import Manifest, canonical_json
from shards.triplet import KIND, TripletSpec

SHIPPED = "profile.json"
"""The profile that comes with the package, beside this file."""


class StageCost(Section):
    """What a stage took, one worker at work.

    `units` are what its bytes grow with: values in kept pictures (images), in stored arrays (triplets), tokens
    (windows); 0 where they grow with the records alone.
    """

    records: int = Field(ge=1, description="that went in")
    kept: int = Field(ge=0)
    samples: int = Field(0, ge=0, description="that a dataset stage wrote")
    cpu_seconds: float = Field(ge=0)
    bytes: int = Field(ge=0, description="written")
    units: int = Field(0, ge=0)


class Profile(Section):
    """What a build cost, and where that was measured."""

    date: str
    machine: str
    command: str
    pages: int = Field(ge=0, description="fetched")
    page_bytes: int = Field(ge=0, description="of all of them, decoded")
    pictures: int = Field(ge=0)
    picture_bytes: int = Field(ge=0)
    stages: dict[str, StageCost]

    @property
    def mean_page_bytes(self) -> float:
        """Of a page as it is fetched."""
        return self.page_bytes / max(self.pages, 1)

    @property
    def mean_picture_bytes(self) -> float:
        """Of a picture as it is fetched."""
        return self.picture_bytes / max(self.pictures, 1)

    @property
    def pictures_per_page(self) -> float:
        """Pictures that a page led to which no other had."""
        return self.pictures / max(self.pages, 1)


def read_profile(path: Path | None) -> Profile:
    """The profile in a file, or the one that comes with the package.

    Raises:
        StageError: it cannot be read.
    """
    try:
        text = path.read_text("utf-8") if path else (resources.files(__package__) / SHIPPED).read_text("utf-8")
        return Profile.model_validate_json(text)
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        said = str(error).splitlines()[0]
        raise StageError(f"{path}: no profile ({said}); make one: seedbed plan --measure OUT > {path}") from error


def profile_text(profile: Profile) -> str:
    """The text of a profile's file."""
    return canonical_json(profile.model_dump(mode="json"))


def measure_profile(out: Path) -> Profile:
    """What the build in `out` cost, by its manifests and by what each stage noted when it ran.

    Raises:
        StageError: nothing is built there, or it was not built by one worker, whose time alone is known whole.
    """
    manifests = {stage: manifest for stage in STAGE_NAMES if (manifest := current_manifest(out, stage))}
    if "crawl" not in manifests:
        raise StageError(f"{out} holds no build to measure: seedbed build RECIPE --out {out} --workers 1")
    stages = {stage: _cost(out, stage, manifests[stage]) for stage in manifests}
    count, num_bytes = _fetched(out / "crawl" / manifests["crawl"].fingerprint, manifests["crawl"])
    return Profile(
        date=datetime.now(UTC).date().isoformat(),
        machine=this_machine(),
        command=f"seedbed build RECIPE --out {out.name} --workers 1 && seedbed plan --measure {out.name}",
        pages=count["page"],
        page_bytes=num_bytes["page"],
        pictures=count["image"],
        picture_bytes=num_bytes["image"],
        stages=stages,
    )


def _cost(out: Path, stage: str, manifest: Manifest) -> StageCost:
    notes = _notes(out / stage / manifest.fingerprint / RUN_NAME)
    if notes.get("workers") != 1 or "cpu_seconds" not in notes:
        told = f"seedbed build RECIPE --out {out} --workers 1, in a folder that is not there yet"
        raise StageError(f"{out}: what '{stage}' took was not measured on one worker; {told}")
    return StageCost(
        records=max(manifest.counts.records_in, 1),
        kept=manifest.counts.kept,
        samples=sum(manifest.splits.values()),
        cpu_seconds=notes["cpu_seconds"],
        bytes=sum(file.bytes for file in manifest.files),
        units=_units(manifest),
    )


def _notes(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _units(manifest: Manifest) -> int:
    """What a stage's bytes grow with; see `StageCost`."""
    configuration = manifest.configuration
    if manifest.stage == "images":
        return int(manifest.counts.kept * configuration["size"] ** 2 * configuration["channels"])
    if manifest.stage == "windows":
        return int(sum(manifest.splits.values()) * configuration["spec"]["stride"])
    if manifest.stage == KIND:
        return manifest.counts.kept * array_bytes(TripletSpec.from_json(configuration["spec"]))
    return 0


def array_bytes(spec: TripletSpec) -> int:
    """Bytes of the arrays that are stored of one picture."""
    clean = spec.size**2 * spec.channels
    return clean if spec.mode == "virtual" else 5 * clean * spec.samples_per_picture


def _fetched(folder: Path, manifest: Manifest) -> tuple[Counter[str], Counter[str]]:
    """How many pages and pictures a crawl kept, and their bytes."""
    count: Counter[str] = Counter()
    num_bytes: Counter[str] = Counter()
    for file in manifest.files:
        if file.path.startswith("ledger-"):
            table = read_table(folder / file.path, ("kind", "fate", "num_bytes"))
            for kind, fate, size in zip(*(column.to_pylist() for column in table.columns), strict=True):
                if fate == "kept":
                    count[kind] += 1
                    num_bytes[kind] += size
    return count, num_bytes


def this_machine() -> str:
    """Its processor, cores and Python, without its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
