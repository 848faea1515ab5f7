"""Damage is named, or replaced by the same undamaged samples on every run; nothing read is ever executed."""

import gc
import io
import itertools
import json
import logging
import pickle
import shutil
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shards import open_dataset
from shards.dataset import TripletDataset, WindowDataset
from shards.manifest import FileEntry
from shards.store import DatasetError, LocalStore
from shards.triplet import TripletSpec
from tests.tiny_datasets import FINGERPRINT, draw_tree, write_triplets, write_windows

PICTURES, PER_SHARD = 40, 25


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = {"train": [draw_tree(seed, 8) for seed in range(PICTURES)]}
    return write_triplets(tmp_path / "triplets", TripletSpec(8), pictures, PER_SHARD)


def dataset_of(folder: Path) -> TripletDataset | WindowDataset:
    return open_dataset(folder)


def flip(folder: Path, shard: int, row: int, member: str) -> str:
    """Flip one bit of a member; return its sample's key."""
    opened = dataset_of(folder).shards[shard]
    place = int(opened.index.offsets[row, opened.column(member)]) + int(opened.index.lengths[row, 0]) // 2
    data = bytearray(Path(opened.path).read_bytes())
    data[place] ^= 1
    Path(opened.path).write_bytes(data)
    return str(opened.index.keys[row].decode())


def one_pass(folder: Path, **arguments: Any) -> tuple[list[str], int]:
    loader = dataset_of(folder).loader(16, finite=True, on_error="quarantine", **arguments)
    keys = [key for batch in loader for key in batch["key"][batch["valid"]].tolist()]
    return keys, loader.num_quarantined


def test_a_sample_in_a_hundred_is_replaced_within_its_block_the_same_each_time(folder: Path) -> None:
    whole, none = one_pass(folder)
    assert none == 0
    lost = {flip(folder, 1, 3, "noisy.npy"), flip(folder, 6, 20, "clean.npy")}
    with pytest.raises(DatasetError, match=r"train-00000[16]\.tar: sample \w+-k\d-d0 is damaged: (noisy|clean)\.npy"):
        list(dataset_of(folder).loader(16, finite=True))
    found, count = one_pass(folder)
    assert count == 2
    assert [key for key in whole if key in lost] != []
    for before, after in zip(whole, found, strict=True):
        assert (before == after) != (before in lost)
        assert after not in lost
    assert one_pass(folder) == (found, 2)
    assert one_pass(folder, workers=3) == (found, 2)


def cut_short(folder: Path, dataset: TripletDataset | WindowDataset) -> None:
    shard = dataset.shards[2]
    Path(shard.path).write_bytes(Path(shard.path).read_bytes()[: int(shard.index.offsets[10, 0]) + 5])


def empty(folder: Path, dataset: TripletDataset | WindowDataset) -> None:
    Path(dataset.shards.path(2)).write_bytes(b"")


def missing(folder: Path, dataset: TripletDataset | WindowDataset) -> None:
    Path(dataset.shards.path(2)).unlink()


def no_index(folder: Path, dataset: TripletDataset | WindowDataset) -> None:
    Path(dataset.shards.path(2)).with_suffix(".idx").unlink()


def torn_index(folder: Path, dataset: TripletDataset | WindowDataset) -> None:
    path = Path(dataset.shards.path(2)).with_suffix(".idx")
    path.write_bytes(path.read_bytes()[:-9])


def swapped(folder: Path, dataset: TripletDataset | WindowDataset) -> None:
    shutil.copy(Path(dataset.shards.path(3)), Path(dataset.shards.path(2)))


@pytest.mark.parametrize(
    ("harm", "lost"), [(cut_short, 15), (empty, 25), (missing, 25), (no_index, 25), (torn_index, 25), (swapped, 25)]
)
def test_a_shard_that_is_not_what_was_committed_loses_only_what_is_lost(
    folder: Path, harm: Callable[[Path, TripletDataset | WindowDataset], None], lost: int
) -> None:
    whole, _ = one_pass(folder)
    harm(folder, dataset_of(folder))
    with pytest.raises(DatasetError, match=r"train-000002\.(tar|idx)"):
        list(dataset_of(folder).loader(16, finite=True))
    found, count = one_pass(folder)
    assert count == lost
    assert sum(before != after for before, after in zip(whole, found, strict=True)) == lost


