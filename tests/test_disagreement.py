"""A manifest, an index and shards that disagree: the error names them, or just the samples lost are replaced."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shards import open_dataset
from shards.store import DatasetError
from shards.triplet import TripletSpec
from shards.writer import write_shard
from tests.tiny_datasets import FINGERPRINT, draw_tree, write_triplets, write_windows

NUM_SAMPLES, PER_SHARD = 100, 25

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = {"train": [draw_tree(seed, 8) for seed in range(NUM_SAMPLES // 5)]}
    return write_triplets(tmp_path / "triplets", TripletSpec(8), pictures, PER_SHARD)


def change_manifest(folder: Path, change: Change) -> None:
    path = folder / FINGERPRINT / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))


def put(*path: Any) -> Change:
    """Put the last value where the others lead."""

    def change(manifest: dict[str, Any]) -> None:
        target: Any = manifest
        for key in path[:-2]:
            target = target[key]
        target[path[-2]] = path[-1]

    return change


def add_records(count: int, *names: str) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        for file in manifest["files"]:
            file["records"] += count if file["path"] in names else 0

    return change


def unlist(manifest: dict[str, Any]) -> None:
    manifest["files"] = [file for file in manifest["files"] if not file["path"].startswith("train-000001")]


def rewrite_index(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the index of shard 1, and let the manifest say that it belongs there."""
    path = folder / FINGERPRINT / "train-000001.idx"
    with pa.ipc.open_file(path.read_bytes()) as file:
        table = change(file.read_all())
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    data = sink.getvalue()
    path.write_bytes(data)

    def believe(manifest: dict[str, Any]) -> None:
        for entry in manifest["files"]:
            if entry["path"] == path.name:
                entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    change_manifest(folder, believe)


def with_value(name: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        values[row] = value
        return table.set_column(table.schema.get_field_index(name), name, pa.array(values, table[name].type))

    return change


def as_doubles(table: pa.Table) -> pa.Table:
    name = "clean.npy.offset"
    return table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.float64()))


def without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


def one_pass(folder: Path, **arguments: Any) -> tuple[list[str], int]:
    loader = open_dataset(folder).loader(16, finite=True, on_error="quarantine", **arguments)
    keys = [key for batch in loader for key in batch["key"][batch["valid"]].tolist()]
    return keys, loader.num_quarantined


TAR, IDX = "train-000001.tar", "train-000001.idx"


@pytest.mark.parametrize(
    ("change", "message", "num_samples", "lost"),
    [
        (add_records(1, IDX), r"train-000001\.idx has 25 samples, the manifest says 26", 100, 0),
        (add_records(-1, IDX), r"train-000001\.idx has 25 samples, the manifest says 24", 100, 0),
        (add_records(1, TAR), r"manifest\.json: splits has 100 samples of train, the shards in files 101", 101, 1),
        (add_records(-1, TAR, IDX), r"manifest\.json: splits has 100 samples of train, the shards in files 99", 99, 0),
        (unlist, r"manifest\.json: splits has 100 .* files 75: train-000001\.tar is not listed", 75, 0),
        (put("splits", "train", 7), r"manifest\.json: splits has 7 samples of train, the shards in files 100", 100, 0),
        (put("splits", {}), r"manifest\.json: splits has 0 samples of train", 100, 0),
    ],
)
def test_counts_that_disagree_are_named_and_lose_only_what_is_not_there(
    folder: Path, caplog: pytest.LogCaptureFixture, change: Change, message: str, num_samples: int, lost: int
) -> None:
    change_manifest(folder, change)
    with pytest.raises(DatasetError, match=message):
        list(open_dataset(folder).loader(16, finite=True))
    keys, count = one_pass(folder)
    assert (len(keys), count) == (num_samples, lost)
    assert len(set(keys)) == num_samples - lost
    assert caplog.records, "what is tolerated is told"


