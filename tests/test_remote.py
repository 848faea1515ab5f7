"""Datasets behind a URL give what local ones give; a store's faults are its own and never the samples'."""

import fcntl
import itertools
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from shards import asking, open_dataset, remote_store
from shards.asking import DatasetError, StoreError
from shards.committed import stage_folder
from shards.dataset import TripletDataset, WindowDataset
from shards.disk_cache import DiskCache, Fetch
from shards.manifest import FileEntry
from shards.order import BLOCK_SHARDS
from shards.triplet import TripletSpec
from tests.builds import wait_for
from tests.file_server import FileServer, Served, serve_files
from tests.object_store import ObjectStore
from tests.tiny_datasets import FINGERPRINT, draw_tree, write_triplets, write_windows

PICTURES, PER_SHARD, SHARDS = 48, 12, 20
TEXT = "the old oak stands by the brook and the young ash by the road . " * 40


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Triplets of both modes and windows, in one folder."""
    root = tmp_path_factory.mktemp("local")
    pictures = [draw_tree(seed, 8) for seed in range(PICTURES)]
    write_triplets(root / "triplets", TripletSpec(8), {"train": pictures, "val": pictures[:3]}, PER_SHARD)
    write_triplets(root / "virtual", TripletSpec(8, mode="virtual"), {"train": pictures}, 5)
    write_windows(root / "windows", 6, {"train": [TEXT]}, samples_per_shard=9)
    return root


@pytest.fixture
def served(local: Path) -> Iterator[FileServer]:
    with serve_files(local) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "RETRY_DELAYS_S", (0.01, 0.01, 0.01, 0.01))


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges so small that a shard takes many."""
    monkeypatch.setattr(remote_store, "RANGE_BYTES", 4096)


def stream(dataset: TripletDataset | WindowDataset, **arguments: Any) -> list[dict[str, Any]]:
    """One pass and a bit of the endless stream."""
    count = -(-len(dataset) // 16) + 3
    return list(itertools.islice(dataset.loader(16, seed=5, **arguments), count))


def assert_equal(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.usefixtures("small_ranges")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("triplets", {}), ("triplets", {"workers": 3}), ("virtual", {"lanes": 3}), ("windows", {"shuffle": False})],
)
def test_http_gives_the_local_stream(
    local: Path, served: FileServer, tmp_path: Path, name: str, arguments: dict[str, Any]
) -> None:
    remote = open_dataset(f"{served.url}/{name}", cache_dir=tmp_path)
    assert_equal(stream(remote, **arguments), stream(open_dataset(local / name), **arguments))


@pytest.mark.usefixtures("small_ranges")
def test_s3_gives_the_local_stream(local: Path, s3: ObjectStore, tmp_path: Path) -> None:
    for name in ("triplets", "virtual", "windows"):
        remote = open_dataset(s3.upload(local / name, name), storage_options=s3.options, cache_dir=tmp_path)
        here = open_dataset(local / name)
        assert_equal(stream(remote, workers=2), stream(here))
        assert remote.loader(4).state_dict() == here.loader(4).state_dict()
        assert remote[7]["meta"] == here[7]["meta"]
    with pytest.raises(DatasetError, match=r"s3://seedbed/absent holds neither manifest\.json nor current"):
        open_dataset(f"s3://{s3.bucket}/absent", storage_options=s3.options, cache_dir=tmp_path)


def test_webdatasets_pipeline_reads_a_store_with_the_options_of_the_dataset(
    local: Path, s3: ObjectStore, served: FileServer, tmp_path: Path
) -> None:
    expected = list(open_dataset(local / "triplets").as_webdataset())
    assert len(expected) == 5 * PICTURES
    url = s3.upload(local / "triplets", "plain")
    for remote in (
        open_dataset(url, storage_options=s3.options, cache_dir=tmp_path),
        open_dataset(f"{served.url}/triplets", cache_dir=tmp_path),
    ):
        found = list(remote.as_webdataset())
        assert [sample["json"] for sample in found] == [sample["json"] for sample in expected]
        for one, other in zip(found, expected, strict=True):
            assert (one["noisy.npy"] == other["noisy.npy"]).all()
    workers: DataLoader[Any] = DataLoader(remote.as_webdataset(), batch_size=None, num_workers=2)  # type: ignore[arg-type]
    assert Counter(sample["__key__"] for sample in workers) == {sample["__key__"]: 1 for sample in expected}


