"""Cleaning what one ledger table of a crawl holds: what pictures and prose have in common.

The records of a ledger table are cleaned together, in the order of their WARC file, and set aside in one staging file.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from crawl.verdict import Verdict
from pipelines.fates import Fates, Reject
from pipelines.ledger import RowRef
from pipelines.receipts import Receipt, finish_part
from pipelines.stages import Job
from pipelines.staging import stage_payload, staged_name
from pipelines.tables import write_rejects
from shards.manifest import FileEntry, atomic_open


class Fetched(Protocol):
    """A fetched record, by its URL and its ledger row."""

    @property
    def url(self) -> str:
        """Its URL."""

    @property
    def ref(self) -> RowRef:
        """Its ledger row."""


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


def finish_clean_part(
    part: tuple[str, Iterable[Fetched]], job: Job, clean: Callable[[Fetched, Job], Clean | Verdict]
) -> Iterator[Cleaned]:
    """Cleans the records of one ledger table, unless an earlier run has, and yields those set aside.

    Args:
        part: the ledger table, and what is to be cleaned of it.
        job: the stage's.
        clean: judges and cleans one record.
    """
    table, records = part
    name = table.replace("ledger-", "clean-").removesuffix(".parquet")
    receipt = finish_part(job.folder, name, lambda: _clean_part(name, records, job, clean))
    for key, url, (offset, *lengths) in receipt.notes["cleaned"]:
        yield Cleaned(key, url, name, offset, tuple(lengths))


def _clean_part(
    name: str, records: Iterable[Fetched], job: Job, clean: Callable[[Fetched, Job], Clean | Verdict]
) -> Receipt:
    """Cleans records into a staging file; what is turned away settles its fate here."""
    rejects: list[Reject] = []
    cleaned: list[tuple[str, str, tuple[int, ...]]] = []
    with atomic_open(job.folder / staged_name(name)) as staging:
        for record in sorted(records, key=lambda record: record.ref):
            found = clean(record, job)
            if isinstance(found, Verdict):
                rejects.append(Reject(record.url, found.fate, found.reason, found.detail))
            else:
                cleaned.append((found.key, record.url, stage_payload(staging, found.pieces)))
        size = staging.tell()
    files = (FileEntry(staged_name(name), size, "", len(cleaned)), *write_rejects(job.folder, name, rejects))
    return Receipt(files, Fates.of(rejects), len(rejects) + len(cleaned), {"cleaned": cleaned})
