"""What is written into a store is whole or not there; of all who create one object, one succeeds."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipelines.copies import open_file, open_piecewise
from pipelines.open_files import OpenFiles
from shards import asking, growing_object, object_path, ranges
from shards.asking import StoreError
from shards.manifest import Counts, Manifest, ManifestError, atomic_open, atomic_write, read_manifest, write_manifest
from shards.object_path import ObjectPath, files_below, remove_tree


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "RETRY_DELAYS_S", (0.01, 0.01))


def manifest(number: int) -> Manifest:
    return Manifest("text", "0" * 12, {"number": number}, (), Counts(0, 0), {}, ())


def test_a_path_reads_as_those_of_this_machine_do():
    path = ObjectPath("s3://bucket/OUT") / "crawl" / "train-000003.tar"
    assert (path.name, path.stem, path.suffix) == ("train-000003.tar", "train-000003", ".tar")
    assert str(path.with_suffix(".idx")) == "s3://bucket/OUT/crawl/train-000003.idx"
    assert path.parent / "../current" == ObjectPath("s3://bucket/OUT/current")


def test_an_object_comes_and_goes(s3_folder: ObjectPath):
    path = s3_folder / "deep" / "a.txt"
    assert not path.exists()
    path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        path.read_bytes()
    with pytest.raises(FileNotFoundError):
        open_file(path)
    path.write_text("élm")
    (s3_folder / "b.txt").write_bytes(b"")
    assert (path.exists(), path.read_text(), path.read_range(2, 9)) == (True, "élm", "élm".encode()[2:])
    assert files_below(s3_folder) == {"b.txt": 0, "deep/a.txt": 4}
    assert list(s3_folder.glob("*.txt")) == [s3_folder / "b.txt"]
    assert s3_folder.folders() == [s3_folder / "deep"]
    assert (s3_folder / "nowhere").folders() == []
    assert not (s3_folder / "deep").exists(), "a folder is no object"
    remove_tree(s3_folder)
    assert files_below(s3_folder) == {}


def test_many_objects_are_read_and_removed_together(s3_folder: ObjectPath):
    names = [f"{number}.json" for number in range(30)]
    for name in names:
        (s3_folder / name).write_text(name)
    assert s3_folder.read_each([*names, "gone.json"]) == {name: name.encode() for name in names}
    assert s3_folder.read_each(names[:1]) == {"0.json": b"0.json"}
    assert s3_folder.read_each([]) == s3_folder.read_each(["gone.json"]) == {}
    s3_folder.remove_each(names[1:])
    assert list(files_below(s3_folder)) == ["0.json"]


@pytest.mark.parametrize("one_put_bytes", [2**20, 1000], ids=["in one request", "as a file"])
def test_a_file_is_put_when_it_is_whole(s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch, one_put_bytes: int):
    monkeypatch.setattr(object_path, "ONE_PUT_BYTES", one_put_bytes)
    monkeypatch.setattr(ranges, "RANGE_BYTES", 1500)
    path, content = s3_folder / "a", os.urandom(5000)
    with atomic_open(path) as file:
        file.write(content)
        file.seek(10)
        assert file.read(5) == content[10:15]
        assert not path.exists()
    with open_file(path) as file:
        assert file.read() == content
    with pytest.raises(TypeError), atomic_open(path) as file:
        file.writelines([b"half", 7])  # type: ignore[list-item]
    assert path.read_bytes() == content
    with pytest.raises(FileExistsError):
        atomic_write(path, content + b"more", is_new=True)
    assert path.read_bytes() == content


@pytest.mark.parametrize("num_bytes", [6, 10, 17])
def test_a_large_file_is_sent_while_it_is_written(
    s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch, num_bytes: int
):
    monkeypatch.setattr(growing_object, "PART_BYTES", 5 * 2**20)
    path, content = s3_folder / "a.tar", os.urandom(num_bytes * 2**20)
    whole_puts: list[ObjectPath] = []
    monkeypatch.setattr(ObjectPath, "_put", lambda path, *_: whole_puts.append(path))
    with atomic_open(path) as file:
        for start in range(0, len(content), 700_001):
            file.write(content[start : start + 700_001])
        assert not path.exists()
    assert path.read_bytes() == content
    assert not whole_puts
    assert files_below(s3_folder) == {"a.tar": len(content)}


def test_an_object_whose_parts_are_lost_is_put_whole(s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(growing_object, "PART_BYTES", 5 * 2**20)
    path, content = s3_folder / "a.tar", os.urandom(11 * 2**20)
    with path.created() as file:
        file.write(content)
        assert isinstance(file, growing_object.GrowingObject)
        file._send("abort_multipart_upload", UploadId=file._upload.result() if file._upload else "")
    assert path.read_bytes() == content


def test_of_a_large_file_that_fails_nothing_is_left(s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(growing_object, "PART_BYTES", 5 * 2**20)
    path = s3_folder / "a.tar"
    with pytest.raises(TypeError), atomic_open(path) as file:
        file.writelines([bytes(11 * 2**20), 7])  # type: ignore[list-item]
    assert files_below(s3_folder) == {}
    files, name = object_path._open(str(path))
    bucket, key, _ = files.split_path(name)
    assert not files.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key).get("Uploads")


def test_of_all_who_create_an_object_one_succeeds(s3_folder: ObjectPath):
    def create(path: ObjectPath, number: int) -> int | None:
        try:
            path.write_bytes(b"%d" % number, is_new=True)
        except FileExistsError:
            return None
        return number

    for attempt in range(3):
        path = s3_folder / f"{attempt}"
        with ThreadPoolExecutor(16) as pool:
            won = [each for each in pool.map(create, [path] * 16, range(16)) if each is not None]
        assert won == [int(path.read_bytes())]


def test_what_was_replaced_meanwhile_is_not_replaced(s3_folder: ObjectPath):
    path = s3_folder / "current"
    path.replace_seen(b"one", None)
    seen = path.look()
    with pytest.raises(FileExistsError):
        path.replace_seen(b"two", None)
    path.replace_seen(b"two", seen)
    with pytest.raises(FileExistsError):
        path.replace_seen(b"three", seen)
    assert path.read_bytes() == b"two"


class _Unreliable:
    """A file system whose answers to what is put get lost, or all that is asked."""

    def __init__(self, files: Any, lost: int) -> None:
        self.files, self.lost = files, lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self.files, name)

    def pipe_file(self, *arguments: Any, **how: Any) -> None:
        self.files.pipe_file(*arguments, **how)
        self.lost -= 1
        if self.lost >= 0:
            raise OSError("the connection is gone")


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many answers to each put are lost."""
    lost, opened = [0], object_path._open
    files: dict[str, Any] = {}

    def unreliable(url: str) -> tuple[Any, str]:
        if url not in files:
            files[url] = _Unreliable(opened(url)[0], lost[0])
        return files[url], opened(url)[1]

    monkeypatch.setattr(object_path, "_open", unreliable)
    return lost


