"""What is due in a round of a crawl, found on disk: an external merge sort of all links and all ledger rows by host.

Each batch of tables becomes one sorted run for each lane; a lane merges its runs and takes up one host after another.
Memory holds a batch of tables, or a piece of each run and one host's rows, however many URLs there are (law 1: what
crosses a shuffle is the names of the runs).
"""

import hashlib
import heapq
import itertools
import json
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from crawl.host import HostWork
from crawl.records import Earlier, LinkRow, Target, target_of
from crawl.retry import is_retryable
from crawl.settings import FetchSettings, HostSpent, is_wanted
from crawl.urls import host_of
from pipelines.copies import open_file
from pipelines.tables import read_rows, read_table
from shards.manifest import atomic_open
from shards.object_path import AnyPath

SLOTS = 64
"""Slots that hosts are put in by their hash; a host never leaves its slot, however many lanes share the slots."""

MAX_RUNS = 32
"""Runs merged at a time; more are merged into fewer first."""

_PIECE_ROWS = 64
"""Rows of a run that are read at a time."""

_ANSWERED, _EARLIER, _LINK, _EARLIER_LINK = range(4)
"""What a row of a run says of its URL, in the order in which rows of one URL stand."""


_Item = TypeVar("_Item")


class Entry(NamedTuple):
    """A row of a run; runs are sorted by it.

    Attributes:
        order: by which hosts are taken up: a hash, so that hosts of one site do not stand together.
        host: of the URL.
        url: what the row is about.
        what: answered in this snapshot, answered in the one before, or linked to in either.
        rank: of links, how good they are: depth, pictures first, those with a caption first, page they stand on.
        data: JSON of the link, of what the earlier snapshot has, or of kind and whether a request was made.
    """

    order: int
    host: str
    url: str
    what: int
    rank: str
    data: str


_RUN_SCHEMA: pa.Schema = pa.schema(
    [
        ("order", pa.uint64()),
        ("host", pa.string()),
        ("url", pa.string()),
        ("what", pa.int8()),
        ("rank", pa.string()),
        ("data", pa.string()),
    ]
)


class Tables(NamedTuple):
    """Tables of a crawl that are sorted together: a folder and names of tables in it.

    Attributes:
        is_earlier: whether they are those of the snapshot before.
    """

    folder: str
    names: tuple[str, ...]
    is_earlier: bool


@dataclass
class Totals:
    """What a lane found: URLs met in all, and those of them that are due."""

    found: int = 0
    due: int = 0


def split_tables(
    tables: Tables, folder: AnyPath, name: str, lanes: int, settings: FetchSettings
) -> list[tuple[int, str]]:
    """Sorts what tables say into a run for each lane, and returns lanes and the runs' names.

    Args:
        tables: of links and ledger rows.
        folder: where the runs are written.
        name: begins the runs' names.
        lanes: how many there are.
        settings: say which links are wanted.
    """
    entries: list[list[Entry]] = [[] for _ in range(lanes)]
    for table in tables.names:
        path = f"{tables.folder}/{table}"
        if table.startswith("links-"):
            found = _link_entries(path, settings, _EARLIER_LINK if tables.is_earlier else _LINK)
        else:
            found = _earlier_entries(path, tables.folder) if tables.is_earlier else _answered_entries(path)
        for entry in found:
            entries[entry.order % SLOTS % lanes].append(entry)
    runs = []
    for lane, rows in enumerate(entries):
        if rows:
            runs.append((lane, f"{name}-{lane:02d}.arrow"))
            write_run(folder / runs[-1][1], _best_of_each(sorted(rows)))
    return runs


def host_works(runs: Sequence[AnyPath], max_targets: int, totals: Totals) -> Iterator[HostWork]:
    """Yields what there is to do on each host, one after the other.

    Args:
        runs: the sorted runs of a lane.
        max_targets: URLs of a host that can be asked in this round; more of those due are not loaded.
        totals: counts what is met.
    """
    for _, rows in itertools.groupby(_merged(runs), key=attrgetter("order", "host")):
        host = _Host()
        for url, entries in itertools.groupby(rows, key=attrgetter("url")):
            host.add(url, list(entries))
        totals.found += len(host.known) + len(host.due)
        totals.due += len(host.due)
        if host.due:
            yield host.work(max_targets)


def write_run(path: AnyPath, entries: Iterable[Entry]) -> None:
    """Writes a sorted run, under a temporary name until it is whole."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with atomic_open(path) as file, pa.ipc.new_file(file, _RUN_SCHEMA, options=options) as writer:
        for rows in batched(entries, _PIECE_ROWS):
            columns = zip(zip(*rows, strict=True), _RUN_SCHEMA.types, strict=True)
            writer.write_batch(
                pa.record_batch([pa.array(column, kind) for column, kind in columns], schema=_RUN_SCHEMA)
            )


def read_run(path: AnyPath) -> Iterator[Entry]:
    """Yields a run's entries, a piece in memory at a time."""
    with open_file(path) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            yield from map(Entry, *(column.to_pylist() for column in batch.columns))