def test_a_block_without_an_undamaged_sample_is_an_error_and_no_search_without_end(folder: Path) -> None:
    for number in range(8):
        Path(dataset_of(folder).shards.path(number)).unlink()
    with pytest.raises(DatasetError, match="every sample is damaged; copy them again"):
        one_pass(folder)


def test_a_lost_shard_is_replaced_also_where_it_is_a_block_by_itself(tmp_path: Path) -> None:
    pictures = {"train": [draw_tree(seed, 8) for seed in range(25)]}
    folder = write_triplets(tmp_path / "triplets", TripletSpec(8), pictures, PER_SHARD)
    whole, lost = dataset_of(folder), set(dataset_of(folder).shards[2].index.keys.astype(np.str_).tolist())
    assert len(whole.sizes) == 5
    Path(whole.shards.path(2)).unlink()
    loader, epochs = dataset_of(folder).loader(25, on_error="quarantine"), 20
    keys = [key for batch in itertools.islice(loader, 5 * epochs) for key in batch["key"].tolist()]
    assert lost.isdisjoint(keys)
    assert loader.num_quarantined == epochs * len(lost)


def test_each_damaged_shard_is_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for row in (1, 2, 3):
        flip(folder, 4, row, "noise.npy")
    with caplog.at_level(logging.WARNING):
        assert one_pass(folder)[1] == 3
    assert [record.message.rpartition("/")[2] for record in caplog.records] == [
        "train-000004.tar is damaged: other samples stand in for those lost"
    ]


def test_a_manifest_that_disagrees_is_named(folder: Path) -> None:
    path = folder / FINGERPRINT / "manifest.json"
    manifest = json.loads(path.read_text())
    for file in manifest["files"]:
        if file["path"] == "train-000001.idx":
            file["records"] += 1
    path.write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match=r"train-000001\.idx has 25 samples, the manifest says 26"):
        list(dataset_of(folder).loader(16, finite=True))


def test_windows_are_replaced_too(tmp_path: Path) -> None:
    text = " ".join(f"word{number}" for number in range(200))
    folder = write_windows(tmp_path / "windows", 4, {"train": [text]}, samples_per_shard=10)
    whole, _ = one_pass(folder)
    lost = flip(folder, 1, 4, "tokens.npy")
    found, count = one_pass(folder)
    assert count == 1
    assert [before for before, after in zip(whole, found, strict=True) if before != after] == [lost]


def test_what_is_replaced_depends_on_no_batch_nor_rank_nor_worker(tmp_path: Path) -> None:
    text = " ".join(f"word{number}" for number in range(200))
    folder = write_windows(tmp_path / "windows", 4, {"train": [text]}, samples_per_shard=10)
    whole, _ = one_pass(folder)
    unneeded = {flip(folder, 0, 3, "json"), flip(folder, 2, 7, "json")}  # only a window that may be filled up needs it
    lost = flip(folder, 1, 4, "tokens.npy")
    for batch_size in (1, 2, 3, 7, 16, len(whole)):
        for world_size, workers in ((1, 0), (2, 0), (1, 3)):
            found: dict[int, str] = {}
            count = 0
            for rank in range(world_size):
                loader = dataset_of(folder).loader(
                    batch_size, rank=rank, world_size=world_size, workers=workers, finite=True, on_error="quarantine"
                )
                for step, batch in enumerate(loader):
                    start = (step * world_size + rank) * batch_size
                    found |= {
                        start + row: key for row, key in enumerate(batch["key"].tolist()) if start + row < len(whole)
                    }
                count += loader.num_quarantined
            assert count == 1
            changed = {before for place, before in enumerate(whole) if found[place] != before}
            assert changed == {lost}
    assert unneeded <= set(found.values())


def test_the_length_of_the_last_window_is_needed_and_its_damage_counts(tmp_path: Path) -> None:
    folder = write_windows(tmp_path / "windows", 4, {"train": ["An oak and an elm stand there."]})
    dataset = dataset_of(folder)
    last = max(range(len(dataset)), key=lambda number: dataset[number]["meta"]["position"])
    key = flip(folder, 0, last, "json")
    for batch_size in (1, len(dataset)):
        loader = dataset_of(folder).loader(batch_size, finite=True, on_error="quarantine")
        assert key not in [found for batch in loader for found in batch["key"].tolist()]
        assert loader.num_quarantined == 1


