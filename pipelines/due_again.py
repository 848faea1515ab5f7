"""What failed in a run that was cut off and may be had by the next: taken out of the ledger, and so due again."""

from typing import Any

from crawl.records import LEDGER_SCHEMA
from crawl.retry import is_retryable
from pipelines.fates import Fates
from pipelines.receipts import Receipt, all_receipts, remove_receipt, write_receipt
from pipelines.tables import read_table, write_table
from shards.manifest import FileEntry
from shards.object_path import AnyPath

ARCHIVES = "archives"
"""The part of a crawl that is finished when all records of archives are read."""

ARCHIVE = "archive-"
"""Begins the names of the segments they are in."""


def forget_passing_failures(folder: AnyPath) -> int:
    """Takes the rows of what failed for a reason that passes out of the ledger of a crawl, and returns how many.

    The ledger's new table stands before the receipt that names it replaces the old one's, so that a kill leaves one
    of the two. The old table is a stray from then on.

    Args:
        folder: of a crawl that is not committed, and that nobody works on.
    """
    count = 0
    found = [each for each in all_receipts(folder) if any(map(is_retryable, each[1].fates.failed))]
    if any(name.startswith(ARCHIVE) for name, _ in found):
        remove_receipt(folder, ARCHIVES)  # first, so that whatever goes is read again
    for name, receipt in found:
        files, rows = [], []
        for file in receipt.files:
            if not file.path.startswith("ledger-"):
                files.append(file)
                continue
            before = read_table(f"{folder}/{file.path}").to_pylist()
            standing = [row for row in before if not _may_pass(row)]
            count += len(before) - len(standing)
            files.append(_rewritten(folder, file, standing) if len(standing) < len(before) else file)
            rows += standing
        fates = Fates()
        for row in rows:
            fates.add(row["fate"], row["reason"])
        write_receipt(folder, name, Receipt(tuple(files), fates, receipt.handled, receipt.notes))
    return count


def _may_pass(row: dict[str, Any]) -> bool:
    return row["fate"] == "failed" and is_retryable(row["reason"])


def _rewritten(folder: AnyPath, file: FileEntry, rows: list[dict[str, Any]]) -> FileEntry:
    stem, _, number = file.path.removesuffix(".parquet").partition("-again-")
    return write_table(folder, f"{stem}-again-{int(number or 0) + 1}.parquet", rows, LEDGER_SCHEMA)
