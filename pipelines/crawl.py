"""The crawl stage: rounds over a frontier, until nothing is due.

The frontier is stored nowhere. What is due is what links lead to and the ledger does not have; each round begins by
computing it from the segments on disk, so that a killed crawl carries on by itself. A host stays in one lane of a
round, so that one fetcher alone asks it.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from pipelines.archives import ImportArchives, all_parts
from pipelines.attempts import end_attempts
from pipelines.due_again import ARCHIVES, forget_passing_failures
from pipelines.engine import run_pipeline
from pipelines.errors import StageError
from pipelines.fetching import fetch_settings
from pipelines.frontier import Tables, split_tables
from pipelines.lanes import fetch_lane, runs_of
from pipelines.nothing_fetched import what_happened
from pipelines.receipts import Receipt, all_receipts, finish_part, remove_strays
from pipelines.seeds import SEEDS, find_seeds
from pipelines.sources import holds_records, open_archive
from pipelines.stages import Job, Outcome
from pipelines.tables import in_batches, read_table
from shards.object_path import remove_tree


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
        run_pipeline(functools.partial(build_round, job=job, number=number), job.workers, job.runner)
        end_attempts(job.folder)
        remove_tree(job.folder / runs_of(number))
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

        run_pipeline(build, job.workers, job.runner)
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
        | "SpreadLanes" >> beam.Reshuffle()  # two lanes by chance on one worker would wait for each other
        | "Fetch" >> beam.Map(fetch_lane, job, number)
    )


def _split(batch: tuple[int, Tables], job: Job, number: int) -> list[tuple[int, str]]:
    folder = job.folder / runs_of(number)
    folder.mkdir(parents=True, exist_ok=True)
    return split_tables(batch[1], folder, f"{batch[0]:06d}", job.workers, fetch_settings(job))


def _batches(job: Job) -> Iterator[Tables]:
    """The tables of the crawl so far and of the snapshot before it, those together that are sorted together."""
    earlier = job.inputs.get("crawl")
    if earlier is not None:
        folder = job.input_folder("crawl")
        names = [file.path for file in earlier.files if file.path.startswith(("links-", "ledger-"))]
        yield from (Tables(str(folder), batch, is_earlier=True) for batch in in_batches(folder, names))
    names = _tables(job, "links-") + _tables(job, "ledger-")
    yield from (Tables(str(job.folder), batch, is_earlier=False) for batch in in_batches(job.folder, names))


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
