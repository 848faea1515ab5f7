"""A store that is busy, loses requests and answers, or is away for a while costs time, and not a byte."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pytest

from crawl.demo.server import DemoServer
from shards import asking
from shards.asking import StoreError
from shards.object_path import ObjectPath
from tests.arboretum import arguments
from tests.builds import manifest_bytes, manifest_of, seedbed, start_seedbed, table_rows, wait_for
from tests.faulty_store import BUSY, UNANSWERED, UNASKED, Faults, faulty_store
from tests.object_store import ObjectStore
from tests.test_build import copy_of

AWAY_S = 10.0
FACTS = ("url", "fate", "reason", "status", "sha256", "robots_rule", "depth")


@pytest.fixture
def faults(s3: ObjectStore, s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """The store, as everybody reaches it while the test runs."""
    with faulty_store(s3.endpoint) as found, fresh_connections():
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.endpoint)
        yield found


@contextmanager
def fresh_connections() -> Iterator[None]:
    """Let fsspec forget what it has open to other endpoints, or with other keys."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    try:
        yield
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_stage_over_a_store_that_fails_often_writes_the_same_bytes(
    built: Path, server: DemoServer, s3_folder: ObjectPath, faults: Faults
) -> None:
    copy_of(built, s3_folder, ("crawl",))
    faults.share = 0.03
    done = seedbed(*arguments(server, "text", s3_folder))
    faults.share = 0.0
    assert done.returncode == 0, done.stderr
    assert faults.seen.keys() == {BUSY, UNASKED, UNANSWERED}
    assert manifest_bytes(s3_folder, ("text",)) == manifest_bytes(built, ("text",))


def test_of_many_who_create_an_object_over_a_bad_line_one_succeeds(s3_folder: ObjectPath, faults: Faults) -> None:
    faults.share = 0.1
    for number in range(10):
        told: list[int] = []

        def create(who: int, path: ObjectPath, told: list[int]) -> None:
            try:
                path.write_bytes(b"%d" % who, is_new=True)
            except FileExistsError:
                return
            told.append(who)

        path = s3_folder / str(number)
        threads = [threading.Thread(target=create, args=(who, path, told)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert path.read_bytes() == b"%d" % told[0]
        assert len(told) == 1


def test_whoever_heard_no_answer_knows_what_he_put(s3_folder: ObjectPath, faults: Faults) -> None:
    """The store's library tries again by itself, and is refused by what it has put already."""
    faults.lost = 1
    (s3_folder / "new").write_bytes(b"", is_new=True)
    seen = (s3_folder / "new").look()
    faults.lost = 1
    (s3_folder / "new").replace_seen(b"two", seen)
    assert faults.seen[UNANSWERED] == 2
    with pytest.raises(FileExistsError):
        (s3_folder / "new").write_bytes(b"two", is_new=True)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["silent", "gone"])
def test_a_crawl_goes_on_where_the_store_is_away_for_ten_seconds(
    built: Path, server: DemoServer, s3: ObjectStore, s3_folder: ObjectPath, faults: Faults, how: str
) -> None:
    slowly = ("crawl.delay_s=0.05", "crawl.records_per_segment=10")
    process = start_seedbed(*arguments(server, "crawl", s3_folder, *slowly))
    wait_for(lambda: any("/receipts/" in name for name in s3_folder.listing()), "the first segments", 120)
    assert process.poll() is None
    if how == "silent":
        with s3.stopped():
            time.sleep(AWAY_S)
    else:
        faults.is_gone = True
        time.sleep(AWAY_S)
        faults.is_gone = False
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    settled = [
        {tuple(row[fact] for fact in FACTS) for row in table_rows(out, "crawl", "ledger-")}
        for out in (built, s3_folder)
    ]
    assert settled[0] == settled[1]
    assert manifest_of(s3_folder, "crawl").counts == manifest_of(built, "crawl").counts


@pytest.mark.slow
def test_a_store_that_stays_away_ends_a_stage_in_one_line(
    built: Path, server: DemoServer, s3_folder: ObjectPath, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "RETRY_DELAYS_S", (0.01,))
    faults.is_gone = True
    done = seedbed(*arguments(server, "text", s3_folder))
    assert done.returncode == 1
    assert "the store gives no answer" in done.stderr
    assert (done.stderr.count("\n"), "Traceback" in done.stderr) == (1, False)


@pytest.mark.slow
def test_an_object_of_many_parts_is_put_whole_or_not_at_all(s3_folder: ObjectPath, faults: Faults) -> None:
    """Beyond 100 MB the store's library puts parts; the answer to their completion may be lost, too."""
    path, size = s3_folder / "large", 130 * 10**6
    faults.share = 0.05
    for is_new in (False, True):
        with path.created(is_new=is_new) as file:
            file.truncate(size)
            file.seek(size - 3)
            file.write(b"end")
        assert path.read_range(size - 5, 9) == b"\0\0end"
        if not is_new:
            path.unlink()
    with pytest.raises(FileExistsError), path.created(is_new=True) as file:
        file.truncate(size)


def test_a_bucket_that_is_not_there_is_told_of_in_one_line(server: DemoServer, s3_folder: ObjectPath) -> None:
    done = seedbed(*arguments(server, "text", ObjectPath("s3://no-such-bucket/OUT")))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "no-such-bucket" in done.stderr


def test_keys_that_are_refused_are_told_of(s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with fresh_connections(), pytest.raises(StoreError, match="the environment have its keys and endpoint"):
        (s3_folder / "a").read_bytes()