def test_a_server_that_stops_answering_for_a_while_is_waited_for(local: Path, s3: ObjectStore, tmp_path: Path) -> None:
    remote = open_dataset(s3.upload(local / "triplets", "stopped"), storage_options=s3.options, cache_dir=tmp_path)
    loader = remote.loader(16, seed=5, on_error="quarantine")
    batches = iter(loader)
    found = [next(batches)]
    with s3.stopped():
        time.sleep(2)
    found += itertools.islice(batches, 17)
    assert_equal(found, stream(open_dataset(local / "triplets"))[:18])
    assert loader.num_quarantined == 0


def test_single_samples_are_fetched_by_themselves(local: Path, served: FileServer, tmp_path: Path) -> None:
    for name in ("triplets", "virtual", "windows"):
        remote, here = open_dataset(f"{served.url}/{name}/", cache_dir=tmp_path), open_dataset(local / name)
        sent = served.num_bytes(".tar")
        for number in (0, 31, len(here) - 1):
            found, expected = remote[number], here[number]
            assert found.keys() == expected.keys()
            assert all(np.array_equal(found[field], expected[field]) for field in found)
        shard = remote.shards.files[0].tar
        assert served.num_bytes(".tar") - sent < 4 * shard.bytes / shard.records


def test_a_builds_folder_is_found_behind_a_url_as_on_disk(local: Path, served: FileServer) -> None:
    for path in (str(local), served.url):
        for given in (path, f"{path}/triplets"):
            assert str(stage_folder(given, "triplets")) == f"{path}/triplets"


READ = """
import sys
from shards import open_dataset
dataset = open_dataset(sys.argv[1], cache_dir=sys.argv[2], cache_bytes=10**7)
loader = dataset.loader(8, seed=5, rank=int(sys.argv[3]), world_size=3)
for batch, _ in zip(loader, range(10)):
    pass
"""


def test_processes_of_one_machine_fetch_each_shard_once(served: FileServer, tmp_path: Path) -> None:
    url = f"{served.url}/triplets"
    ranks = [subprocess.Popen([sys.executable, "-c", READ, url, str(tmp_path), str(rank)]) for rank in range(3)]
    assert [rank.wait() for rank in ranks] == [0, 0, 0]
    tars = [path for path, _ in served.requests if path.endswith(".tar")]
    assert len(tars) == len(set(tars)) == SHARDS


def test_ranks_in_step_fetch_each_shard_once_an_epoch_through_two_blocks_of_cache(
    served: FileServer, tmp_path: Path
) -> None:
    ranks = [
        open_dataset(f"{served.url}/triplets", cache_dir=tmp_path).loader(8, seed=5, rank=rank, world_size=3)
        for rank in range(3)
    ]
    for _ in zip(*ranks, range(9), strict=False):
        pass
    tars = Counter(path for path, _ in served.requests if path.endswith(".tar"))
    first_of_next_epoch = ranks[0].order.ahead(240, is_endless=True)
    again = {f"triplets/{FINGERPRINT}/train-{number:06d}.tar" for number in first_of_next_epoch}
    assert {path for path, count in tars.items() if count > 1} <= again
    assert len(tars) == SHARDS


