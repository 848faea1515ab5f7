"""Parts that go into a store: one is made while another is put, and neither is believed before it stands."""

import functools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import apache_beam as beam
import pytest

from crawl.demo.server import DemoServer
from pipelines.behind import PARTS_IN_STORE, FinishParts, Turn
from pipelines.build import make_job
from pipelines.cleaning import finish_clean_part
from pipelines.copies import open_file
from pipelines.engine import run_pipeline
from pipelines.explain import explain
from pipelines.found_pictures import Found
from pipelines.images import clean_picture
from pipelines.load_recipe import load_recipe
from pipelines.receipts import read_receipt, receipt_names
from pipelines.tombstones import Tombstones
from shards import asking
from shards.object_path import AnyPath, ObjectPath
from tests.arboretum import overrides
from tests.bench.cleaning import found_by_table
from tests.builds import manifest_of
from tests.small_shards import build_shards, contents, some_samples
from tests.test_build import copy_of

STORE, DISK = ObjectPath("s3://nobody-is-asked/there"), Path("/nothing-is-written/there")
PATIENCE_S = 20.0

_log: list[tuple[str, int]] = []
"""What happened, in the order in which it did; workers here are threads of this process."""

LAST = 7

_begins = [threading.Event() for _ in range(LAST + 1)]
"""Set when a part is being made."""


@pytest.fixture(autouse=True)
def nothing_happened() -> None:
    _log.clear()
    for begins in _begins:
        begins.clear()


def make(part: int, turn: Turn) -> list[int]:
    """Makes and puts a part, and returns it."""
    with turn:
        _log.append(("makes", part))
        _log.append(("made", part))
    _log.append(("put", part))
    return [part]


def make_two(part: int, turn: Turn) -> list[int]:
    """As `make`, but a part stands only when the next is being made."""
    assert part == 0 or _begins[part - 1].wait(PATIENCE_S)
    with turn:
        _log.append(("makes", part))
        _begins[part].set()
        time.sleep(0.01)
        _log.append(("made", part))
    assert part == LAST or _begins[part + 1].wait(PATIENCE_S)
    _log.append(("put", part))
    return [part]


def finish_all(finish: Any, folder: AnyPath, parts: int) -> list[int]:
    """Finishes parts 0, 1, … of one bundle; returns what came of them, in order."""

    def build(pipeline: beam.Pipeline) -> None:
        some = pipeline | beam.Create(range(parts), reshuffle=False)
        some | beam.ParDo(FinishParts(finish, folder)) | beam.Map(_note_came)

    run_pipeline(build, workers=1)
    return [part for what, part in _log if what == "came"]


def _note_came(part: int) -> None:
    _log.append(("came", part))


def test_in_a_store_a_part_is_made_while_the_one_before_is_put() -> None:
    assert finish_all(make_two, STORE, LAST + 1) == list(range(LAST + 1))
    for part in range(1, LAST + 1):
        assert _log.index(("made", part - 1)) < _log.index(("makes", part)) < _log.index(("put", part - 1))


def test_no_more_parts_are_under_way_than_one_made_and_one_put() -> None:
    finish_all(make_two, STORE, LAST + 1)
    num_made = num_under_way = most_made = most_under_way = 0
    for what, _ in _log:
        num_made += {"makes": 1, "made": -1}.get(what, 0)
        num_under_way += {"makes": 1, "put": -1}.get(what, 0)
        most_made, most_under_way = max(most_made, num_made), max(most_under_way, num_under_way)
    assert (most_made, most_under_way) == (1, PARTS_IN_STORE) == (1, 2)


def test_on_disk_each_part_is_finished_before_the_next() -> None:
    assert finish_all(make, DISK, 3) == [0, 1, 2]
    steps = ("makes", "made", "put", "came")
    assert _log == [(what, part) for part in range(3) for what in steps]


def fail_at_two(part: int, turn: Turn, begun_by_then: int) -> list[int]:
    """As `make`, but part 2 fails, when another has been begun."""
    with turn:
        _begins[part].set()
        _log.append(("makes", part))
    if part == 2:
        assert _begins[begun_by_then].wait(PATIENCE_S)
        raise asking.StoreError("part 2: the store gives no answer")
    _log.append(("put", part))
    return [part]


