"""The specification says what the code does: its known answers, its tables, its names."""

import hashlib
import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pipelines.folders import current_manifest
from shards.corruption import CORRUPTIONS
from shards.describe import record_fields
from shards.manifest import FORMAT_VERSION, FileEntry, InputEntry, Manifest
from shards.noise import QUANTILES_SHA256, random_words, sample_id
from shards.schedule import SCHEDULES
from shards.triplet import TripletSpec, corrupt, extensions, picture_key
from shards.window import EXTENSIONS, Piece

TEXT = (Path(__file__).parents[1] / "shards" / "FORMAT.md").read_text("utf-8")
TYPES = {"string": str, "integer": int, "float": float}


def rows(section: str) -> dict[str, list[str]]:
    """The tables of a section: what stands in the first column, and the other cells."""
    part = TEXT.partition(section)[2]
    part = re.split(r"^#+ ", part, maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"^\| `([^`]+)` \|(.*)\|$", part, re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in found}


def test_known_answers_are_what_the_code_makes() -> None:
    clean = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    key = picture_key(clean)
    words = " ".join(f"0x{word:04x}" for word in random_words(7, 2**63 + 1, 1, 0, 4).tolist())
    assert f"`{key}`" in TEXT
    assert f"`{words}`" in TEXT
    assert QUANTILES_SHA256 in TEXT
    for corruption in CORRUPTIONS:
        spec = TripletSpec(2, seed=7, corruption=corruption)
        _, noisy = corrupt(spec, clean[None], [sample_id(key)], [0], np.array([2]))
        assert f"| `{corruption}` | `{noisy.astype('<f2').tobytes().hex()}` |" in TEXT


def test_tables_name_every_key_field_and_member() -> None:
    assert TEXT.startswith(f"# The shard format, version {FORMAT_VERSION}\n")
    assert rows("### manifest.json").keys() == {field.name for field in fields(Manifest)}
    assert all(f"`{field.name}`" in TEXT for kind in (FileEntry, InputEntry, Piece) for field in fields(kind))
    triplets = {name: TYPES[cells[0]] for name, cells in rows("### json").items()}
    assert triplets == record_fields(TripletSpec(8).to_json())
    assert list(triplets) == list(record_fields(TripletSpec(8).to_json()))
    windows = rows("## 5. Windows")
    assert [name for name in windows if name in EXTENSIONS] == list(EXTENSIONS)
    plain = {name: TYPES[cells[0]] for name, cells in windows.items() if cells[0] in TYPES}
    assert plain == record_fields({"kind": "windows"})
    members = rows("## 4. Triplets")
    for mode, column in (("materialised", 0), ("virtual", 1)):
        assert [name for name, cells in members.items() if cells[column] == "yes"] == list(
            extensions(TripletSpec(8, mode=mode))
        )
    assert set(rows("### Noise, bit for bit")) == {"schedule", "corruption", *SCHEDULES, *CORRUPTIONS}
    assert all(f"`{name}`" in TEXT for name in TripletSpec(8).to_json())


@pytest.mark.parametrize("stage", ["triplets", "windows"])
def test_files_of_a_dataset_are_those_it_names(built: Path, stage: str) -> None:
    manifest = current_manifest(built, stage)
    assert manifest is not None
    folder = built / stage / manifest.fingerprint
    listing = TEXT.partition("## 1. The folder")[2].partition("### manifest")[0]
    for file in manifest.files:
        split, dash, _ = file.path.partition("-0")
        name = f"train-000000{Path(file.path).suffix}" if dash and split in manifest.splits else file.path
        assert name in listing, file.path
        assert hashlib.sha256((folder / file.path).read_bytes()).hexdigest() == file.sha256
    assert json.loads((folder / "manifest.json").read_text())["format_version"] == FORMAT_VERSION
