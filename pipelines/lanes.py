"""One lane of a round: what is due on its hosts is sorted, asked for and stored, segment by segment.

A host stays in one lane of a round, and the lane holds the leases of its slots, so that one fetcher alone asks it.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import asynccontextmanager

from crawl.host import HostWork, Surroundings
from crawl.lane import visit_lane
from crawl.records import Earlier
from crawl.visit import Asked, unasked
from crawl.warc import StoredResponse
from pipelines.attempts import begin_attempt, committed, finish_attempt
from pipelines.fetching import fetch_settings
from pipelines.frontier import SLOTS, Tables, Totals, host_works, slot_of, split_tables
from pipelines.leases import LEASE_S, SlotLeases
from pipelines.ledger import stored_record
from pipelines.pauses import PausesFile
from pipelines.receipts import STAGING, WORK, Receipt, finish_part
from pipelines.segments import SegmentWriter, ledger_tables
from pipelines.stages import Job
from pipelines.tables import in_batches
from pipelines.tombstones import FILE as TOMBSTONES
from shards.object_path import AnyPath

MAX_MOVED = 1_000
"""Hosts of a lane whose robots.txt has moved to a host of another one, and that are visited in one round…"""

MAX_MOVED_URLS = 10_000
"""…as long as there are no more than so many URLs on them."""

ASKED = f"{WORK}/asked"
"""Stands in the folder of a crawl as soon as it may have asked anybody."""


def runs_of(number: int) -> str:
    """Where the sorted runs of a round stand, relative to the crawl's folder."""
    return f"{STAGING}/round-{number:03d}"


def fetch_lane(lane: tuple[int, Iterable[str]], job: Job, number: int) -> None:
    """Asks for what is due in one lane, segment by segment, and notes how much there was to do."""
    name = f"{number:03d}-{lane[0]:02d}"
    attempt, totals = begin_attempt(job.folder, name), Totals()
    before = list(committed(job.folder, name))
    runs = [job.folder / runs_of(number) / run for run in (*sorted(lane[1]), *_settled(before, attempt, job, number))]
    works = host_works(runs, job.recipe.crawl.max_urls_per_host, totals)
    asked = _fetch(works, job, lane[0], attempt)
    for _ in works:  # hosts that the round had no time for are counted all the same
        continue
    settled = sum(receipt.fates.total for receipt in before)
    notes = {"found": totals.found, "due": totals.due + settled, "asked": asked + settled}
    finish_part(job.folder, f"round-{name}", lambda: Receipt(notes=notes))
    finish_attempt(job.folder, attempt)


def _settled(receipts: Iterable[Receipt], attempt: str, job: Job, number: int) -> Iterator[str]:
    """Sorts what attempts at a lane have settled that began before this one, and yields the names of the runs."""
    for batch, tables in enumerate(in_batches(job.folder, ledger_tables(receipts))):
        split = split_tables(
            Tables(str(job.folder), tables, is_earlier=False),
            job.folder / runs_of(number),
            f"{attempt}-{batch:06d}",
            job.workers,
            fetch_settings(job),
        )
        yield from (run for _, run in split)


def _fetch(works: Iterator[HostWork], job: Job, lane: int, name: str) -> int:
    """Visits what is due, and what it links to on its hosts; returns how many URLs were settled.

    A host whose robots.txt has moved to one of another lane comes last: with the leases of all slots, so that nobody
    asks any host meanwhile. More of them than can be kept in memory stay due.
    """
    slots = [slot for slot in range(SLOTS) if slot % job.workers == lane]
    moved: list[HostWork] = []
    segments = asyncio.run(_visit(works, job, slots, name, moved))
    if not moved:
        return segments.num_added
    others = _visit(iter(moved), job, range(SLOTS), name, [], segments.num_committed)
    return segments.num_added + asyncio.run(others).num_added


async def _visit(
    works: Iterator[HostWork], job: Job, slots: Collection[int], name: str, moved: list[HostWork], num_before: int = 0
) -> SegmentWriter:
    """Visits hosts with the leases of some slots; those whose robots.txt has moved to another slot are put off."""
    config, settings = job.recipe.crawl, fetch_settings(job)
    async with _leased(job.folder, slots) as leases:
        marker = job.folder / ASKED
        is_asked_before = marker.exists()
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        around = Surroundings(
            pauses=PausesFile(job.folder, slots),
            is_forgotten=job.tombstones.cover,
            may_ask=lambda: leases.seconds_left() > settings.timeout_s,
            is_asked_before=is_asked_before,
            recall=functools.partial(_recall, job.folder),
            is_ours=lambda host: slot_of(host) in slots,
            put_off=functools.partial(_keep, moved),
        )
        limits = (config.records_per_segment, config.segment_time_s)
        with SegmentWriter(job.folder, name, *limits, leases.check, num_before) as segments:
            work = _without_forgotten(works, segments, job)
            async for visit in visit_lane(work, settings, around):
                segments.add(visit)
        return segments


def _keep(moved: list[HostWork], work: HostWork) -> None:
    """Keeps what is to do on a host for later, if there is room; else it stays due."""
    num_urls = sum(len(each.targets) + len(each.known) for each in moved)
    if len(moved) < MAX_MOVED and num_urls < MAX_MOVED_URLS:
        moved.append(work)


@asynccontextmanager
async def _leased(folder: AnyPath, slots: Iterable[int]) -> AsyncIterator[SlotLeases]:
    """The leases of some slots, renewed for as long as the block takes."""

    async def renew() -> None:
        while leases.renew_if_answered():  # else whoever asks or commits next sees that it is lost
            await asyncio.sleep(LEASE_S / 4)

    with SlotLeases(folder, slots) as leases:
        renewing = asyncio.create_task(renew())
        try:
            yield leases
        finally:
            renewing.cancel()


def _without_forgotten(works: Iterator[HostWork], segments: SegmentWriter, job: Job) -> Iterator[HostWork]:
    """The works without what was forgotten, which is settled at once."""
    for work in works:
        for target in work.targets:
            if job.tombstones.cover(target.url):
                segments.add(unasked(target, "rejected", "forgotten", TOMBSTONES, Asked()))
        yield work


def _recall(folder: AnyPath, earlier: Earlier) -> StoredResponse:
    """What an earlier snapshot has of a URL."""
    return stored_record(folder, earlier.warc_file, earlier.warc_offset)
