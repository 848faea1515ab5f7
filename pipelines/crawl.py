"""The crawl stage: rounds over a frontier, until nothing is due.

The frontier is stored nowhere. What is due is what links lead to and the ledger does not have; each round begins by
computing it from the segments on disk, so that a killed crawl carries on by itself. A host stays in one lane of a
round, so that one fetcher alone asks it.
"""

import asyncio
import functools
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import apache_beam as beam

from crawl.http import FetchError, request_json
from crawl.lane import visit_lane
from crawl.opt_outs import OptOuts
from crawl.records import LINK_SCHEMA, LinkRow, Target, target_of
from crawl.settings import FetchSettings, HostSpent, is_wanted
from crawl.urls import canonical_url, host_of
from crawl.visit import Asked, unasked
from crawl.wikimedia import WikimediaSettings, discover
from pipelines.engine import run_pipeline
from pipelines.errors import StageError
from pipelines.nothing_fetched import what_happened
from pipelines.receipts import Receipt, all_receipts, finish_part, remove_strays
from pipelines.recipe import CrawlConfig
from pipelines.segments import SegmentWriter
from pipelines.stages import Job, Outcome
from pipelines.tables import read_row, read_table, write_table
from pipelines.tombstones import FILE as TOMBSTONES

SEEDS = "seeds"
SLOTS = 64
"""Slots that hosts are put in by their hash; a host never leaves its slot, however many lanes share the slots."""


class Due(NamedTuple):
    """A URL that a link leads to, and that link."""

    rank: tuple[int, str, bool, str]
    """Depth, kind (`image` before `page`), no caption, page it stands on: the smallest is the best link."""
    table: str
    row: int


class Answered(NamedTuple):
    """A URL that has its ledger row: never asked for again in this snapshot."""

    host: str
    kind: str
    attempts: int


class Entry(NamedTuple):
    """One URL of a lane: due if there is a link to follow, else already asked."""

    url: str
    due: Due | None
    answered: Answered | None


def run(job: Job) -> Outcome:
    """Runs rounds until nothing is due; see the module.

    Raises:
        StageError: nothing at all could be fetched; the message says why for each seed.
    """
    finish_part(job.folder, SEEDS, lambda: find_seeds(job))
    number = _next_round(job)
    while True:
        run_pipeline(functools.partial(build_round, job=job, number=number), job.workers)
        found, due, asked = _round_totals(job, number)
        if not due:
            break
        if not asked:
            raise StageError(f"crawl: {due} URLs are due and a whole round asked for none; raise crawl.round_time_s")
        number += 1
    _check_something_kept(job)
    return Outcome(records_in=found)


def find_seeds(job: Job) -> Receipt:
    """Writes where the crawl begins, as links found nowhere: the recipe's seeds, or what an API lists."""
    config = job.recipe.crawl
    links = [_seed_link(seed) for seed in config.seeds] if config.wikimedia is None else _ask_wikimedia(job)
    rows = [asdict(link) for link in links]
    return Receipt((write_table(job.folder, f"links-{SEEDS}.parquet", rows, LINK_SCHEMA),))


def _ask_wikimedia(job: Job) -> list[LinkRow]:
    """The pictures and articles that the API of Wikimedia Commons lists.

    Raises:
        StageError: the API could not be had, or knows nothing of the categories.
    """
    assert job.recipe.crawl.wikimedia is not None
    wanted = WikimediaSettings(**job.recipe.crawl.wikimedia.model_dump())
    try:
        links = list(discover(wanted, functools.partial(request_json, settings=fetch_settings(job))))
    except FetchError as error:
        raise StageError(f"crawl: {wanted.api}: {error}; see that it can be reached, and run again") from error
    if not links:
        categories = ", ".join(wanted.categories)
        raise StageError(f"crawl: {wanted.api} lists no picture under {categories}; check crawl.wikimedia.categories")
    return links


def build_round(pipeline: beam.Pipeline, job: Job, number: int) -> None:
    """Adds the graph of one round to `pipeline`."""
    links = (
        pipeline | "Links" >> beam.Create(_tables(job, "links-")) | "ReadLinks" >> beam.FlatMap(read_links, job)
        # (url, Due)
    )
    answered = (
        pipeline | "Ledgers" >> beam.Create(_tables(job, "ledger-")) | "ReadLedgers" >> beam.FlatMap(read_answered, job)
        # (url, Answered)
    )
    (
        {"links": links, "answered": answered}
        | "JoinByUrl" >> beam.CoGroupByKey()
        | "Compare" >> beam.MapTuple(compare)
        # Entry
        | "KeyByLane" >> beam.Map(lambda entry: (lane_of(entry.url, job.workers), entry))
        | "GroupByLane" >> beam.GroupByKey()
        # (lane, [Entry])
        | "Fetch" >> beam.Map(fetch_lane, job, number)
    )


def read_links(table: str, job: Job) -> Iterator[tuple[str, Due]]:
    """The links of one table that the recipe wants followed, by the URL they lead to."""
    settings = fetch_settings(job)
    for row, values in enumerate(read_table(f"{job.folder}/{table}").to_pylist()):
        link = LinkRow(**values)
        if is_wanted(link, settings):
            yield link.to_url, Due((link.depth, link.kind, not link.caption, link.from_url), table, row)


def read_answered(table: str, job: Job) -> Iterator[tuple[str, Answered]]:
    """The URLs of one ledger table."""
    columns = read_table(f"{job.folder}/{table}", ("url", "host", "kind", "attempts"))
    for url, *answered in zip(*(columns[name].to_pylist() for name in columns.column_names), strict=True):
        yield url, Answered(*answered)


