"""The tar bytes are USTAR, known beforehand and read by others."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards import tar

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
