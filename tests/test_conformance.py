"""The readers that people have read every sample, and every field of it, as it was written."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from pipelines.folders import current_manifest
from shards import open_dataset
from shards.describe import CARD_NAME, CROISSANT_NAME, dataset_card, describing_files, record_fields
from shards.manifest import Manifest

STAGES = ("triplets", "windows")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the readers' own making


@pytest.fixture(autouse=True)
def _no_network_and_own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HF_HUB_OFFLINE", "1"), ("HF_DATASETS_OFFLINE", "1"), ("HF_HOME", str(tmp_path / "hf"))):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "croissant"))


def committed(built: Path, stage: str) -> tuple[Path, Manifest]:
    manifest = current_manifest(built, stage)
    assert manifest is not None
    return built / stage / manifest.fingerprint, manifest


def samples(folder: Path, split: str) -> dict[str, dict[str, bytes]]:
    """Every member of every sample of a split, found through our own index."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(folder.glob(f"{split}-*.idx")):
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all().to_pydict()
        data = path.with_suffix(".tar").read_bytes()
        extensions = [name.removesuffix(".offset") for name in table if name.endswith(".offset")]
        for row, key in enumerate(table["key"]):
            places = ((name, table[f"{name}.offset"][row], table[f"{name}.length"][row]) for name in extensions)
            found[key] = {name: data[offset : offset + length] for name, offset, length in places}
    return found


def is_equal(extension: str, decoded: Any, raw: bytes) -> bool:
    """Whether a reader's value of a member is what its bytes say."""
    if extension == "json":
        return bool(decoded == json.loads(raw))
    if extension == "txt":
        return bool((decoded if isinstance(decoded, str) else decoded.decode()) == raw.decode())
    array = np.load(io.BytesIO(raw), allow_pickle=False)
    return bool(np.asarray(decoded).dtype == array.dtype and np.array_equal(decoded, array))


def assert_read(found: dict[str, dict[str, Any]], expected: dict[str, dict[str, bytes]]) -> None:
    assert found.keys() == expected.keys()
    for key, sample in expected.items():
        for extension, raw in sample.items():
            assert is_equal(extension, found[key][extension], raw), (key, extension)


@pytest.mark.parametrize("stage", STAGES)
def test_plain_tar_reads_what_the_index_points_at(built: Path, stage: str) -> None:
    folder, manifest = committed(built, stage)
    for split, count in manifest.splits.items():
        expected, found = samples(folder, split), dict[str, dict[str, bytes]]()
        assert len(expected) == count
        for path in sorted(folder.glob(f"{split}-*.tar")):
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    key, _, extension = member.name.partition(".")
                    found.setdefault(key, {})[extension] = tar.extractfile(member).read()  # type: ignore[union-attr]
            listed = subprocess.run(["tar", "-tf", path], capture_output=True, text=True, check=True)
            assert listed.stderr == ""
        assert found == expected


@pytest.mark.parametrize("stage", STAGES)
def test_webdataset_reads_every_field(built: Path, stage: str) -> None:
    folder, manifest = committed(built, stage)
    for split in manifest.splits:
        found = {sample["__key__"]: sample for sample in open_dataset(folder, split).as_webdataset()}
        assert_read(found, samples(folder, split))


@pytest.mark.parametrize("stage", STAGES)
def test_wids_reads_every_field(built: Path, tmp_path: Path, stage: str) -> None:
    import wids  # noqa: PLC0415

    folder, manifest = committed(built, stage)
    for split, count in manifest.splits.items():
        name = "shards.json" if split == "train" else f"shards-{split}.json"
        dataset = wids.ShardListDataset(str(folder / name), cache_dir=str(tmp_path), keep=True)
        assert len(dataset) == count
        rows = [dataset[number] for number in range(count)]
        found = {row["__key__"]: {k.removeprefix("."): v for k, v in row.items()} for row in rows}
        assert_read(found, samples(folder, split))


@pytest.mark.parametrize("stage", STAGES)
def test_datasets_reads_the_folder_and_its_tars(built: Path, tmp_path: Path, stage: str) -> None:
    import datasets  # noqa: PLC0415

    datasets.disable_progress_bars()
    folder, manifest = committed(built, stage)
    whole = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in whole.items()} == dict(manifest.splits)
    for split in manifest.splits:
        files = {split: sorted(str(path) for path in folder.glob(f"{split}-*.tar"))}
        plain = datasets.load_dataset("webdataset", data_files=files, cache_dir=str(tmp_path / "plain"))
        expected = samples(folder, split)
        for rows in (whole[split], plain[split]):
            found = {}
            for row in rows.with_format("python"):
                arrays = {
                    name: np.array(value, np.load(io.BytesIO(expected[row["__key__"]][name])).dtype)
                    for name, value in row.items()
                    if name.endswith(".npy")
                }
                found[row["__key__"]] = row | arrays
            assert_read(found, expected)


@pytest.mark.parametrize("stage", STAGES)
def test_croissant_is_valid_without_a_warning(built: Path, stage: str) -> None:
    folder, manifest = committed(built, stage)
    tool = Path(sys.executable).with_name("mlcroissant")
    command = [str(tool), "validate", "--jsonld", CROISSANT_NAME]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "Warning" in line or line.startswith(("W", "E"))]
    assert said == []
    value = json.loads((folder / CROISSANT_NAME).read_text())
    assert value["conformsTo"].endswith("/1.1")
    assert value["datePublished"] == "2026-11-24"
    hashes = {entry["@id"]: entry["sha256"] for entry in value["distribution"] if "sha256" in entry}
    assert hashes == {file.path: file.sha256 for file in manifest.files if file.path.endswith(".tar")}


@pytest.mark.parametrize("stage", STAGES)
def test_card_and_croissant_follow_from_the_manifest_and_name_the_fields_there_are(built: Path, stage: str) -> None:
    folder, manifest = committed(built, stage)
    configuration = manifest.configuration
    tars = [file for file in manifest.files if file.path.endswith(".tar")]
    texts = describing_files(configuration, manifest.splits, tars)
    for name, text in texts.items():
        assert (folder / name).read_text() == text, name
    front = yaml.safe_load((folder / CARD_NAME).read_text().split("---\n")[1])
    splits = [entry["split"] for entry in front["configs"][0]["data_files"]]
    assert splits == [split for split in ("train", "val", "test") if manifest.splits.get(split)]
    fields = record_fields(configuration["spec"])
    for sample in samples(folder, "val").values():
        record = json.loads(sample["json"])
        record.pop("documents", None)
        assert {name: type(value) for name, value in record.items()} == fields
        assert list(record) == list(fields)


def test_a_split_without_samples_is_no_split_of_the_card() -> None:
    card = dataset_card("trees", {"kind": "windows", "context": 8, "stride": 8}, {"train": 5, "val": 0})
    front = yaml.safe_load(card.split("---\n")[1])
    assert [entry["split"] for entry in front["configs"][0]["data_files"]] == ["train"]
    assert front["size_categories"] == ["n<1K"]