def test_what_was_read_before_its_turn_is_not_fetched_ahead_any_more(
    served: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, go_on = open_dataset(f"{served.url}/triplets", cache_dir=tmp_path, cache_bytes=10**7).shards, Event()
    fetch, store = DiskCache.fetch, shards.store

    def held_up(cache: DiskCache, entry: FileEntry, write: Fetch) -> None:
        go_on.wait()
        fetch(cache, entry, write)

    monkeypatch.setattr(DiskCache, "fetch", held_up)
    first, second, last = (files.tar for files in shards.files[:3])
    store.want([first, second, last])
    store.map(second)
    for path in tmp_path.rglob(second.sha256):
        path.unlink()  # as others do, who make room
    go_on.set()
    wait_for(lambda: list(tmp_path.rglob(last.sha256)), "the file behind it")
    asked = [path for path, _ in served.requests if path.endswith(".tar")]
    assert [Path(path).name for path in asked] == [second.path, first.path, last.path]


def test_the_cache_holds_two_blocks_or_as_much_as_it_is_given(served: FileServer, tmp_path: Path) -> None:
    def lying(folder: Path) -> int:
        (lock,) = folder.glob("*/.lock-room")
        with lock.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # else one may go, and another come, while they are counted
            return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    remote = open_dataset(f"{served.url}/triplets", cache_dir=tmp_path / "small")
    assert len(remote.sizes) == SHARDS
    sizes = sorted((file.tar.bytes + file.index.bytes for file in remote.shards.files), reverse=True)
    for _ in zip(remote.loader(16), range(40), strict=False):
        assert lying(tmp_path / "small") <= sum(sizes[: 2 * BLOCK_SHARDS])
    whole = open_dataset(f"{served.url}/triplets", cache_dir=tmp_path / "large", cache_bytes=sum(sizes))
    loader = iter(whole.loader(16))
    list(itertools.islice(loader, 15))
    wait_for(lambda: lying(tmp_path / "large") == sum(sizes), "all shards")
    sent = len(served.requests)
    list(itertools.islice(loader, 30))
    assert len(served.requests) == sent
    with pytest.raises(DatasetError, match=r"cache_bytes is 1,000: two blocks .* take [\d,]+; give as much"):
        open_dataset(f"{served.url}/triplets", cache_dir=tmp_path, cache_bytes=1000)


def test_the_next_block_is_fetched_while_this_one_is_read(served: FileServer, tmp_path: Path) -> None:
    remote = open_dataset(f"{served.url}/triplets", cache_dir=tmp_path)
    next(iter(remote.loader(1, seed=5)))
    order = remote.loader(1, seed=5).order
    expected = {remote.shards.files[number].tar.path for number in order.ahead(0, is_endless=True)}
    assert len(expected) == 2 * BLOCK_SHARDS

    def fetched() -> set[str]:
        return {Path(path).name for path, _ in served.requests if path.endswith(".tar")}

    wait_for(lambda: fetched() == expected, "the next block")


def unavailable(served: Served) -> None:
    if served.times < 2:
        served.status, served.body = 503, b"later"


def too_many(served: Served) -> None:
    if served.times < 2:
        served.status, served.body = 429, b"later"


def cut(served: Served) -> None:
    if served.times < 2:
        served.num_sent = len(served.body) // 2


def changed_on_the_way(served: Served) -> None:
    if served.times < 1 and served.path.endswith((".tar", ".idx")):
        served.body = served.body[:700] + bytes([served.body[700] ^ 1]) + served.body[701:]


@pytest.mark.parametrize("fault", [unavailable, too_many, cut, changed_on_the_way])
def test_a_store_that_fails_for_a_moment_is_asked_again_and_nothing_counts_as_damage(
    local: Path, served: FileServer, tmp_path: Path, fault: Any
) -> None:
    served.fault = fault
    remote = open_dataset(f"{served.url}/triplets", cache_dir=tmp_path)
    loader = remote.loader(16, seed=5, on_error="quarantine")
    assert_equal(list(itertools.islice(loader, 18)), stream(open_dataset(local / "triplets"))[:18])
    assert loader.num_quarantined == 0


@pytest.mark.parametrize("on_error", ["fail", "quarantine"])
def test_a_store_that_gives_no_answer_is_an_error_and_no_damage(
    served: FileServer, tmp_path: Path, on_error: Any
) -> None:
    remote = open_dataset(f"{served.url}/triplets", cache_dir=tmp_path)

    def down(served: Served) -> None:
        served.status, served.body = 500, b""

    served.fault = down
    loader = remote.loader(16, on_error=on_error)
    with pytest.raises(
        StoreError, match=r"train-0000\d\d\.(idx|tar): the store gives no answer .*500.*storage_options"
    ):
        next(iter(loader))
    assert loader.num_quarantined == 0


def test_a_store_that_refuses_is_not_asked_again(served: FileServer, tmp_path: Path) -> None:
    def forbidden(served: Served) -> None:
        served.status, served.body = 403, b""

    served.fault = forbidden
    with pytest.raises(StoreError, match=r"manifest\.json: the store gives no answer \(.*403"):
        open_dataset(f"{served.url}/triplets", cache_dir=tmp_path)
    assert len(served.requests) == 1


def test_other_bytes_each_time_are_the_stores_fault(served: FileServer, tmp_path: Path) -> None:
    def noisy(served: Served) -> None:
        if served.path.endswith(".tar"):
            served.body = served.body[:-4] + (served.times + 1).to_bytes(4, "big")

    served.fault = noisy
    with pytest.raises(StoreError, match="gives other bytes each time"):
        next(iter(open_dataset(f"{served.url}/triplets", cache_dir=tmp_path).loader(16)))


def test_damage_in_the_store_is_damage_as_on_disk(local: Path, tmp_path: Path) -> None:
    flipped, missing, cut_short = (f"triplets/{FINGERPRINT}/train-0000{number}.tar" for number in ("03", "07", "11"))
    there = tmp_path / "there"
    shutil.copytree(local, there)
    data = bytearray((there / flipped).read_bytes())
    data[-3000:-2000] = bytes(1000)
    (there / flipped).write_bytes(data)
    (there / missing).unlink()
    (there / cut_short).write_bytes((there / cut_short).read_bytes()[:-9000])
    here = open_dataset(there / "triplets").loader(16, seed=5, on_error="quarantine")
    expected = list(itertools.islice(here, 18))
    assert here.num_quarantined > 0
    with serve_files(there) as broken:
        loader = open_dataset(f"{broken.url}/triplets", cache_dir=tmp_path / "cache").loader(
            16, seed=5, on_error="quarantine"
        )
        assert_equal(list(itertools.islice(loader, 18)), expected)
        assert loader.num_quarantined == here.num_quarantined
        strict = open_dataset(f"{broken.url}/triplets", cache_dir=tmp_path / "cache")
        with pytest.raises(DatasetError, match=r"train-0000\d\d\.tar(: sample \w+-k\d-d0 is damaged| is missing| has)"):
            stream(strict)


def test_a_shard_that_the_store_has_damaged_is_fetched_once_and_no_more(local: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    shutil.copytree(local, there)
    flipped, missing = (there / f"triplets/{FINGERPRINT}/train-0000{name}" for name in ("03.idx", "07.tar"))
    flipped.write_bytes(flipped.read_bytes()[:-1] + b"?")
    missing.unlink()
    with serve_files(there) as broken:
        remote = open_dataset(f"{broken.url}/triplets", cache_dir=tmp_path / "cache")
        loader = remote.loader(4, seed=5, finite=True, on_error="quarantine")
        assert sum(len(batch["key"]) for batch in loader) == len(remote)
        assert loader.num_quarantined == 2 * PER_SHARD
        asked = Counter(Path(path).name for path, _ in broken.requests)
        assert asked["train-000003.idx"] <= 4, "twice ahead and twice when it was read"
        assert asked["train-000007.tar"] <= 2
        assert len(broken.requests) < 3 * SHARDS


def corrupt(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("harm", [corrupt, cut_in_half, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("on_error", ["fail", "quarantine"])
@pytest.mark.parametrize("workers", [0, 3])
def test_what_the_cache_has_damaged_is_fetched_again_and_is_no_damage(
    local: Path, served: FileServer, tmp_path: Path, harm: Any, on_error: Any, workers: int
) -> None:
    url, expected = f"{served.url}/windows", stream(open_dataset(local / "windows"))
    room = sum(file.stat().st_size for file in (local / "windows").rglob("*"))
    stream(open_dataset(url, cache_dir=tmp_path, cache_bytes=room))
    files = open_dataset(url, cache_dir=tmp_path, cache_bytes=room).shards.files
    (cached,) = tmp_path.glob("seedbed-*")
    for number, entry in enumerate(files):
        harm(cached / (entry.tar if number % 2 else entry.index).sha256)
    before = len(served.requests)
    loader = open_dataset(url, cache_dir=tmp_path, cache_bytes=room).loader(
        16, seed=5, workers=workers, on_error=on_error
    )
    assert_equal(list(itertools.islice(loader, len(expected))), expected)
    assert loader.num_quarantined == 0
    fetched = Counter(path for path, _ in served.requests[before:] if path.endswith((".tar", ".idx")))
    assert len(fetched) == len(files)
    assert set(fetched.values()) == {1}
    harm(cached / files[0].tar.sha256)
    alone = open_dataset(url, cache_dir=tmp_path, cache_bytes=room)
    assert alone[0]["key"] == open_dataset(local / "windows")[0]["key"]


def test_a_thread_that_opened_damaged_files_before_they_went_harms_nobody(
    local: Path, served: FileServer, tmp_path: Path
) -> None:
    url = f"{served.url}/windows"
    room = sum(file.stat().st_size for file in (local / "windows").rglob("*"))
    stream(open_dataset(url, cache_dir=tmp_path, cache_bytes=room))
    (cached,) = tmp_path.glob("seedbed-*")
    shards = open_dataset(url, cache_dir=tmp_path, cache_bytes=room).shards
    corrupt(cached / shards.files[0].tar.sha256)
    opened_before = shards[0]
    assert shards.promise is not None
    dtype, shape = shards.promise.arrays["tokens.npy"]
    places = np.arange(len(opened_before.index))
    tokens = shards.gather(0 * places, places, "tokens.npy", dtype, shape)
    shards._open[0] = opened_before  # by a thread that was slow to keep it
    assert np.array_equal(shards.gather(0 * places, places, "tokens.npy", dtype, shape), tokens)


def test_a_server_that_knows_no_ranges_serves_as_well(
    local: Path, served: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_store, "RANGE_BYTES", 4096)
    served.has_ranges = False
    remote = open_dataset(f"{served.url}/triplets", cache_dir=tmp_path)
    assert_equal(stream(remote), stream(open_dataset(local / "triplets")))
    assert json.dumps(remote[3]["meta"]) == json.dumps(open_dataset(local / "triplets")[3]["meta"])


def test_what_a_killed_reader_left_in_the_cache_is_not_believed(
    local: Path, served: FileServer, tmp_path: Path
) -> None:
    remote = open_dataset(f"{served.url}/triplets", cache_dir=tmp_path)
    stream(remote)
    (cached,) = tmp_path.glob("seedbed-*")
    for path in cached.iterdir():
        if not path.name.startswith("."):
            path.rename(path.with_name(f".{path.name}.0123456789ab.tmp"))
    again = open_dataset(f"{served.url}/triplets", cache_dir=tmp_path)
    assert_equal(stream(again), stream(open_dataset(local / "triplets")))


def test_torchs_dataloader_reads_a_remote_dataset_in_processes(local: Path, served: FileServer, tmp_path: Path) -> None:
    from torch.utils.data import DataLoader  # noqa: PLC0415

    from shards.tensors import TensorBatches  # noqa: PLC0415

    remote = open_dataset(f"{served.url}/triplets", cache_dir=tmp_path)
    next(iter(remote.loader(16)))  # this process has connections and threads when it forks
    batches = TensorBatches(remote.loader(16, seed=5, finite=True))
    found = list(DataLoader(batches, batch_size=None, num_workers=2))
    expected = list(open_dataset(local / "triplets").loader(16, seed=5, finite=True))
    assert [batch["key"] for batch in found] == [batch["key"].tolist() for batch in expected]