def test_what_was_read_ahead_does_not_count_before_it_is_delivered(folder: Path) -> None:
    for row in range(PER_SHARD):
        flip(folder, 3, row, "noisy.npy")

    def counts(workers: int) -> list[int]:
        loader = dataset_of(folder).loader(8, seed=2, workers=workers, on_error="quarantine")
        return [loader.num_quarantined for _ in itertools.islice(loader, 25)]

    assert counts(3) == counts(0)
    assert counts(0)[-1] == PER_SHARD


def test_a_shard_known_to_be_damaged_is_not_opened_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(folder, dataset_of(folder))
    opened: list[str] = []
    map_whole = LocalStore.map

    def counted(store: LocalStore, entry: FileEntry) -> memoryview:
        opened.append(entry.path)
        return map_whole(store, entry)

    monkeypatch.setattr(LocalStore, "map", counted)
    assert one_pass(folder)[1] == PER_SHARD
    assert max(opened.count(path) for path in opened) == 1


class Bomb:
    """What would leave a mark if anybody unpickled it."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (__import__, ("antigravity_that_is_not_there",))


def test_a_pickled_array_is_refused_unread(tmp_path: Path) -> None:
    folder = write_triplets(tmp_path / "triplets", TripletSpec(8), {"train": [draw_tree(0, 8)]})
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(pickle.dumps(Bomb()))
    shard = dataset_of(folder).shards[0]
    data = bytearray(Path(shard.path).read_bytes())
    place = int(shard.index.offsets[0, 0])
    data[place : place + len(buffer.getvalue())] = buffer.getvalue()
    Path(shard.path).write_bytes(data)
    with pytest.raises(DatasetError, match=r"is damaged: clean\.npy has another CRC-32C"):
        next(iter(dataset_of(folder).loader(5, shuffle=False)))


def test_what_reads_ahead_fails_at_the_batch_that_is_damaged_and_leaves_no_thread(folder: Path) -> None:
    flip(folder, 0, 12, "noisy.npy")
    threads = threading.active_count()
    batches = iter(dataset_of(folder).loader(5, shuffle=False, workers=3))
    assert [len(next(batches)["key"]) for _ in range(2)] == [5, 5]
    with pytest.raises(DatasetError, match="is damaged"):
        next(batches)
    loader = iter(dataset_of(folder).loader(5, shuffle=False, workers=3, fields=("clean",)))
    assert len(next(loader)["clean"]) == 5
    loader.close()  # type: ignore[attr-defined]
    assert threading.active_count() == threads


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_reading_ahead_changes_nothing(folder: Path, workers: int, rank: int) -> None:
    def deliver(workers: int) -> tuple[list[list[str]], dict[str, Any]]:
        loader = dataset_of(folder).loader(7, rank=rank, world_size=3, workers=workers, fields=("key",))
        keys = [batch["key"].tolist() for batch in itertools.islice(loader, 12)]
        return keys, loader.state_dict()

    assert deliver(workers) == deliver(0)


class Tempting:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore")  # of webdataset, which leaves its files to be closed by chance
@pytest.mark.parametrize("extension", ["pyd", "pickle", "pkl", "pth", "pt", "npy"])
def test_webdatasets_own_pipeline_unpickles_nothing_either(folder: Path, tmp_path: Path, extension: str) -> None:
    marker = tmp_path / "executed"
    content = pickle.dumps(Tempting(marker))
    if extension == "npy":
        file = io.BytesIO()
        np.save(file, np.array([Tempting(marker)], dtype=object), allow_pickle=True)
        content = file.getvalue()
    shard = Path(dataset_of(folder).shards[0].path)
    with tarfile.open(shard, "w") as tar:
        member = tarfile.TarInfo(f"a.{extension}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    samples = dataset_of(folder).as_webdataset()
    if extension == "npy":
        with pytest.raises(ValueError, match="allow_pickle=False"):
            list(samples)
    else:
        assert next(sample for sample in list(samples) if extension in sample)[extension] == content
    assert not marker.exists()
    del samples
    gc.collect()