def compare(url: str, known: dict[str, Iterable[Any]]) -> Entry:
    """What one URL means to this round."""
    answered = list(known["answered"])
    assert len(answered) <= 1, f"{url} has {len(answered)} ledger rows"
    return Entry(url, None, answered[0]) if answered else Entry(url, min(known["links"]), None)


def lane_of(url: str, lanes: int) -> int:
    """The lane in which a URL's host is asked."""
    digest = hashlib.sha256(host_of(url).encode()).digest()
    return int.from_bytes(digest[:8], "big") % SLOTS % lanes


def fetch_lane(lane: tuple[int, Iterable[Entry]], job: Job, number: int) -> None:
    """Asks for what is due in one lane, segment by segment, and notes how much there was to do."""
    known: set[str] = set()
    spent: dict[str, Counter[str]] = {}
    due: list[Due] = []
    for entry in lane[1]:
        if entry.due is not None:
            due.append(entry.due)
        elif entry.answered is not None:
            known.add(entry.url)
            spent.setdefault(entry.answered.host, Counter())[entry.answered.kind] += entry.answered.attempts > 0
    targets = _targets(due, job)
    name = f"{number:03d}-{lane[0]:02d}"
    asked = asyncio.run(_visit(targets, known, spent, job, name)) if targets else 0
    notes = {"found": len(known) + len(due), "due": len(due), "asked": asked}
    finish_part(job.folder, f"round-{name}", lambda: Receipt(notes=notes))


async def _visit(targets: list[Target], known: set[str], spent: dict[str, Counter[str]], job: Job, name: str) -> int:
    """Visits the targets and what they link to on their hosts; returns how many URLs were settled."""
    config, settled = job.recipe.crawl, 0
    budgets = {host: HostSpent(pages=counts["page"], pictures=counts["image"]) for host, counts in spent.items()}
    forgotten = job.tombstones.cover

    def is_known(url: str) -> bool:
        return url in known or forgotten(url)

    with SegmentWriter(job.folder, name, config.records_per_segment, config.segment_time_s) as segments:
        for target in filter(lambda target: forgotten(target.url), targets):
            segments.add(unasked(target, "rejected", "forgotten", TOMBSTONES, Asked()))
            settled += 1
        async for visit in visit_lane(targets, is_known, fetch_settings(job), budgets):
            segments.add(visit)
            settled += 1
    return settled


def fetch_settings(job: Job) -> FetchSettings:
    """How the recipe wants things fetched."""
    config = job.recipe.crawl
    return FetchSettings(
        contact=job.recipe.contact,
        scope_hosts=_scope_hosts(config),
        path_prefix=config.path_prefix,
        follow_links=config.source == "site",
        picture_hosts=None if config.picture_hosts is None else tuple(config.picture_hosts),
        max_depth=config.max_depth,
        max_pages_per_host=config.max_pages_per_host,
        max_pictures_per_host=config.max_pictures_per_host,
        max_urls_per_host=config.max_urls_per_host,
        round_time_s=config.round_time_s,
        num_hosts=config.num_hosts,
        delay_s=config.delay_s,
        max_delay_s=config.max_delay_s,
        max_attempts=config.max_attempts,
        max_redirects=config.max_redirects,
        timeout_s=config.timeout_s,
        max_page_bytes=config.max_page_bytes,
        max_picture_bytes=config.max_picture_bytes,
        picture_width=config.picture_width,
        opt_outs=OptOuts.of(config.opt_outs),
        site_opt_outs=config.site_opt_outs,
        allow_hosts=tuple(config.allow_hosts),
        connect_to=config.connect_to,
    )


def _scope_hosts(config: CrawlConfig) -> tuple[str, ...]:
    """The hosts whose pages are asked for: those named, else those the crawl begins at."""
    if config.wikimedia is not None:
        return config.wikimedia.wikis
    return tuple(config.hosts or sorted({host_of(_seed_link(seed).to_url) for seed in config.seeds}))


def _seed_link(seed: str) -> LinkRow:
    url = canonical_url(seed)
    assert url is not None, "the recipe was checked"
    return LinkRow(from_url="", to_url=url, kind="page")


def _targets(due: Iterable[Due], job: Job) -> list[Target]:
    """What is due, the best links first; the links are read table by table."""
    found = []
    for item in sorted(due, key=lambda item: (item.table, item.row)):
        link = LinkRow(**read_row(f"{job.folder}/{item.table}", item.row))
        found.append((item.rank, link.to_url, target_of(link)))
    return [target for _, _, target in sorted(found, key=lambda entry: entry[:2])]


def _tables(job: Job, prefix: str) -> list[str]:
    """The tables of finished segments whose name begins with `prefix`."""
    files = (file.path for _, receipt in all_receipts(job.folder) for file in receipt.files)
    return sorted(path for path in files if path.startswith(prefix))


def _next_round(job: Job) -> int:
    """A number that no segment or round on disk has, so that nothing is ever written over."""
    heads = (name.removeprefix("round-").partition("-")[0] for name, _ in all_receipts(job.folder))
    return 1 + max((int(head) for head in heads if head.isdigit()), default=0)


def _round_totals(job: Job, number: int) -> tuple[int, int, int]:
    """URLs found, due and asked for, over all lanes of a round."""
    totals: Counter[str] = Counter()
    for name, receipt in all_receipts(job.folder):
        if name.startswith(f"round-{number:03d}-"):
            totals.update(receipt.notes)
    return totals["found"], totals["due"], totals["asked"]


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