def test_a_count_that_agrees_with_itself_and_not_with_the_shard_is_named_by_shard(folder: Path) -> None:
    change_manifest(folder, add_records(1, TAR, IDX))
    change_manifest(folder, put("splits", "train", 101))
    with pytest.raises(DatasetError, match=r"train-000001\.idx has 25 samples, the manifest says 26"):
        list(open_dataset(folder).loader(16, finite=True))
    assert one_pass(folder)[1] == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", 4, r"train-00000\d\.tar: its samples have steps 5, the manifest's configuration\.spec 4"),
        ("steps", 6, r"its samples have steps 5, the manifest's configuration\.spec 6"),
        ("seed", 9, r"its samples have seed 0, the manifest's configuration\.spec 9"),
        ("schedule", "add", r"its samples have schedule 'interpolate', the manifest's configuration\.spec 'add'"),
        ("size", 9, r"clean\.npy is not what the manifest's spec promises, .*\(9, 9, 3\)"),
        ("mode", "virtual", r"sample \w{32}-k\d-d0 is damaged: its key is none of this dataset's"),
        ("steps", "5", r"manifest\.json: configuration\.spec\.steps is '5': it must be a whole number from 1"),
        ("steps", True, r"manifest\.json: configuration\.spec\.steps is True"),
        ("variances", 3, r"manifest\.json: configuration\.spec\.variances is 3: it must be a list"),
        ("seed", 2**63, r"manifest\.json: configuration\.spec\.seed is 9223372036854775808"),
    ],
)
def test_a_spec_of_other_samples_is_named(folder: Path, name: str, value: object, message: str) -> None:
    change_manifest(folder, put("configuration", "spec", name, value))
    for on_error in ("fail", "quarantine"):
        with pytest.raises(DatasetError, match=message):
            list(open_dataset(folder).loader(16, finite=True, on_error=on_error))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("configuration",), [], r"configuration is \[\]: it must be an object"),
        (("configuration", "spec"), [], r"configuration\.spec is \[\]: it must be an object"),
        (("configuration",), {}, r"configuration\.spec is missing"),
        (("files",), {}, r"files is \{\}: it must be a list"),
        (("files", 0), "train", r"files\[0\] is 'train': it must be an object"),
        (("files", 0), {}, r"files\[0\]: missing keys: bytes, path, records, sha256; unknown keys: none"),
        (("files", 0, "path"), 3, r"files\[0\]\.path is 3: it must be text"),
        (("files", 0, "path"), "train-000001.tar", r"files: train-000001\.tar is there twice"),
        (("files", 0, "records"), "25", r"files\[0\]\.records is '25': it must be a whole number from 0"),
        (("files", 0, "records"), 25.0, r"files\[0\]\.records is 25\.0"),
        (("files", 0, "records"), -25, r"files\[0\]\.records is -25"),
        (("files", 0, "records"), 2**70, r"files\[0\]\.records is 1180591620717411303424"),
        (("files", 0, "bytes"), None, r"files\[0\]\.bytes is None"),
        (("files", 1, "sha256"), "../../secret", r"files\[1\]\.sha256 is '\.\./\.\./secret': it must be a SHA-256"),
        (("splits",), [], r"splits is \[\]: it must be an object"),
        (("splits", "train"), "100", r"splits\.train is '100'"),
        (("counts", "rejected"), [], r"counts\.rejected is \[\]: it must be an object"),
        (("inputs",), 3, r"inputs is 3: it must be a list"),
        (("stage",), 3, r"stage is 3: it must be text"),
    ],
)
def test_a_value_of_another_type_is_named_by_its_field(
    folder: Path, path: tuple[Any, ...], value: object, message: str
) -> None:
    change_manifest(folder, put(*path, value))
    with pytest.raises(DatasetError, match=rf"manifest\.json: .*{message}"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("change", "message", "lost"),
    [
        (with_value("key", 3, "nonsense"), r"train-000001\.tar: sample nonsense is damaged: its key is none", 1),
        (with_value("key", 3, "0" * 32 + "-k9-d0"), r"sample 0{32}-k9-d0 is damaged: its key is none", 1),
        (with_value("clean.npy.offset", 3, 10**12), r"sample \w+-k\d-d0 is damaged: it does not lie within", 1),
        (with_value("clean.npy.offset", 3, 2**63 - 1), r"sample \w+-k\d-d0 is damaged: it does not lie within", 1),
        (with_value("clean.npy.offset", 3, 512), r"sample \w+-k\d-d0 is damaged: clean\.npy has another CRC", 1),
        (with_value("noisy.npy.length", 3, 7), r"sample \w+-k\d-d0 is damaged: noisy\.npy is not what", 1),
        (with_value("key", 3, None), r"train-000001\.idx: not an index: key is string with 1 nulls", 25),
        (as_doubles, r"train-000001\.idx: not an index: clean\.npy\.offset is double", 25),
        (lambda table: table.slice(0, 0), r"train-000001\.idx has 0 samples, the manifest says 25", 25),
        (without("key"), r"train-000001\.idx: not an index: .*key", 25),
        (without("clean.npy.crc32c"), r"train-000001\.idx: not an index: .*clean\.npy\.crc32c", 25),
        (lambda table: table.replace_schema_metadata({"extensions": '["txt"]'}), r"have txt, but no clean\.npy", 25),
        (lambda table: table.replace_schema_metadata({"extensions": "3"}), r"its extensions are 3, no list", 25),
        (lambda table: table.replace_schema_metadata({}), r"train-000001\.idx: not an index", 25),
    ],
)
def test_an_index_that_disagrees_is_named_and_only_what_it_spoils_is_replaced(
    folder: Path, change: Callable[[pa.Table], pa.Table], message: str, lost: int
) -> None:
    whole = one_pass(folder)[0]
    rewrite_index(folder, change)
    with pytest.raises(DatasetError, match=message):
        list(open_dataset(folder).loader(16, finite=True))
    found, count = one_pass(folder)
    assert count == lost == sum(before != after for before, after in zip(whole, found, strict=True))