@dataclass
class _Host:
    """One host's rows as they come."""

    known: set[str] = field(default_factory=set)
    due: list[tuple[str, str, str, bool]] = field(default_factory=list)
    earlier: dict[str, Earlier] = field(default_factory=dict)
    spent: Counter[str] = field(default_factory=Counter)
    name: str = ""

    def add(self, url: str, entries: list[Entry]) -> None:
        """Takes in all that is said of one URL."""
        self.name = entries[0].host
        if entries[0].what == _ANSWERED:
            assert len(entries) == 1 or entries[1].what != _ANSWERED, f"{url} has two ledger rows"
            kind, is_asked = json.loads(entries[0].data)
            self.known.add(url)
            self.spent[kind] += is_asked
            return
        is_due_again = False
        for entry in entries:
            if entry.what == _EARLIER:
                is_due_again, earlier = json.loads(entry.data)
                if earlier is not None:
                    self.earlier[url] = Earlier(*earlier)
            elif entry.what == _LINK or is_due_again:
                self.due.append((entry.rank, url, entry.data, entry.what == _EARLIER_LINK))
                return

    def work(self, max_targets: int) -> HostWork:
        """What is to do, the best links first."""
        chosen = heapq.nsmallest(max_targets, self.due)
        targets = [_target(data) for _, _, data, _ in chosen]
        carried = frozenset(url for _, url, _, is_carried in chosen if is_carried)
        spent = HostSpent(pages=self.spent["page"], pictures=self.spent["image"])
        return HostWork(self.name, targets, self.known, spent, self.earlier, carried)


def _target(data: str) -> Target:
    return target_of(LinkRow(**json.loads(data)))


def _link_entries(path: str, settings: FetchSettings, what: int) -> Iterator[Entry]:
    wanted: dict[tuple[str, str, int, str, str], bool] = {}
    for row in read_rows(path):
        identity = (row["to_url"], row["kind"], row["depth"], row["source"], row["opt_out"])
        if identity not in wanted:
            url, kind, depth, source, opt_out = identity
            link = LinkRow("", url, kind, depth=depth, source=source, opt_out=opt_out)
            wanted[identity] = is_wanted(link, settings)
        if wanted[identity]:
            host = host_of(row["to_url"])
            rank = f"{row['depth']:06d}{row['kind']}{0 if row['caption'] else 1}{row['from_url']}"
            yield Entry(_order_of(host), host, row["to_url"], what, rank, json.dumps(row, ensure_ascii=False))


def _answered_entries(path: str) -> Iterator[Entry]:
    columns = read_table(path, ("url", "host", "kind", "attempts"))
    for url, host, kind, attempts in zip(*(column.to_pylist() for column in columns.columns), strict=True):
        yield Entry(_order_of(host), host, url, _ANSWERED, "", json.dumps([kind, attempts > 0]))


def _earlier_entries(path: str, folder: str) -> Iterator[Entry]:
    for row in read_rows(path):
        is_due_again = row["fate"] == "kept" or row["reason"] == "budget" or is_retryable(row["reason"])
        known = _earlier_of(row, folder) if row["fate"] == "kept" else None
        data = json.dumps([is_due_again, None if known is None else list(asdict(known).values())])
        yield Entry(_order_of(row["host"]), row["host"], row["url"], _EARLIER, "", data)


def _earlier_of(row: dict[str, Any], folder: str) -> Earlier:
    """What an earlier snapshot's ledger row says, as the next snapshot needs it."""
    is_elsewhere = "/" in row["warc_file"]
    return Earlier(
        row["etag"],
        row["last_modified"],
        row["sha256"],
        row["warc_file"] if is_elsewhere else f"../{posixpath.basename(folder)}/{row['warc_file']}",
        row["warc_offset"],
        row["unchanged_since"] or row["fetched_at"],
    )


def _best_of_each(rows: Iterable[Entry]) -> Iterator[Entry]:
    """Of the links to one URL that stand in one run, the best: others cannot be chosen any more."""
    before: tuple[int, str, str, int] | None = None
    for row in rows:
        # Two ledger rows for one URL would be a mistake, which must be seen.
        if row[:4] != before or row.what == _ANSWERED:
            yield row
        before = row[:4]


def _merged(runs: Sequence[AnyPath]) -> Iterator[Entry]:
    """The entries of all runs in order."""
    waiting = list(runs)
    while len(waiting) > MAX_RUNS:
        some, waiting = waiting[:MAX_RUNS], waiting[MAX_RUNS:]
        together = some[0].with_name(f"{some[0].stem}+{len(waiting)}.arrow")
        write_run(together, _best_of_each(heapq.merge(*map(read_run, some))))
        waiting.append(together)
    return heapq.merge(*map(read_run, waiting))


def batched(items: Iterable[_Item], count: int) -> Iterator[list[_Item]]:
    """Yields the items in lists of `count`, the last one shorter."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, count)):
        yield batch


def slot_of(host: str) -> int:
    """The slot that a host is in, with and without "www.": robots.txt of the one often has moved to the other."""
    return _order_of(host) % SLOTS


@lru_cache(maxsize=10_000)
def _order_of(host: str) -> int:
    return int.from_bytes(hashlib.sha256(host.removeprefix("www.").encode()).digest()[:8], "big")