@pytest.mark.parametrize(("folder", "last"), [(STORE, 3), (DISK, 2)], ids=["store", "disk"])
def test_a_part_that_fails_ends_the_bundle_and_those_begun_are_finished_first(folder: AnyPath, last: int) -> None:
    with pytest.raises(Exception, match="part 2") as error:
        finish_all(functools.partial(fail_at_two, begun_by_then=last), folder, LAST)
    assert explain(error.value, "images", folder) == "images: part 2: the store gives no answer"
    assert _parts_that("makes") == list(range(last + 1)), "nothing is begun after it"
    assert _parts_that("put") == [part for part in range(last + 1) if part != 2]


def _parts_that(step: str) -> list[int]:
    return sorted(part for what, part in _log if what == step)


def test_a_put_that_fails_behind_is_one_clear_error_and_leaves_no_receipt(
    s3_folder: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "RETRY_DELAYS_S", (0.01,))
    build = functools.partial(build_shards, samples=some_samples(200))
    run_pipeline(functools.partial(build, folder=tmp_path), workers=1)
    put, lost = ObjectPath._put, f"{s3_folder}/train-000003.txt"

    def losing(path: ObjectPath, *how: Any) -> None:
        if str(path) == lost:
            path._ask(_refuse)
        put(path, *how)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectPath, "_put", losing)
        with pytest.raises(Exception, match="train-000003") as error:
            run_pipeline(functools.partial(build, folder=s3_folder), workers=1)
    told = explain(error.value, "triplets", s3_folder)
    assert told.startswith(f"triplets: {lost}: the store gives no answer (OSError: the line is dead)")
    assert "\n" not in told
    finished = receipt_names(s3_folder)
    assert "train-000003" not in finished
    assert all(read_receipt(s3_folder, name) for name in finished), "what has a receipt stands"
    run_pipeline(functools.partial(build, folder=s3_folder), workers=1)
    assert contents(s3_folder) == contents(tmp_path)


def _refuse(*_: object) -> None:
    raise OSError("the line is dead")


def test_a_receipt_is_put_when_all_that_it_lists_stands(s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    write, seen = ObjectPath.write_bytes, []

    def checking(path: ObjectPath, data: bytes, **how: Any) -> None:
        if path.parent.name == "receipts":
            seen.append(path.stem)
            assert ObjectPath(f"{s3_folder}/{path.stem}.txt").exists()
        else:
            time.sleep(0.05)
        write(path, data, **how)

    monkeypatch.setattr(ObjectPath, "write_bytes", checking)
    run_pipeline(functools.partial(build_shards, samples=some_samples(200), folder=s3_folder), workers=1)
    assert sorted(seen) == sorted(name.removesuffix(".txt") for name in contents(s3_folder))


def test_what_is_cleaned_next_is_fetched_before_its_turn(
    built: Path, server: DemoServer, s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_of(built, s3_folder, ("crawl",))
    job = make_job(
        "images",
        load_recipe("demo", overrides(server)),
        s3_folder,
        {"crawl": manifest_of(s3_folder, "crawl")},
        Tombstones(),
        1,
    )
    table, joined = next(iter(found_by_table(job).items()))
    found = [each for each in joined if isinstance(each, Found)]
    fetch, fetched, is_turn = ObjectPath.fetch, [], False

    def watched(path: ObjectPath, file: BinaryIO, num_bytes: int) -> None:
        fetched.append((path.name, is_turn))
        fetch(path, file, num_bytes)

    @contextmanager
    def turn() -> Iterator[None]:
        nonlocal is_turn
        is_turn = True
        yield
        is_turn = False

    monkeypatch.setattr(ObjectPath, "fetch", watched)
    assert list(finish_clean_part((table, found), job, clean_picture, turn()))
    assert (table.replace("ledger-", "crawl-").replace(".parquet", ".warc.gz"), False) in fetched
    assert not [name for name, in_turn in fetched if in_turn and name.endswith(".warc.gz")]


def test_two_objects_are_fetched_at_once_and_one_of_them_once(
    s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [s3_folder / "a", s3_folder / "b"]
    for path in paths:
        path.write_text(path.name)
    fetch, together, fetched = ObjectPath.fetch, threading.Barrier(2), []

    def meeting(path: ObjectPath, file: BinaryIO, num_bytes: int) -> None:
        together.wait(PATIENCE_S)
        fetched.append(path)
        fetch(path, file, num_bytes)

    def read(path: ObjectPath) -> str:
        with open_file(path, is_final=True) as file:
            return file.read().decode()

    monkeypatch.setattr(ObjectPath, "fetch", meeting)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, [*paths, *paths])) == ["a", "b", "a", "b"]
    assert sorted(fetched) == paths
