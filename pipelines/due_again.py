"""What failed in a run that was cut off and may be had by the next: taken out of the ledger, and so due again."""

from pathlib import Path
from typing import Any

from crawl.records import LEDGER_SCHEMA
from crawl.retry import is_retryable
from pipelines.fates import Fates
from pipelines.receipts import Receipt, all_receipts, write_receipt
from pipelines.tables import read_table, write_table
from shards.manifest import FileEntry


def forget_passing_failures(folder: Path) -> int:
    """Takes the rows of what failed for a reason that passes out of the ledger of a crawl, and returns how many.

    The ledger's new table stands before the receipt that names it replaces the old one's, so that a kill leaves one
    of the two. The old table is a stray from then on.

    Args:
        folder: of a crawl that is not committed, and that nobody works on.
    """
    count = 0
    for name, receipt in all_receipts(folder):
        if not any(is_retryable(reason) for reason in receipt.fates.failed):
            continue
        files, rows = [], []
        for file in receipt.files:
            if not file.path.startswith("ledger-"):
                files.append(file)
                continue
            found = read_table(f"{folder}/{file.path}").to_pylist()
            standing = [row for row in found if not _may_pass(row)]
            count += len(found) - len(standing)
            files.append(_rewritten(folder, file, standing) if len(standing) < len(found) else file)
            rows += standing
        fates = Fates()
        for row in rows:
            fates.add(row["fate"], row["reason"])
        write_receipt(folder, name, Receipt(tuple(files), fates, receipt.handled, receipt.notes))
    return count


def _may_pass(row: dict[str, Any]) -> bool:
    return row["fate"] == "failed" and is_retryable(row["reason"])


def _rewritten(folder: Path, file: FileEntry, rows: list[dict[str, Any]]) -> FileEntry:
    stem, _, number = file.path.removesuffix(".parquet").partition("-again-")
    return write_table(folder, f"{stem}-again-{int(number or 0) + 1}.parquet", rows, LEDGER_SCHEMA)
