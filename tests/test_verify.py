"""`seedbed verify` finds every fault and names its file; `seedbed stats` counts what is there."""

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from pipelines.folders import committed_folders
from pipelines.verify import print_faults, verify_folder
from shards.describe import describing_files
from shards.manifest import FileEntry, canonical_json, decode_manifest, encode_manifest
from shards.npy import npy_bytes
from shards.shard import Shard, list_shards
from shards.stats import dataset_stats
from shards.writer import write_shard
from tests.builds import manifest_of, seedbed
from tests.file_server import serve_files


def linked(built: Path, out: Path) -> Path:
    """The arboretum's build over again, each file under a second name; who changes one writes another."""
    shutil.copytree(built, out, copy_function=os.link)
    return out


def rewrite(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def folder_of(out: Path, stage: str) -> Path:
    return out / stage / manifest_of(out, stage).fingerprint


def faults(out: Path, deep: bool) -> list[str]:
    """What `verify` finds, a line each: stage, file and fault."""
    return [
        f"{committed.manifest.stage}/{found.fault.path}: {found.fault.what}"
        for committed in committed_folders(str(out))
        for found in verify_folder(committed, deep, lambda _: None)
    ]


def change_manifest(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    rewrite(path, encode_manifest(replace(decode_manifest(path.read_bytes()), **values)))  # type: ignore[arg-type]


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    rewrite(path, bytes(data))


def member_place(out: Path, stage: str, member: str) -> tuple[Path, int, str]:
    """A tar, a place inside a member of its third sample, and that sample's key."""
    committed = committed_folders(str(out / stage))[0]
    files = list_shards("", committed.manifest, "train")[0]
    shard = Shard(committed.store, files)
    column = shard.column(member)
    place = int(shard.index.offsets[2, column]) + int(shard.index.lengths[2, column]) // 2
    return folder_of(out, stage) / files.tar.path, place, shard.index.keys[2].decode()


def flipped_member(stage: str, member: str) -> Callable[[Path], None]:
    def harm(out: Path) -> None:
        path, place, _ = member_place(out, stage, member)
        flip(path, place)

    return harm


def missing_tar(out: Path) -> None:
    (folder_of(out, "triplets") / "train-000001.tar").unlink()


def short_tar(out: Path) -> None:
    path = folder_of(out, "triplets") / "train-000001.tar"
    rewrite(path, path.read_bytes()[:-2048])


def torn_index(out: Path) -> None:
    path = folder_of(out, "windows") / "train-000000.idx"
    flip(path, path.stat().st_size // 2)


def foreign_index(out: Path) -> None:
    """The index of another shard, and a manifest that says it belongs here."""
    folder = folder_of(out, "triplets")
    rewrite(folder / "train-000000.idx", (folder / "train-000001.idx").read_bytes())
    files = {entry.path: entry for entry in manifest_of(out, "triplets").files}
    files["train-000000.idx"] = replace(files["train-000001.idx"], path="train-000000.idx")
    change_manifest(folder, files=tuple(files[path] for path in sorted(files)))


def other_counts(out: Path) -> None:
    manifest = manifest_of(out, "windows")
    change_manifest(folder_of(out, "windows"), splits={**manifest.splits, "val": 3})


def edited_by_hand(out: Path) -> None:
    path = folder_of(out, "text") / "manifest.json"
    rewrite(path, json.dumps(json.loads(path.read_bytes())).encode())


def other_card(out: Path) -> None:
    path = folder_of(out, "triplets") / "README.md"
    rewrite(path, path.read_bytes().replace(b"Noisy", b"Noisi"))


def leftover(out: Path) -> None:
    (folder_of(out, "images") / ".part-000000.tar.0123456789ab.tmp").write_bytes(b"torn")


def damaged_warc(out: Path) -> None:
    path = max(folder_of(out, "crawl").glob("*.warc.gz"), key=lambda path: path.stat().st_size)
    flip(path, path.stat().st_size // 2)


def damaged_table(out: Path) -> None:
    path = folder_of(out, "text") / "documents-000000.parquet"
    flip(path, 200)


def outside(out: Path) -> None:
    folder = folder_of(out, "triplets")
    files = manifest_of(out, "triplets").files
    change_manifest(folder, files=(*files[:-1], replace(files[-1], path="../../secret")))


def wrong_noise(out: Path) -> None:
    """A dataset whose manifest has another seed: every sample is undamaged, and none is right."""
    folder = folder_of(out, "triplets")
    configuration = dict(manifest_of(out, "triplets").configuration)
    change_manifest(folder, configuration={**configuration, "spec": {**configuration["spec"], "seed": 1}})


def without_spec(out: Path) -> None:
    for stage in ("triplets", "windows"):
        configuration = dict(manifest_of(out, stage).configuration)
        del configuration["spec"]
        change_manifest(folder_of(out, stage), configuration=configuration)


def lone_index(out: Path) -> None:
    folder = folder_of(out, "triplets")
    (folder / "train-000099.idx").write_bytes(b"")
    empty = FileEntry("train-000099.idx", 0, hashlib.sha256(b"").hexdigest(), 0)
    change_manifest(folder, files=(*manifest_of(out, "triplets").files, empty))


def believe(out: Path, stage: str, *names: str) -> None:
    """Let the manifest say that these files are as they lie there now."""
    folder = folder_of(out, stage)

    def entry(file: FileEntry) -> FileEntry:
        data = (folder / file.path).read_bytes()
        return replace(file, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) if file.path in names else file

    change_manifest(folder, files=tuple(entry(file) for file in manifest_of(out, stage).files))


def change_index(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def harm(out: Path) -> None:
        path = folder_of(out, "triplets") / "train-000000.idx"
        with pa.ipc.open_file(path.read_bytes()) as file:
            table = change(file.read_all())
        sink = io.BytesIO()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        rewrite(path, sink.getvalue())
        believe(out, "triplets", path.name)

    harm.__qualname__ = change.__qualname__
    return harm


def doubles(table: pa.Table) -> pa.Table:
    name = "clean.npy.offset"
    return table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.float64()))


def no_keys(table: pa.Table) -> pa.Table:
    return table.drop_columns(["key"])


def dotted_key(table: pa.Table) -> pa.Table:
    keys = ["a.b", *table["key"].to_pylist()[1:]]
    return table.set_column(table.schema.get_field_index("key"), "key", pa.array(keys))


def negative_offset(table: pa.Table) -> pa.Table:
    name = "clean.npy.offset"
    offsets = [-5, *table[name].to_pylist()[1:]]
    return table.set_column(table.schema.get_field_index(name), name, pa.array(offsets))


def random_words(out: Path) -> None:
    """Other words in every window of a shard, each a word of the dictionary; hashes and checksums are redone."""
    folder, rng = folder_of(out, "windows"), np.random.default_rng(0)
    committed = committed_folders(str(out / "windows"))[0]
    files = list_shards("", committed.manifest, "train")[0]
    shard = Shard(committed.store, files)
    samples = []
    for row, key in enumerate(shard.index.keys.tolist()):
        record = json.loads(shard.read(row, "json"))
        tokens = np.load(io.BytesIO(shard.read(row, "tokens.npy")))
        tokens[: record["length"]] = rng.integers(2, 100, record["length"])
        samples.append((key.decode(), {"tokens.npy": npy_bytes(tokens), "json": shard.read(row, "json")}))
    write_shard(folder / files.tar.path, samples, ("tokens.npy", "json"))
    believe(out, "windows", files.tar.path, files.index.path)
    texts = {"shards.json", "croissant.json", "README.md"}
    manifest = manifest_of(out, "windows")
    for name, text in describing_files(manifest.configuration, manifest.splits, manifest.files).items():
        if name in texts:
            rewrite(folder / name, text.encode())
    believe(out, "windows", *texts)


def wrong_type(*path: object) -> Callable[[Path], None]:
    """Another value where the others lead in the manifest of the triplets."""

    def harm(out: Path) -> None:
        file = folder_of(out, "triplets") / "manifest.json"
        manifest = json.loads(file.read_bytes())
        target = manifest
        for key in path[:-2]:
            target = target[key]
        target[path[-2]] = path[-1]
        rewrite(file, canonical_json(manifest).encode())

    harm.__qualname__ = ".".join(map(str, path))
    return harm


HARM: dict[Callable[[Path], None], tuple[str, str]] = {
    missing_tar: (r"triplets/train-000001\.tar: is missing", ""),
    short_tar: (r"triplets/train-000001\.tar: has \d+ bytes, the manifest says \d+", ""),
    torn_index: (r"windows/train-000000\.idx: has the SHA-256 \w+, the manifest says \w+", ""),
    foreign_index: (r"triplets/train-000000\.idx: does not cover train-000000\.tar member by member", ""),
    other_counts: (r"windows/manifest\.json: val has \d+ samples in its shards, the manifest says 3", ""),
    edited_by_hand: (r"text/manifest\.json: is not written as a build writes it", ""),
    other_card: (r"triplets/README\.md: has the SHA-256", ""),
    leftover: (r"images/\.part-000000\.tar\.\w+\.tmp: is not in the manifest: a leftover", ""),
    without_spec: (r"windows/manifest\.json: its configuration has no spec", ""),
    lone_index: (r"triplets/train-000099\.idx: is the index of no tar", ""),
    change_index(doubles): (r"triplets/train-000000\.idx: not an index: clean\.npy\.offset is double", ""),
    change_index(no_keys): (r"triplets/train-000000\.idx: not an index: .*key", ""),
    change_index(dotted_key): (r"triplets/train-000000\.idx: sample \S+ stands out of order", ""),
    change_index(negative_offset): (r"triplets/train-000000\.idx: does not cover train-000000\.tar", ""),
    random_words: ("", r"windows/train-000000\.tar: sample \w+: its words are not those of its document \w+"),
    wrong_type("configuration", "spec", "steps", "5"): (r"manifest\.json: .*configuration\.spec\.steps is '5'", ""),
    wrong_type("configuration", "spec", "kind", 3): (r"manifest\.json: .*configuration\.spec\.kind is 3", ""),
    wrong_type("configuration", "name", 3): (r"manifest\.json: configuration\.name is 3: it must be text", ""),
    outside: (r"triplets/\.\./\.\./secret: lies outside the folder", ""),
    flipped_member("triplets", "noisy.npy"): ("", r"sample \w+-k\d-d0 is damaged: noisy\.npy has another CRC-32C"),
    flipped_member("windows", "json"): ("", r"sample \w+ is damaged: json has another CRC-32C"),
    damaged_warc: ("", r"crawl/ledger-\S+: http\S+: .*at offset \d+"),
    damaged_table: ("", r"text/documents-000000\.parquet: (has the SHA-256|cannot be read)"),
    wrong_noise: ("", r"sample \w+-k\d-d0: noisy\.npy is not what its record says"),
}


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__qualname__)
def test_each_fault_is_found_and_its_file_named(built: Path, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    out = linked(built, tmp_path / "out")
    harm(out)
    shallow, deep = HARM[harm]
    found = faults(out, deep=False)
    assert bool(found) == bool(shallow)
    assert any(re.search(shallow, line) for line in found) or not shallow, found
    assert any(re.search(shallow or deep, line) for line in faults(out, deep=True))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (wrong_type("configuration", []), r"configuration is \[\]: it must be an object"),
        (wrong_type("files", 0, "records", "25"), r"files\[0\]\.records is '25'"),
        (wrong_type("splits", []), r"splits is \[\]"),
        (wrong_type("counts", "rejected", []), r"counts\.rejected is \[\]"),
    ],
)
@pytest.mark.parametrize("of_stage", [False, True])
def test_a_manifest_that_is_none_is_a_fault_and_the_rest_is_verified(
    built: Path, tmp_path: Path, harm: Callable[[Path], None], message: str, of_stage: bool
) -> None:
    out = linked(built, tmp_path / "out")
    harm(out)
    if not of_stage:
        missing_index = folder_of(out, "windows") / "train-000000.idx"
        missing_index.unlink()
    output = io.StringIO()
    path = str(out / "triplets") if of_stage else str(out)
    assert print_faults(path, deep=False, console=Console(file=output, highlight=False)) == (1 if of_stage else 2)
    assert re.search(rf"triplets/\w+/manifest\.json: not a manifest \({message}", output.getvalue())
    assert of_stage or "train-000000.idx: is missing" in output.getvalue()


def test_a_sound_build_has_no_fault_and_a_faulty_one_ends_with_1(built: Path, tmp_path: Path) -> None:
    assert faults(built, deep=True) == []
    done = seedbed("verify", "--deep", built)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"crawl, images, score, text, triplets, windows: \d+ files, [\d.]+ MB, no fault \(every byte read\)\n",
        done.stdout,
    )
    out = linked(built, tmp_path / "out")
    missing_tar(out)
    torn_index(out)
    done = seedbed("verify", out)
    assert done.returncode == 1
    *lines, last = done.stdout.splitlines()
    assert [line.split(": ")[0].rpartition("/")[2] for line in lines] == ["train-000001.tar", "train-000000.idx"]
    assert "2 faults" in last


