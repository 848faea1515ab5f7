"""A store that is busy, loses requests and answers, or is away for a while costs time, and not a byte."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import fsspec
import pytest

from crawl.demo.server import DemoServer
from shards import asking, growing_object
from shards.asking import RefusalError, StoreError
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


def test_an_object_of_many_parts_is_put_whole_or_not_at_all(
    s3_folder: ObjectPath, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parts, and the answer to their completion, may be lost, too."""
    monkeypatch.setattr(growing_object, "PART_BYTES", 5 * 2**20)
    path, content = s3_folder / "large", os.urandom(22 * 2**20)
    faults.share = 0.05
    for _ in range(3):
        with path.created() as file:
            file.write(content[: 7 * 2**20])
            file.write(content[7 * 2**20 :])
        assert path.read_bytes() == content
        path.unlink()
    for is_there in (False, True):
        with pytest.raises(FileExistsError) if is_there else nullcontext(), path.created(is_new=True) as file:
            file.write(content)
    assert path.read_bytes() == content


def test_a_bucket_that_is_not_there_is_told_of_in_one_line(
    server: DemoServer, s3_folder: ObjectPath, faults: Faults
) -> None:
    faults.refusals = {(method, "Host"): (404, "NoSuchBucket") for method in ("GET", "HEAD", "PUT")}
    done = seedbed(*arguments(server, "text", s3_folder))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "the store has no such bucket" in done.stderr
    with pytest.raises(RefusalError):
        (s3_folder / "a").exists()
    faults.refusals = {(method, "Host"): (403, "AccessDenied") for method in ("GET", "HEAD", "PUT")}
    with pytest.raises(RefusalError, match="have its keys and endpoint"):
        (s3_folder / "a").exists()


def test_a_store_that_knows_no_conditions_is_told_of_and_never_taken_for_another_build(
    s3_folder: ObjectPath, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "RETRY_DELAYS_S", (0.01,))
    faults.refusals = {("PUT", "If-None-Match"): (400, "InvalidArgument")}
    with pytest.raises(StoreError, match="told by the test"):
        (s3_folder / "a").write_bytes(b"mine", is_new=True)
    faults.refusals = {("PUT", "If-None-Match"): (412, "PreconditionFailed")}
    with pytest.raises(FileExistsError, match="another's already"):
        (s3_folder / "a").write_bytes(b"mine", is_new=True)


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("s3://", "give s3://BUCKET/PATH"),
        ("s3:/bucket/OUT", "give s3://BUCKET/PATH"),
        ("s3://a bucket/OUT", "give s3:"),
    ],
)
def test_what_is_no_place_in_a_store_is_told_of(server: DemoServer, out: str, told: str) -> None:
    done = seedbed("crawl", "demo", "--out", out)
    assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_an_endpoint_that_is_none_is_told_of(s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with fresh_connections(), pytest.raises(StoreError, match="see AWS_ENDPOINT_URL"):
        (s3_folder / "a").read_bytes()


def test_keys_that_are_refused_are_told_of(s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with fresh_connections(), pytest.raises(StoreError, match="the environment have its keys and endpoint"):
        (s3_folder / "a").read_bytes()
