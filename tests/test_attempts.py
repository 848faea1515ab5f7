"""Work begun twice is committed once: whoever was cut off, and wakes at the worst of moments, commits nothing more."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from crawl.host import Surroundings
from crawl.records import Target, Visit
from crawl.visit import Asked, unasked
from pipelines import crawl, lanes
from pipelines.attempts import begin_attempt, committed, end_attempts, finish_attempt, segment_name
from pipelines.fates import Fates
from pipelines.leases import LeaseLostError
from pipelines.receipts import Receipt, all_receipts, create_receipt, finish_part, receipt_names
from pipelines.seeds import SEEDS, find_seeds
from pipelines.segments import SegmentWriter, ledger_tables
from pipelines.stages import Job
from pipelines.tables import read_table
from shards.object_path import AnyPath
from tests.builds import list_job
from tests.simulated_web import Host, SimulatedWeb

LANE = "001-00"
NUM_HOSTS, NUM_PICTURES = 3, 10


def _visits(*names: str) -> list[Visit]:
    targets = [Target(f"http://a.example/{name}", "image", 0, "", "") for name in names]
    return [unasked(target, "rejected", "budget", "", Asked()) for target in targets]


def _settled(folder: AnyPath) -> list[str]:
    """The URLs in the ledger."""
    tables = ledger_tables(receipt for _, receipt in all_receipts(folder))
    return [url for table in tables for url in read_table(f"{folder}/{table}", ("url",))["url"].to_pylist()]


def test_whoever_wakes_between_looking_at_the_lease_and_committing_commits_nothing(tmp_path: Path):
    another: list[str] = []

    def check() -> None:
        """The lease is ours still; then we are away for a while, and another begins."""
        another.append(begin_attempt(tmp_path, LANE))

    ours = SegmentWriter(tmp_path, begin_attempt(tmp_path, LANE), 2, 60, check)
    one, two = _visits("1", "2")
    ours.add(one)
    with pytest.raises(LeaseLostError, match="another has begun"):
        ours.add(two)
    with SegmentWriter(tmp_path, another[0], 2, 60) as theirs:
        for visit in _visits("2", "1"):
            theirs.add(visit)
    assert sorted(_settled(tmp_path)) == ["http://a.example/1", "http://a.example/2"]


def test_segments_committed_behind_stand_in_order_or_it_is_said_why_not(tmp_path: Path):
    attempt = begin_attempt(tmp_path, LANE)
    with SegmentWriter(tmp_path, attempt, 2, 60, is_behind=True) as segments:
        for visit in _visits("1", "2", "3"):
            segments.add(visit)
    assert _settled(tmp_path) == [f"http://a.example/{number}" for number in (1, 2, 3)]
    assert begin_attempt(tmp_path, LANE) == f"{LANE}.1"
    lost = SegmentWriter(tmp_path, attempt, 1, 60, num_before=2, is_behind=True)
    with pytest.raises(LeaseLostError, match="another has begun"), lost:
        lost.add(*_visits("4"))
    assert len(_settled(tmp_path)) == 3


@pytest.mark.parametrize("num_before", range(12))
def test_what_was_committed_when_an_attempt_begins_does_not_change(tmp_path: Path, num_before: int):
    """One commits as fast as it can, another begins at some moment: what it finds is all there will ever be."""
    attempt, has_begun = begin_attempt(tmp_path, LANE), threading.Event()

    def commit_on() -> int:
        number = 0
        while create_receipt(tmp_path, segment_name(attempt, number), Receipt(fates=Fates(kept=1))):
            number += 1
            if number >= num_before:
                has_begun.set()
        return number

    with ThreadPoolExecutor() as pool:
        first = pool.submit(commit_on)
        has_begun.wait(10)
        assert begin_attempt(tmp_path, LANE) == f"{LANE}.1"
        found = sum(receipt.fates.kept for receipt in committed(tmp_path, LANE))
        assert first.result(10) == found >= num_before


def test_of_many_that_begin_at_once_each_is_another_attempt_and_one_can_commit(tmp_path: Path):
    together = threading.Barrier(8)

    def begin(_: int) -> str:
        together.wait()
        return begin_attempt(tmp_path, LANE)

    with ThreadPoolExecutor(8) as pool:
        attempts = list(pool.map(begin, range(8)))
    assert len(set(attempts)) == 8
    able = [each for each in attempts if create_receipt(tmp_path, segment_name(each, 0), Receipt())]
    assert able == [f"{LANE}.7"]


def test_work_that_is_finished_leaves_nothing_to_end(tmp_path: Path):
    attempt = begin_attempt(tmp_path, LANE)
    assert create_receipt(tmp_path, segment_name(attempt, 0), Receipt())
    finish_attempt(tmp_path, attempt)
    end_attempts(tmp_path)
    assert receipt_names(tmp_path) == [f"{LANE}-00000"]
    begin_attempt(tmp_path, "002-00")
    end_attempts(tmp_path)
    assert receipt_names(tmp_path) == [f"{LANE}-00000", "002-00-00000"]
    assert begin_attempt(tmp_path, "002-00") == "002-00.1"


def test_a_lane_that_is_begun_again_asks_for_nothing_that_was_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    web = SimulatedWeb({f"h{host}.example": Host(f"{host}", response_s=0) for host in range(NUM_HOSTS)})
    monkeypatch.setattr(lanes, "Surroundings", partial(Surroundings, fetcher=web))
    urls = [f"http://h{host}.example/{number}.png" for host in range(NUM_HOSTS) for number in range(NUM_PICTURES)]
    job = list_job(tmp_path, urls)
    finish_part(job.folder, f"{SEEDS}-list", partial(find_seeds, job, "list"))
    ((lane, run),) = [found for batch in enumerate(crawl._batches(job)) for found in crawl._split(batch, job, 1)]
    few = job.recipe.crawl.model_copy(update={"max_urls_per_host": 4})
    first = Job(**{**vars(job), "recipe": job.recipe.model_copy(update={"crawl": few})})
    lanes.fetch_lane((lane, [run]), first, 1)
    assert crawl.round_totals(job, 1) == crawl.RoundTotals(found=30, due=30, asked=12)
    lanes.fetch_lane((lane, [run]), job, 1)
    asked = Counter((request.host, request.path) for request in web.log if request.path != "/robots.txt")
    assert len(asked) == asked.total() == NUM_HOSTS * NUM_PICTURES
    settled = _settled(job.folder)
    assert len(settled) == len(set(settled)) == NUM_HOSTS * NUM_PICTURES
