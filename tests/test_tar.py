"""The tar bytes are USTAR, known beforehand and read by others; shards are whole or not there."""

import hashlib
import io
import json
import tarfile
from itertools import pairwise
from pathlib import Path

import crc32c
import numpy as np
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from shards import tar
from shards.index import decode_index
from shards.manifest import FileEntry
from shards.triplet import MODES, TripletSpec, encode_triplet, encode_virtual, extensions, picture_key, rungs
from shards.writer import bucket_of, number_shards, order_hash, shards_files, write_shard
from tests.test_triplet import PROVENANCE

KEYS = st.text("0123456789abcdef-", min_size=1, max_size=60)


def archive(members: list[tuple[str, bytes]]) -> bytes:
    return b"".join(tar.header(name, len(data)) + data + tar.padding(len(data)) for name, data in members) + tar.TRAILER


@given(st.lists(st.tuples(KEYS, st.binary(max_size=1100))))
def test_archive_has_the_promised_size_and_reads_back(samples: list[tuple[str, bytes]]) -> None:
    members = [(tar.member_name(key, "npy"), data) for key, data in samples]
    data = archive(members)
    assert len(data) == tar.sample_bytes(len(data) for _, data in members) + len(tar.TRAILER)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as read:
        found = [(info.name, read.extractfile(info).read()) for info in read]  # type: ignore[union-attr]
    assert found == members
    assert list(tar.members(data[: -len(tar.TRAILER)])) == members


def test_bytes_that_are_no_members_are_refused() -> None:
    data = archive([("a.txt", b"oak" * 300)])
    for broken, said in ((data, "no USTAR header at byte 1536"), (data[:1000], "at byte 0 is cut short")):
        with pytest.raises(ValueError, match=said):
            list(tar.members(broken))


def test_header_says_what_the_standard_asks() -> None:
    info = tarfile.TarInfo.frombuf(tar.header("abc.json", 1234), "utf-8", "strict")
    assert (info.name, info.size, info.mode, info.type) == ("abc.json", 1234, 0o644, tarfile.REGTYPE)
    assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
    assert tar.header("abc.json", 1234)[257:265] == b"ustar\x0000"


@pytest.mark.parametrize("size", [0, 1, 511, 512, 8**11 - 1])
def test_sizes_up_to_the_limit_are_kept(size: int) -> None:
    assert tarfile.TarInfo.frombuf(tar.header("k.bin", size), "utf-8", "strict").size == size


@pytest.mark.parametrize(
    ("name", "size"), [("", 1), ("a" * 101, 1), ("é" * 51, 1), ("a\0b", 1), ("k", 8**11), ("k", -1)]
)
def test_what_does_not_fit_a_header_is_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError, match=r"a (name|member) takes"):
        tar.header(name, size)


@pytest.mark.parametrize(("key", "extension"), [("", "txt"), ("a.b", "txt"), ("a/b", "txt"), ("a", ""), ("a", "b/c")])
def test_names_that_readers_would_cut_elsewhere_are_refused(key: str, extension: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        tar.member_name(key, extension)


# --- shards -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(512, 5000), max_size=40), st.integers(6024, 20000))
def test_shards_are_cut_before_they_pass_the_limit(sizes: list[int], max_bytes: int) -> None:
    numbers = list(number_shards(sizes, max_bytes))
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(len(set(numbers))))
    shards = [
        [size for size, at in zip(sizes, numbers, strict=True) if at == number] for number in sorted(set(numbers))
    ]
    assert all(len(tar.TRAILER) + sum(shard) <= max_bytes for shard in shards)
    for shard, following in pairwise(shards):
        assert len(tar.TRAILER) + sum(shard) + following[0] > max_bytes


def test_sample_that_fits_no_shard_is_named() -> None:
    with pytest.raises(ValueError, match=r"sample 1 takes 6024 bytes as a file of its own, above the limit of 6023"):
        list(number_shards([512, 5000], 6023))