def test_one_stage_one_dataset_and_one_behind_a_url_are_verified_alike(built: Path) -> None:
    with serve_files(built) as server:
        for path in (built / "triplets", folder_of(built, "triplets"), f"{server.url}/triplets"):
            done = seedbed("verify", path)
            assert done.returncode == 0, done.stdout
            assert done.stdout.startswith("triplets: ")


def test_a_folder_without_anything_committed_is_an_error_of_one_line(tmp_path: Path) -> None:
    for command in ("verify", "stats"):
        done = seedbed(command, tmp_path)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "nothing was committed there" in done.stderr


def test_statistics_count_samples_pictures_levels_and_lengths(built: Path) -> None:
    triplets, windows = (committed_folders(str(built / stage))[0] for stage in ("triplets", "windows"))
    by_split = {stats.split: stats for stats in dataset_stats(triplets)}
    assert {name: stats.num_samples for name, stats in by_split.items()} == triplets.manifest.splits
    assert sum(len(stats.items) for stats in by_split.values()) == triplets.manifest.counts.kept
    assert by_split["train"].steps == dict.fromkeys(range(1, 6), len(by_split["train"].items))
    assert sum(stats.num_captions for stats in by_split.values()) == triplets.manifest.counts.kept
    tars = [entry for entry in triplets.manifest.files if entry.path.endswith(".tar")]
    assert sum(stats.num_bytes for stats in by_split.values()) == sum(entry.bytes for entry in tars)
    lengths = {stats.split: stats for stats in dataset_stats(windows)}
    assert {name: stats.lengths.total() for name, stats in lengths.items()} == windows.manifest.splits
    assert sum(len(stats.items) for stats in lengths.values()) == windows.manifest.counts.kept == 60
    assert max(lengths["train"].lengths) == 65


def test_statistics_are_printed_for_a_build(built: Path) -> None:
    done = seedbed("stats", built)
    assert (done.returncode, done.stderr) == (0, "")
    for told in ("triplets: splits", "levels: 32×32×3, materialised, interpolate, gaussian, seed 0", "windows of 65"):
        assert told in done.stdout


def test_statistics_can_be_had_as_json(built: Path) -> None:
    (stage,) = json.loads(seedbed("stats", built / "triplets", "--json").stdout)
    manifest = manifest_of(built, "triplets")
    folder = built / "triplets" / manifest.fingerprint
    assert stage["manifest_sha256"] == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert (stage["stage"], stage["fingerprint"], stage["path"]) == ("triplets", manifest.fingerprint, str(folder))
    assert (stage["records_in"], stage["kept"], stage["splits"]) == (432, 432, manifest.splits)
    everything = json.loads(seedbed("stats", built, "--json").stdout)
    assert [each["stage"] for each in everything] == ["crawl", "images", "score", "text", "triplets", "windows"]
