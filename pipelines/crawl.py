"""The crawl stage: rounds over a frontier, until nothing is due.

The frontier is stored nowhere. What is due is what links lead to and the ledger does not have; each round begins by
computing it from the segments on disk, so that a killed crawl carries on by itself. A host stays in one lane of a
round, so that one fetcher alone asks it.
"""

import asyncio
import functools
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq

from crawl.host import HostWork, Surroundings
from crawl.lane import visit_lane
from crawl.records import Earlier
from crawl.visit import Asked, unasked
from crawl.warc import StoredResponse, read_record
from pipelines.archives import ImportArchives, all_parts
from pipelines.attempts import begin_attempt, committed, end_attempts, finish_attempt
from pipelines.due_again import ARCHIVES, forget_passing_failures
from pipelines.engine import run_pipeline
from pipelines.errors import StageError
from pipelines.fetching import fetch_settings
from pipelines.frontier import SLOTS, Tables, Totals, host_works, split_tables
from pipelines.leases import LEASE_S, LeaseLostError, SlotLeases
from pipelines.nothing_fetched import what_happened
from pipelines.pauses import PausesFile
from pipelines.receipts import STAGING, WORK, Receipt, all_receipts, finish_part, remove_strays
from pipelines.seeds import SEEDS, find_seeds
from pipelines.segments import SegmentWriter, ledger_tables
from pipelines.sources import holds_records, open_archive
from pipelines.stages import Job, Outcome
from pipelines.tables import read_table
from pipelines.tombstones import FILE as TOMBSTONES

BATCH_ROWS = 5_000
"""Rows of tables that are sorted together in memory."""

ASKED = f"{WORK}/asked"
"""Stands in the folder of a crawl as soon as it may have asked anybody."""


def run(job: Job) -> Outcome:
    """Runs rounds until nothing is due; see the module.

    What failed in an earlier run, for a reason that may have passed, is due again.

    Raises:
        StageError: nothing at all could be fetched; the message says why for each seed.
    """
    end_attempts(job.folder)
    for name in job.recipe.crawl.sources:
        finish_part(job.folder, f"{SEEDS}-{name}", functools.partial(find_seeds, job, name))
    forget_passing_failures(job.folder)
    finish_part(job.folder, ARCHIVES, functools.partial(read_archives, job))
    number = _next_round(job)
    while True:
        run_pipeline(functools.partial(build_round, job=job, number=number), job.workers)
        end_attempts(job.folder)
        shutil.rmtree(job.folder / _runs(number), ignore_errors=True)
        totals = round_totals(job, number)
        if totals.is_last:
            break
        if not totals.asked:
            raise StageError(
                f"crawl: {totals.due} URLs are due and a whole round asked for none; raise crawl.round_time_s"
            )
        number += 1
    _check_something_kept(job)
    return Outcome(records_in=totals.found)


def read_archives(job: Job) -> Receipt:
    """Reads all records that the sources hold."""
    names = [name for name in job.recipe.crawl.sources if holds_records(name, job)]
    parts = [part for name in names for part in all_parts(name, open_archive(name, job))]
    if parts:

        def build(pipeline: beam.Pipeline) -> None:
            pipeline | "Parts" >> beam.Create(parts) | "ImportArchives" >> ImportArchives(job, open_archive)

        run_pipeline(build, job.workers)
    return Receipt()


def build_round(pipeline: beam.Pipeline, job: Job, number: int) -> None:
    """Adds the graph of one round to `pipeline`."""
    (
        pipeline
        | "Batches" >> beam.Create(list(enumerate(_batches(job))))
        | "SplitTables" >> beam.FlatMap(_split, job, number)
        # (lane, run)
        | "GroupByLane" >> beam.GroupByKey()
        # (lane, [run])
        | "Fetch" >> beam.Map(fetch_lane, job, number)
    )


def _split(batch: tuple[int, Tables], job: Job, number: int) -> list[tuple[int, str]]:
    folder = job.folder / _runs(number)
    folder.mkdir(parents=True, exist_ok=True)
    return split_tables(batch[1], folder, f"{batch[0]:06d}", job.workers, fetch_settings(job))


def fetch_lane(lane: tuple[int, Iterable[str]], job: Job, number: int) -> None:
    """Asks for what is due in one lane, segment by segment, and notes how much there was to do."""
    name = f"{number:03d}-{lane[0]:02d}"
    attempt, totals = begin_attempt(job.folder, name), Totals()
    before = list(committed(job.folder, name))
    runs = [job.folder / _runs(number) / run for run in (*sorted(lane[1]), *_settled(before, attempt, job, number))]
    works = host_works(runs, job.recipe.crawl.max_urls_per_host, totals)
    asked = asyncio.run(_visit(works, job, lane[0], attempt))
    for _ in works:  # hosts that the round had no time for are counted all the same
        continue
    settled = sum(receipt.fates.total for receipt in before)
    notes = {"found": totals.found, "due": totals.due + settled, "asked": asked + settled}
    finish_part(job.folder, f"round-{name}", lambda: Receipt(notes=notes))
    finish_attempt(job.folder, attempt)