def test_whoever_did_not_hear_that_he_created_an_object_finds_out(s3_folder: ObjectPath, losing: list[int]):
    losing[0] = 1
    (s3_folder / "a").write_bytes(b"ours", is_new=True)
    assert (s3_folder / "a").read_bytes() == b"ours"
    with pytest.raises(FileExistsError):
        (s3_folder / "a").write_bytes(b"ours", is_new=True)


def test_a_store_that_gives_no_answer_is_told_of_in_one_line(s3_folder: ObjectPath, losing: list[int]):
    losing[0] = 9
    with pytest.raises(StoreError, match=r"s3://.*/a: the store gives no answer \(OSError: the connection is gone\)"):
        (s3_folder / "a").write_bytes(b"ours")


def test_two_builds_that_commit_at_once_leave_one_manifest(s3_folder: ObjectPath):
    def commit(number: int) -> str:
        try:
            write_manifest(s3_folder, manifest(number))
        except ManifestError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(commit, range(2)))
    (second,) = filter(None, told)
    assert second == f"another build has committed {s3_folder} meanwhile; run again, and what it made is taken as it is"
    assert read_manifest(s3_folder) == manifest(told.index(""))


def test_a_copy_is_that_of_what_is_there_now(s3_folder: ObjectPath):
    path = s3_folder / "a"
    path.write_bytes(b"before")
    with OpenFiles() as files:
        assert files.read(path, 2, 3) == b"for"
    path.write_bytes(b"after that")
    with open_file(path, is_final=True) as file:
        assert file.read() == b"before", "whoever says that nobody writes there any more is believed"
    with open_file(path) as file:
        path.write_bytes(b"later still")
        assert file.read() == b"after that"


def test_pieces_are_asked_for_one_by_one_where_there_is_no_room_for_a_copy(
    s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
):
    path = s3_folder / "a"
    path.write_bytes(b"0123456789")
    monkeypatch.setattr("pipelines.copies.ROOM_SHARE", 10**15)
    assert open_piecewise(path) is None
    with OpenFiles() as files:
        assert [files.read(path, offset, 4) for offset in (0, 3, 8)] == [b"0123", b"3456", b"89"]
