"""Index and manifest make a round trip, and say clearly what is wrong."""

import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.committed import open_committed
from shards.index import Index, IndexFileError, decode_index, encode_index
from shards.manifest import (
    Counts,
    FileEntry,
    InputEntry,
    Manifest,
    ManifestError,
    atomic_open,
    atomic_write,
    decode_manifest,
    encode_manifest,
    read_manifest,
    write_current,
    write_manifest,
)
from shards.store import LocalStore

ROWS = st.lists(
    st.tuples(
        st.text("0123456789abcdef-", min_size=1, max_size=40),
        st.tuples(*[st.integers(0, 2**62)] * 2),
        st.tuples(*[st.integers(0, 2**33)] * 2),
        st.tuples(*[st.integers(0, 2**32 - 1)] * 2),
    ),
    max_size=20,
)


@given(ROWS)
def test_index_makes_a_round_trip(rows: list[tuple[Any, ...]]) -> None:
    keys, offsets, lengths, crcs = ([row[column] for row in rows] for column in range(4))
    index = Index.of(["clean.npy", "json"], keys, offsets, lengths, crcs)
    read = decode_index(encode_index(index))
    assert read.extensions == ("clean.npy", "json")
    assert [key.decode() for key in read.keys.tolist()] == keys
    for name in ("offsets", "lengths", "crcs"):
        written = getattr(index, name)
        assert np.array_equal(getattr(read, name), written)
        assert getattr(read, name).dtype == written.dtype


def test_same_index_has_the_same_bytes() -> None:
    index = Index.of(["txt"], ["a", "b"], [[512], [1536]], [[3], [0]], [[7], [0]])
    assert encode_index(index) == encode_index(index)


@pytest.mark.parametrize("data", [b"", b"ARROW1\0\0", b"nonsense" * 100])
def test_what_is_no_index_is_refused(data: bytes) -> None:
    with pytest.raises(IndexFileError, match="not an index"):
        decode_index(data)


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_of_an_index_never_lead_out_of_it(flips: list[tuple[float, int]]) -> None:
    index = Index.of(["txt"], ["a" * 32, "b" * 32], [[512], [1536]], [[3], [0]], [[7], [0]])
    data = bytearray(encode_index(index))
    for place, bit in flips:
        data[int(place * len(data))] ^= 1 << bit
    try:
        decode_index(bytes(data))
    except IndexFileError:
        return


def test_a_key_outside_the_index_is_refused() -> None:
    index = Index.of(["txt"], ["a" * 32, "b" * 32], [[512], [1536]], [[3], [0]], [[7], [0]])
    ends = struct.pack("<3i", 0, 32, 64)
    data = encode_index(index)
    assert data.count(ends) == 1
    with pytest.raises(IndexFileError, match="offset"):
        decode_index(data.replace(ends, struct.pack("<3i", 0, 32, 2**30)))


def manifest() -> Manifest:
    return Manifest(
        stage="triplets",
        fingerprint="0123456789ab",
        configuration={"spec": {"kind": "triplets", "size": 32}},
        inputs=(InputEntry("images", "ba9876543210", "00" * 32),),
        counts=Counts(records_in=5, kept=3, rejected={"forgotten": 1}, failed={"unreadable": 1}),
        splits={"train": 3},
        files=(FileEntry("train-000000.tar", 10240, "11" * 32, 3),),
    )


def test_manifest_makes_a_round_trip_in_canonical_json(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    data = (tmp_path / "manifest.json").read_bytes()
    assert data == encode_manifest(manifest())
    assert data == (json.dumps(json.loads(data), sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
    assert read_manifest(tmp_path) == decode_manifest(data) == manifest()
    assert open_committed(LocalStore(tmp_path)).sha256 == hashlib.sha256(data).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_inputs_without_a_fate_are_never_committed(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="does not hold"):
        write_manifest(tmp_path, replace(manifest(), counts=Counts(records_in=2, kept=1)))
    assert list(tmp_path.iterdir()) == []


def test_current_names_the_folder_in_force(tmp_path: Path) -> None:
    committed = tmp_path / "0123456789ab"
    committed.mkdir()
    write_manifest(committed, manifest())
    write_current(tmp_path, "0123456789ab")
    for folder in (tmp_path, committed):
        found = open_committed(LocalStore(folder))
        assert (found.store.where, found.manifest) == (str(committed), manifest())


def test_uncommitted_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="nothing was committed there"):
        open_committed(LocalStore(tmp_path))
    with pytest.raises(ManifestError, match="absent is not a folder"):
        open_committed(LocalStore(tmp_path / "absent"))
    for name in (b"\0", b"\xff", b"0" * 5000):
        atomic_write(tmp_path / "current", name)
        with pytest.raises(ManifestError, match="cannot be read"):
            open_committed(LocalStore(tmp_path))
    write_current(tmp_path, "0123456789ab")
    with pytest.raises(ManifestError, match=r"0123456789ab/manifest\.json is missing"):
        open_committed(LocalStore(tmp_path))
    with pytest.raises(ManifestError, match=r"manifest\.json is missing"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a manifest"),
        ("{}", "not a manifest"),
        ("[]", "not a manifest"),
        ('{"format_version": 99}', "reads 1"),
    ],
)
def test_unreadable_manifests_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match=f"manifest.json: .*{message}"):
        read_manifest(tmp_path)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic_write(path, b"old")
    with pytest.raises(TypeError), atomic_open(path) as file:
        file.write("not bytes")  # type: ignore[call-overload]
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
