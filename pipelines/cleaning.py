"""Cleaning what one ledger table of a crawl holds: what pictures and prose have in common.

The records of a ledger table are cleaned together, in the order of their WARC file, and set aside in one staging file.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, Self

from crawl.verdict import Verdict
from pipelines.behind import NO_TURN, Turn
from pipelines.fates import Fates, Reject
from pipelines.ledger import RowRef, fetch_ahead
from pipelines.receipts import Receipt, finish_part, receipt_of
from pipelines.squeezed import squeeze, unsqueeze
from pipelines.stages import Job
from pipelines.staging import create_staged, stage_payload, staged_name
from pipelines.tables import rows_at, write_rejects
from shards.manifest import FileEntry
from shards.object_path import AnyPath


class Fetched(Protocol):
    """A fetched record, by its URL and its ledger row."""

    @property
    def url(self) -> str:
        """Its URL."""

    @property
    def ref(self) -> RowRef:
        """Its ledger row."""

    @property
    def rows(self) -> tuple[RowRef, ...]:
        """What must be read to clean it: its ledger row, and other rows of the crawl's tables."""


Row = dict[str, Any]

CleanRecord = Callable[[Any, Sequence[Row], Job], "Clean | Verdict"]
"""Judges and cleans one record, given its `rows`, for a job."""

ROWS_AT_ONCE = 1_000
"""Records whose rows are held at a time."""


class Clean(NamedTuple):
    """What a clean record is stored as."""

    key: str
    pieces: Sequence[bytes]


class Cleaned(NamedTuple):
    """A clean record, set aside."""

    key: str
    url: str
    part: str
    """The staging file."""
    offset: int
    lengths: tuple[int, ...]
    """Of its pieces, in bytes."""

    def packed(self) -> tuple[Any, ...]:
        """It as it crosses a shuffle."""
        return bytes.fromhex(self.key), squeeze(self.url), self.part, self.offset, self.lengths

    @classmethod
    def unpack(cls, packed: tuple[Any, ...]) -> Self:
        """What `packed` packed."""
        key, url, *place = packed
        return cls(key.hex(), unsqueeze(url), *place)


def finish_clean_part(
    part: tuple[str, Iterable[Fetched]], job: Job, clean: CleanRecord, turn: Turn = NO_TURN
) -> Iterator[Cleaned]:
    """Cleans the records of one ledger table, unless an earlier run has, and yields those set aside.

    Args:
        part: the ledger table, and what is to be cleaned of it.
        job: the stage's.
        clean: judges and cleans one record.
        turn: to clean them in.
    """
    yield from cleaned_records(*clean_part(part, job, clean, turn))


def clean_part(
    part: tuple[str, Iterable[Fetched]], job: Job, clean: CleanRecord, turn: Turn = NO_TURN
) -> tuple[str, Receipt]:
    """As `finish_clean_part`, but returns the name of the staging file, and its receipt."""
    table, records = part
    name = table.replace("ledger-", "clean-").removesuffix(".parquet")
    return name, finish_part(job.folder, name, lambda: _clean_part(name, records, job, clean, turn))


def cleaned_records(name: str, receipt: Receipt) -> Iterator[Cleaned]:
    """The records that are set aside in the staging file called `name`, by its receipt."""
    for key, url, (offset, *lengths) in receipt.notes["cleaned"]:
        yield Cleaned(key, url, name, offset, tuple(lengths))


def records_set_aside(folder: AnyPath, part: str) -> Iterator[Cleaned]:
    """The records in a staging file that stands, in a stage's folder."""
    return cleaned_records(part, receipt_of(folder, part))


def _clean_part(name: str, records: Iterable[Fetched], job: Job, clean: CleanRecord, turn: Turn) -> Receipt:
    """Cleans records into a staging file; what is turned away settles its fate here."""
    rejects: list[Reject] = []
    cleaned: list[tuple[str, str, tuple[int, ...]]] = []
    ordered = sorted(records, key=lambda record: record.ref)
    if ordered:
        fetch_ahead(job, ordered[0].ref)
    with create_staged(job.folder, name) as staging:
        with turn:
            for record, rows in _with_rows(ordered, job):
                found = clean(record, rows, job)
                if isinstance(found, Verdict):
                    rejects.append(Reject(record.url, found.fate, found.reason, found.detail))
                else:
                    cleaned.append((found.key, record.url, stage_payload(staging, found.pieces)))
        size = staging.tell()
    files = (FileEntry(staged_name(name), size, "", len(cleaned)), *write_rejects(job.folder, name, rejects))
    return Receipt(files, Fates.of(rejects), len(rejects) + len(cleaned), {"cleaned": cleaned})


def _with_rows(records: Sequence[Fetched], job: Job) -> Iterator[tuple[Fetched, list[Row]]]:
    """Each record with its rows, which are read together for many."""
    for start in range(0, len(records), ROWS_AT_ONCE):
        some = records[start : start + ROWS_AT_ONCE]
        rows = rows_at(job.input_folder("crawl"), {ref for record in some for ref in record.rows})
        yield from ((record, [rows[ref] for ref in record.rows]) for record in some)