@given(st.lists(KEYS, unique=True), st.integers(1, 50))
def test_sorted_buckets_one_behind_the_other_are_sorted(keys: list[str], num_buckets: int) -> None:
    by_bucket = sorted(keys, key=lambda key: (bucket_of(key, num_buckets), order_hash(key)))
    assert by_bucket == sorted(keys, key=order_hash)
    assert all(0 <= bucket_of(key, num_buckets) < num_buckets for key in keys)


def test_shard_and_index_agree_with_what_was_written(tmp_path: Path) -> None:
    samples = [("aa", {"txt": b"oak", "npy": b"x" * 600}), ("bb", {"txt": b"", "npy": b"y"})]
    path = tmp_path / "train-000000.tar"
    entries = write_shard(path, samples, ["npy", "txt"])
    assert [(entry.path, entry.records) for entry in entries] == [("train-000000.tar", 2), ("train-000000.idx", 2)]
    for entry in entries:
        data = (tmp_path / entry.path).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    expected = [("aa.npy", b"x" * 600), ("aa.txt", b"oak"), ("bb.npy", b"y"), ("bb.txt", b"")]
    assert path.read_bytes() == archive(expected)
    index, data = decode_index((tmp_path / "train-000000.idx").read_bytes()), path.read_bytes()
    assert index.keys.tolist() == [b"aa", b"bb"]
    for row, (_, members) in enumerate(samples):
        for column, extension in enumerate(index.extensions):
            offset, length = index.offsets[row, column], index.lengths[row, column]
            assert data[offset : offset + length] == members[extension]
            assert index.crcs[row, column] == crc32c.crc32c(members[extension])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([("aa", {"txt": b""}), ("aa", {"txt": b""})], "'aa' is there twice"),
        ([("aa", {"json": b""})], "has the members"),
        ([("a.a", {"txt": b""})], "is no sample key"),
    ],
)
def test_impossible_samples_leave_nothing_behind(
    tmp_path: Path, samples: list[tuple[str, dict[str, bytes]]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_shard(tmp_path / "train-000000.tar", samples, ["txt"])
    assert list(tmp_path.iterdir()) == []


def test_lists_of_shards_never_mix_splits() -> None:
    names = ["val-000000.tar", "train-000001.tar", "train-000000.tar", "train-000000.idx", "README.md"]
    files = shards_files("oaks", [FileEntry(name, 2048, "00" * 32, 3) for name in names])
    assert {name: [shard["url"] for shard in json.loads(text)["shardlist"]] for name, text in files.items()} == {
        "shards.json": ["train-000000.tar", "train-000001.tar"],
        "shards-val.json": ["val-000000.tar"],
    }
    assert json.loads(files["shards.json"])["shardlist"][0] == {
        "url": "train-000000.tar",
        "nsamples": 3,
        "filesize": 2048,
    }


# webdataset leaves the tars it has read to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("mode", MODES)
def test_webdataset_reads_the_shards(tmp_path: Path, mode: str) -> None:
    spec = TripletSpec(size=4, steps=2, mode=mode)
    samples = []
    for number in range(3):
        clean = np.full(spec.shape, number, np.uint8)
        key = picture_key(clean)
        if mode == "virtual":
            samples.append(encode_virtual(spec, key, clean, caption="an oak", provenance=PROVENANCE))
            continue
        for step, draw in rungs(spec):
            samples.append(encode_triplet(spec, key, clean, step, draw, caption="an oak", provenance=PROVENANCE))
    write_shard(tmp_path / "train-000000.tar", samples, extensions(spec))
    stream = webdataset.WebDataset(str(tmp_path / "train-000000.tar"), shardshuffle=False)
    read = list(stream.decode())
    assert [sample["__key__"] for sample in read] == [key for key, _ in samples]
    for sample, (_, members) in zip(read, samples, strict=True):
        assert set(members) == {name for name in sample if not name.startswith("__")}
        for name in members:
            if name.endswith(".npy"):
                assert np.array_equal(sample[name], np.load(io.BytesIO(members[name])))
        assert (sample["txt"], sample["json"]) == ("an oak", json.loads(members["json"]))