def _settled(receipts: Iterable[Receipt], attempt: str, job: Job, number: int) -> Iterator[str]:
    """Sorts what attempts at a lane have settled that began before this one, and yields the names of the runs."""
    for batch, tables in enumerate(_small(job.folder, ledger_tables(receipts))):
        split = split_tables(
            Tables(str(job.folder), tables, is_earlier=False),
            job.folder / _runs(number),
            f"{attempt}-{batch:06d}",
            job.workers,
            fetch_settings(job),
        )
        yield from (run for _, run in split)


async def _visit(works: Iterator[HostWork], job: Job, lane: int, name: str) -> int:
    """Visits what is due, and what it links to on its hosts; returns how many URLs were settled."""
    config, settings, settled = job.recipe.crawl, fetch_settings(job), 0
    marker = job.folder / ASKED
    is_asked_before = marker.exists()
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    slots = [slot for slot in range(SLOTS) if slot % job.workers == lane]
    async with _leased(job.folder, slots) as leases:
        around = Surroundings(
            pauses=PausesFile(job.folder, name),
            is_forgotten=job.tombstones.cover,
            may_ask=lambda: leases.seconds_left() > settings.timeout_s,
            is_asked_before=is_asked_before,
            recall=functools.partial(_recall, job.folder),
        )
        limits = (config.records_per_segment, config.segment_time_s)
        with SegmentWriter(job.folder, name, *limits, leases.check) as segments:
            work = _without_forgotten(works, segments, job)
            async for visit in visit_lane(work, settings, around):
                segments.add(visit)
            settled = segments.num_added
    return settled


@asynccontextmanager
async def _leased(folder: Path, slots: Iterable[int]) -> AsyncIterator[SlotLeases]:
    """The leases of some slots, renewed for as long as the block takes."""

    async def renew() -> None:
        with suppress(LeaseLostError):  # whoever asks or commits next sees that it is lost
            while True:
                await asyncio.sleep(LEASE_S / 4)
                leases.renew()

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


def _recall(folder: Path, earlier: Earlier) -> StoredResponse:
    """What an earlier snapshot has of a URL."""
    return read_record(folder / earlier.warc_file, earlier.warc_offset)


def _batches(job: Job) -> Iterator[Tables]:
    """The tables of the crawl so far and of the snapshot before it, those together that are sorted together."""
    earlier = job.inputs.get("crawl")
    if earlier is not None:
        folder = job.input_folder("crawl")
        names = [file.path for file in earlier.files if file.path.startswith(("links-", "ledger-"))]
        yield from (Tables(str(folder), batch, is_earlier=True) for batch in _small(folder, names))
    names = _tables(job, "links-") + _tables(job, "ledger-")
    yield from (Tables(str(job.folder), batch, is_earlier=False) for batch in _small(job.folder, names))


def _small(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The names of tables, as many together as have `BATCH_ROWS` rows, or one that has more."""
    batch: list[str] = []
    num_rows = 0
    for name in names:
        rows = pq.read_metadata(folder / name).num_rows
        if batch and num_rows + rows > BATCH_ROWS:
            yield tuple(batch)
            batch, num_rows = [], 0
        batch.append(name)
        num_rows += rows
    if batch:
        yield tuple(batch)


def _runs(number: int) -> str:
    """Where the sorted runs of a round stand, relative to the crawl's folder."""
    return f"{STAGING}/round-{number:03d}"


def _tables(job: Job, prefix: str) -> list[str]:
    """The tables of finished segments whose name begins with `prefix`."""
    files = (file.path for _, receipt in all_receipts(job.folder) for file in receipt.files)
    return sorted(path for path in files if path.startswith(prefix))


def _next_round(job: Job) -> int:
    """A number that no segment or round on disk has, so that nothing is ever written over."""
    heads = (name.removeprefix("round-").partition("-")[0] for name, _ in all_receipts(job.folder))
    return 1 + max((int(head) for head in heads if head.isdigit()), default=0)


@dataclass
class RoundTotals:
    """URLs that all lanes of a round found, had to do and settled, and links that came out of it."""

    found: int = 0
    due: int = 0
    asked: int = 0
    links: int = 0

    @property
    def is_last(self) -> bool:
        """Whether nothing can be due after it: nothing was, or all of it was settled and led nowhere."""
        return not self.due or (self.due == self.asked and not self.links)


def round_totals(job: Job, number: int) -> RoundTotals:
    """Adds up what the lanes of a round say."""
    totals = RoundTotals()
    for name, receipt in all_receipts(job.folder):
        if name.startswith(f"round-{number:03d}-"):
            totals.found += receipt.notes["found"]
            totals.due += receipt.notes["due"]
            totals.asked += receipt.notes["asked"]
        elif name.startswith(f"{number:03d}-"):
            totals.links += sum(file.records for file in receipt.files if file.path.startswith("links-"))
    return totals


def _check_something_kept(job: Job) -> None:
    """Gives up, and forgets what was tried, where not one page or picture could be had.

    Raises:
        StageError: with what happened to each seed.
    """
    seeds: list[dict[str, Any]] = []
    for table in _tables(job, "ledger-"):
        for row in read_table(f"{job.folder}/{table}").to_pylist():
            if row["fate"] == "kept":
                return
            if row["depth"] == 0:
                seeds.append(row)
    remove_strays(job.folder, set())
    raise StageError(f"crawl: nothing could be fetched; {what_happened(seeds)}")
