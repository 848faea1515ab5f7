"""What a committed crawl holds, read by reference: ledger rows, link rows and payloads."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crawl.warc import StoredResponse, read_record
from pipelines.copies import open_file
from pipelines.stages import Job
from pipelines.tables import read_table, rows_at
from shards.object_path import AnyPath, ObjectPath

FROM_LEDGER = ("url", "sha256", "warc_file", "warc_offset", "fetched_at", "robots_rule", "opt_out")
"""What every clean record carries over from its ledger row, so that it can say where it came from (law 5)."""


class RowRef(NamedTuple):
    """One row of a table of the crawl."""

    table: str
    row: int


class Fetched(NamedTuple):
    """A kept ledger row, as far as it crosses a shuffle."""

    url: str
    sha256: str
    ref: RowRef

    @property
    def rows(self) -> tuple[RowRef, ...]:
        """What must be read to clean it."""
        return (self.ref,)


def crawl_tables(job: Job, prefix: str) -> list[str]:
    """The crawl's tables whose name begins with `prefix` (`ledger-` or `links-`), relative to its folder."""
    return [file.path for file in job.inputs["crawl"].files if file.path.startswith(prefix)]


def read_fetched(table: str, job: Job, kind: str) -> Iterator[Fetched]:
    """The kept rows of one kind (`page` or `image`) in a ledger table."""
    columns = read_table(f"{job.input_folder('crawl')}/{table}", ("url", "kind", "fate", "sha256"))
    rows = zip(*(columns[name].to_pylist() for name in columns.column_names), strict=True)
    for row, (url, row_kind, fate, sha256) in enumerate(rows):
        if row_kind == kind and fate == "kept":
            yield Fetched(url, sha256, RowRef(table, row))


def stored_record(crawl: AnyPath, warc_file: str, offset: int) -> StoredResponse:
    """The answer that stands at an offset of a finished WARC file of a crawl; errors as `crawl.warc.read_record`."""
    path = crawl / warc_file
    if isinstance(path, Path):
        return read_record(path, offset)
    with open_file(path, is_final=True) as file:
        return read_record(file, offset, str(path))


def fetch_ahead(job: Job, ref: RowRef) -> None:
    """Has the WARC file of a ledger row fetched, where it lies in a store: whoever reads it then need not wait."""
    crawl = job.input_folder("crawl")
    if isinstance(crawl, ObjectPath):
        warc_file = rows_at(crawl, [ref])[ref]["warc_file"]
        open_file(crawl / warc_file, is_final=True).close()


def count_fetched(job: Job, kind: str) -> int:
    """How many kept rows of one kind the crawl's ledger holds."""
    total = 0
    for table in crawl_tables(job, "ledger-"):
        columns = read_table(f"{job.input_folder('crawl')}/{table}", ("kind", "fate"))
        rows = zip(*(column.to_pylist() for column in columns.columns), strict=True)
        total += sum(row == (kind, "kept") for row in rows)  # pyarrow.compute would load pandas
    return total
