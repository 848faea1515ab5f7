"""An export is complete or not there, the same for the same build, and `datasets` reads in it what was built."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import yaml
from PIL import Image

from pipelines.folders import STAGE_NAMES
from shards import open_dataset
from shards.manifest import CURRENT_NAME
from shards.object_path import ObjectPath
from shards.triplet import TripletSpec
from tests.builds import manifest_of, seedbed, table_rows
from tests.object_store import ObjectStore
from tests.tiny_datasets import draw_tree, write_triplets, write_windows


@pytest.fixture(scope="module")
def exported(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dest = tmp_path_factory.mktemp("export") / "hub"
    done = seedbed("export", "hf", built, dest)
    assert done.returncode == 0, done.stderr
    return dest


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """Loads a configuration as anyone would, but into a cache that goes."""
    datasets.disable_progress_bars()
    return lambda folder, name: datasets.load_dataset(str(folder), name, cache_dir=str(tmp_path / "cache"))


def test_triplets_are_read_bit_for_bit(built: Path, exported: Path, load: Any) -> None:
    found = load(exported, "triplets")
    assert {split: len(rows) for split, rows in found.items()} == dict(manifest_of(built, "triplets").splits)
    rows = found["val"]
    assert isinstance(rows.features["clean"], datasets.Image)
    assert rows.features["noisy"] == datasets.Array3D((32, 32, 3), "float16")
    original = open_dataset(built / "triplets", "val")
    assert len(rows) == len(original)
    for number, row in enumerate(rows.with_format("numpy", columns=["noisy", "noise"], output_all_columns=True)):
        sample = original[number]
        assert row["key"] == sample["key"]
        assert np.array_equal(np.asarray(row["clean"]), sample["clean"])
        for name in ("noisy", "noise"):
            assert np.array_equal(row[name], sample[name])
        record = {"caption": sample["caption"], **sample["meta"]}
        assert {name: row[name] for name in record} == record


def test_pictures_are_the_bytes_that_were_kept(built: Path, exported: Path, load: Any) -> None:
    found = load(exported, "pictures")
    kept = {row["key"]: row for row in table_rows(built, "images", "images-")}
    assert sum(len(rows) for rows in found.values()) == len(kept) > 100
    folder = built / "images" / manifest_of(built, "images").fingerprint
    for split, rows in found.items():
        assert isinstance(rows.features["image"], datasets.Image)
        for row in rows.cast_column("image", datasets.Image(decode=False)):
            original = kept.pop(row["key"])
            with (folder / original["part"]).open("rb") as part:
                part.seek(original["offset"])
                assert row["image"]["bytes"] in part.read(original["length"])
            assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (row["width"], row["height"])
            assert (row["split"], row["url"], row["licence"]) == (split, original["url"], original["licence"])
    assert not kept


def test_windows_and_documents_are_read_as_they_were_built(built: Path, exported: Path, load: Any) -> None:
    windows = load(exported, "windows")
    for split, rows in windows.items():
        original = open_dataset(built / "windows", split)
        tokenizer = original.tokenizer  # type: ignore[union-attr]
        assert len(rows) == len(original)
        for number, row in enumerate(rows):
            sample = original[number]
            assert row["tokens"] == sample["tokens"].tolist()
            assert row["text"] == tokenizer.decode(sample["tokens"][: sample["length"]].tolist())
            assert row["documents"] == sample["meta"]["documents"]
    documents = load(exported, "documents")
    found = sorted((row for rows in documents.values() for row in rows), key=lambda row: row["key"])
    assert found == sorted(table_rows(built, "text", "documents-"), key=lambda row: row["key"])
    assert all(row["split"] == split for split, rows in documents.items() for row in rows)


def test_the_card_names_what_is_there_and_licences_are_counted(built: Path, exported: Path) -> None:
    front = yaml.safe_load((exported / "README.md").read_text().split("---\n")[1])
    assert [config["config_name"] for config in front["configs"]] == ["pictures", "documents", "triplets", "windows"]
    for config in front["configs"]:
        for entry in config["data_files"]:
            assert list(exported.glob(entry["path"])), entry
    assert (front["license"], front["license_link"], front["pretty_name"]) == ("other", "LICENCES.md", "demo")
    rows = table_rows(built, "images", "images-")
    free = sum(row["licence"] == "CC0-1.0" for row in rows)
    assert (
        f"| CC0-1.0 | {free} | 0 | {5 * (free - _unscored(built, rows)):,} |" in (exported / "LICENCES.md").read_text()
    )
    folder = built / "images" / manifest_of(built, "images").fingerprint
    assert (exported / "pictures" / "ATTRIBUTION").read_bytes() == (folder / "ATTRIBUTION").read_bytes()


def _unscored(built: Path, rows: list[dict[str, Any]]) -> int:
    """Pictures under CC0 that did not pass the score."""
    passed = {row["key"] for row in table_rows(built, "score", "scores-")}
    return sum(row["licence"] == "CC0-1.0" and row["key"] not in passed for row in rows)


def test_the_same_build_gives_the_same_bytes_and_every_file_is_listed(
    built: Path, exported: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    assert seedbed("export", "hf", built, again).returncode == 0
    assert _contents(again) == _contents(exported)
    told = json.loads((again / "export.json").read_text())
    listed = {file["path"]: file["sha256"] for file in told["files"]}
    assert listed | {"export.json": listed.get("export.json", "")} == {
        path: hashlib.sha256(data).hexdigest() if path != "export.json" else ""
        for path, data in _contents(again).items()
    }
    assert [each["stage"] for each in told["inputs"]] == ["images", "text", "triplets", "windows"]


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_virtual_triplets_and_grey_ones_are_exported_from_a_dataset_alone(tmp_path: Path, load: Any) -> None:
    pictures = [draw_tree(seed, 8)[:, :, :1] for seed in range(5)]
    stage = write_triplets(tmp_path / "triplets", TripletSpec(8, channels=1, mode="virtual"), {"train": pictures}, 2)
    done = seedbed("export", "parquet", stage, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "out" / "README.md").exists()
    files = sorted(path.name for path in (tmp_path / "out" / "triplets").glob("*.parquet"))
    assert files == ["train-00000.parquet", "train-00001.parquet", "train-00002.parquet"]
    rows = load(tmp_path / "out" / "triplets", None)["train"]
    assert "noisy" not in rows.column_names
    found = {np.asarray(row["clean"]).tobytes() for row in rows}
    assert found == {picture.tobytes() for picture in pictures}


def test_an_earlier_export_is_replaced_and_anything_else_is_refused(tmp_path: Path) -> None:
    stage = write_windows(tmp_path / "windows", 4, {"train": ["an oak stands", "a beech falls"]})
    dest = tmp_path / "out"
    for _ in range(2):
        assert seedbed("export", "hf", stage, dest).returncode == 0
    (dest / "stray").write_text("goes with the earlier export")
    assert seedbed("export", "parquet", stage, dest).returncode == 0
    assert not (dest / "stray").exists()
    assert not (dest / "README.md").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letters.txt").write_text("dear oak")
    done = seedbed("export", "hf", stage, mine)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "is there and is no earlier export" in done.stderr
    assert (mine / "letters.txt").read_text() == "dear oak"


def test_an_export_that_fails_leaves_what_was_there_and_one_that_was_killed_is_swept(tmp_path: Path) -> None:
    stage = write_windows(tmp_path / "windows", 4, {"train": ["an oak stands", "a beech falls"]})
    dest = tmp_path / "out"
    assert seedbed("export", "hf", stage, dest).returncode == 0
    before = _contents(dest)
    (tmp_path / ".out.0123.tmp" / "windows").mkdir(parents=True)  # as a killed one leaves it
    tar = next(stage.glob("*/train-000000.tar"))
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    done = seedbed("export", "hf", stage, dest)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "damaged" in done.stderr
    assert _contents(dest) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "windows"]


def test_a_stage_with_nothing_to_export_and_a_folder_with_no_build_are_told_in_a_line(
    built: Path, tmp_path: Path
) -> None:
    done = seedbed("export", "hf", built / "crawl", tmp_path / "out")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "nothing of it can be exported" in done.stderr
    done = seedbed("export", "hf", tmp_path, tmp_path / "out")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert not (tmp_path / "out").exists()


def test_a_build_in_an_object_store_is_exported_to_the_same_bytes(
    built: Path, exported: Path, s3: ObjectStore, s3_folder: ObjectPath, tmp_path: Path
) -> None:
    name = s3_folder.url.rpartition("/")[2]
    for stage in STAGE_NAMES:
        s3.upload(
            built / stage / manifest_of(built, stage).fingerprint,
            f"{name}/{stage}/{manifest_of(built, stage).fingerprint}",
        )
        (s3_folder / stage / CURRENT_NAME).write_text((built / stage / CURRENT_NAME).read_text())
    done = seedbed("export", "hf", s3_folder, tmp_path / "hub")
    assert done.returncode == 0, done.stderr
    assert _contents(tmp_path / "hub") == _contents(exported)
    refused = seedbed("export", "hf", built, s3_folder)
    assert refused.returncode == 2
    assert "lies in a store" in refused.stderr