@pytest.mark.parametrize("record", ["[]", "nonsense", "{}", '{"length": null}'])
def test_a_record_that_says_nothing_is_named_by_shard_and_key(tmp_path: Path, record: str) -> None:
    folder = write_windows(tmp_path / "windows", 4, {"train": ["one two three four five six seven eight"]})
    whole = open_dataset(folder)
    samples = [
        (
            key,
            {"tokens.npy": shard.read(row, "tokens.npy"), "json": shard.read(row, "json") if row else record.encode()},
        )
        for shard in [whole.shards[0]]
        for row, key in enumerate(shard.index.keys.astype(np.str_).tolist())
    ]
    written = write_shard(folder / FINGERPRINT / "train-000000.tar", samples[::-1], ("tokens.npy", "json"))

    def believe(manifest: dict[str, Any]) -> None:
        kept = [entry for entry in manifest["files"] if not entry["path"].startswith("train")]
        manifest["files"] = kept + [asdict(entry) for entry in written]

    change_manifest(folder, believe)
    dataset = open_dataset(folder)
    assert dataset[0]["key"] == samples[-1][0]
    with pytest.raises(DatasetError, match=rf"train-000000\.tar: sample {samples[0][0]} is damaged: it cannot be read"):
        dataset[len(dataset) - 1]


def test_windows_of_another_spec_are_named(tmp_path: Path) -> None:
    folder = write_windows(tmp_path / "windows", 4, {"train": ["An oak and an elm stand there. " * 9]})
    for name, value, message in (
        ("context", 5, r"tokens\.npy is not what the manifest's spec promises, .*\(6,\)"),
        ("stride", 3, r"its samples have position \d+, the manifest's configuration\.spec \d+"),
        ("context", [], r"manifest\.json: configuration\.spec\.context is \[\]"),
    ):
        before = (folder / FINGERPRINT / "manifest.json").read_bytes()
        change_manifest(folder, put("configuration", "spec", name, value))
        with pytest.raises(DatasetError, match=message):
            list(open_dataset(folder).loader(4, finite=True))
        (folder / FINGERPRINT / "manifest.json").write_bytes(before)
