"""Segments of a crawl: a WARC file, its ledger rows and its link rows, committed together."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from io import BufferedReader
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from crawl.records import LEDGER_SCHEMA, LINK_SCHEMA, Visit, ledger_columns, link_columns
from crawl.warc import write_info, write_revisit, write_visit
from pipelines.attempts import segment_name
from pipelines.errors import StageError
from pipelines.fates import Fates
from pipelines.leases import LeaseLostError
from pipelines.receipts import Receipt, create_receipt, note_open
from pipelines.tables import write_table
from shards.manifest import FileEntry, atomic_open
from shards.object_path import AnyPath

NOTE_EVERY_S = 1.0
"""How often it is noted how far an open segment has got."""


class SegmentWriter:
    """Stores visits as they come, a segment at a time; what was not committed is fetched again after a crash.

    Args:
        folder: the crawl's folder.
        name: of an attempt, see `pipelines.attempts`; it begins the names of all segments written here.
        max_records: a segment is committed when it holds this many visits…
        max_seconds: …or when it has been open this long, and at the end.
        check: raises an error where a segment must not be committed.
        num_before: segments of this name that stand already.
        is_behind: whether a segment is committed by a thread while the next is being made.

    Raises:
        LeaseLostError: another attempt has begun; what is not committed is another's to fetch.

    Attributes:
        num_added: visits stored so far.
        num_committed: segments of this name that stand.
    """

    def __init__(
        self,
        folder: AnyPath,
        name: str,
        max_records: int,
        max_seconds: float,
        check: Callable[[], None] = lambda: None,
        num_before: int = 0,
        *,
        is_behind: bool = False,
    ) -> None:
        self._folder, self._name, self._check = folder, name, check
        self.num_added, self.num_committed = 0, num_before
        self._max_records, self._max_seconds = max_records, max_seconds
        self._noted = 0.0
        self._behind = ThreadPoolExecutor(1) if is_behind else None
        self._committing: Future[None] | None = None
        self._segment = self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits what there is; after an error it goes, to be fetched again.

        What was had before a source could not be had any more is whole.
        """
        with self._behind or nullcontext():
            if kind is None or issubclass(kind, StageError):
                self._commit()
                self._wait()
            else:
                self._segment.open.__exit__(kind, error, trace)

    def add(self, visit: Visit) -> None:
        """Stores one visit."""
        self.num_added += 1
        segment = self._segment
        segment.add(visit)
        if time.monotonic() - self._noted >= NOTE_EVERY_S:
            note_open(self._folder, segment.name, segment.fates)
            self._noted = time.monotonic()
        if len(segment.rows) >= self._max_records or time.monotonic() - segment.since >= self._max_seconds:
            self._commit()
            self._segment = self._begin()

    def _begin(self) -> "_Segment":
        return _Segment(self._folder, segment_name(self._name, self.num_committed))

    def _commit(self) -> None:
        """Commits the segment, or has it committed once the one before is."""
        if not self._segment.rows:
            return
        self._check()
        if self._behind is None:
            self._segment.commit()
        else:
            self._wait()
            self._committing = self._behind.submit(self._segment.commit)
        self.num_committed += 1

    def _wait(self) -> None:
        if self._committing is not None:
            self._committing.result()
            self._committing = None


class _Segment:
    """A segment in the making.

    Attributes:
        name: the segment's.
        open: what must be closed, with an error where the segment is not to be.
        rows: of its ledger.
        fates: settled in it.
        since: when it was begun.
    """

    def __init__(self, folder: AnyPath, name: str) -> None:
        self._folder, self.name = folder, name
        self._warc_name = f"crawl-{name}.warc.gz"
        self.open = ExitStack()
        self._file: BinaryIO | None = None
        self.rows: list[dict[str, Any]] = []
        self._links: list[dict[str, Any]] = []
        self.fates = Fates()
        self._stored = 0
        self.since = time.monotonic()

    def add(self, visit: Visit) -> None:
        row = ledger_columns(visit.row)
        if visit.earlier is not None:
            write_revisit(self._warc(), visit)
            self._stored += 1
        elif visit.payload is not None:
            self._stored += 1
            row |= {"warc_file": self._warc_name, "warc_offset": write_visit(self._warc(), visit)}
        self.rows.append(row)
        self._links.extend(map(link_columns, visit.links))
        self.fates.add(visit.row.fate, visit.row.reason)

    def commit(self) -> None:
        """Writes what is left, and the receipt.

        Raises:
            LeaseLostError: another attempt has begun.
        """
        if not create_receipt(self._folder, self.name, self._finish()):
            raise LeaseLostError(f"{self.name}: another has begun the same work")

    def _warc(self) -> BinaryIO:
        """The segment's WARC file, begun when the first payload comes."""
        if self._file is None:
            self._file = self.open.enter_context(atomic_open(self._folder / self._warc_name))
            write_info(self._file, self._warc_name)
        return self._file

    def _finish(self) -> Receipt:
        warc = () if self._file is None else (file_entry(self._file, self._warc_name, self._stored),)
        self.open.close()
        ledger = write_table(self._folder, f"ledger-{self.name}.parquet", self.rows, LEDGER_SCHEMA)
        links = write_table(self._folder, f"links-{self.name}.parquet", self._links, LINK_SCHEMA)
        return Receipt((*warc, ledger, links), self.fates)


def ledger_tables(receipts: Iterable[Receipt]) -> Iterator[str]:
    """The names of the ledger tables that receipts list."""
    return (file.path for receipt in receipts for file in receipt.files if file.path.startswith("ledger-"))


def file_entry(file: BinaryIO, name: str, records: int) -> FileEntry:
    """The entry of a file that is whole; it is read back, and left at its end."""
    file.seek(0)
    digest = hashlib.file_digest(cast("BufferedReader", file), "sha256").hexdigest()
    return FileEntry(name, file.tell(), digest, records)
