"""Where a crawl begins: what its sources name, as links found nowhere."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from crawl.damage import Damage
from crawl.records import LEDGER_SCHEMA, LINK_SCHEMA, LedgerRow, LinkRow, Target, ledger_columns, link_columns
from crawl.visit import Asked, unasked
from pipelines.fates import Fates
from pipelines.frontier import batched
from pipelines.receipts import Receipt
from pipelines.sources import source_links
from pipelines.stages import Job
from pipelines.tables import write_table
from shards.manifest import FileEntry

SEEDS = "seeds"

TABLE_ROWS = 5_000
"""Rows of a table of links that a source names."""


def find_seeds(job: Job, name: str) -> Receipt:
    """Writes where the crawl begins in one source, as links found nowhere; what is no use there gets a ledger row."""
    files: list[FileEntry] = []
    fates, lists = Fates(), _Lists(name)
    for number, found in enumerate(batched(source_links(name, job), TABLE_ROWS)):
        links = [link_columns(each) for each in found if isinstance(each, LinkRow)]
        damaged = [ledger_columns(lists.unusable(each)) for each in found if isinstance(each, Damage)]
        files.append(write_table(job.folder, f"links-{SEEDS}-{name}-{number:05d}.parquet", links, LINK_SCHEMA))
        if damaged:
            files.append(write_table(job.folder, f"ledger-{SEEDS}-{name}-{number:05d}.parquet", damaged, LEDGER_SCHEMA))
            fates.add_all([Fates(failed=Counter(row["reason"] for row in damaged))])
    return Receipt(tuple(files), fates)


class _Lists:
    """The lists of a source, told apart by name, and those of one name by the order in which they are read."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._namesakes: defaultdict[str, list[str]] = defaultdict(list)

    def unusable(self, damage: Damage) -> LedgerRow:
        """The ledger row of a row of a list that holds no address: it is known by where it stands."""
        name = Path(damage.source).name
        namesakes = self._namesakes[name]
        if damage.source not in namesakes:
            namesakes.append(damage.source)
        number = namesakes.index(damage.source) + 1
        told_apart = f"?{number}" if number > 1 else ""
        url = f"list:{self._source}/{name}{told_apart}#{damage.row}"
        target = Target(f"http://{self._source}/", "page", 0, "", "", source=self._source)
        row = unasked(target, "failed", damage.reason, damage.text, Asked()).row
        return replace(row, url=url, final_url=url, host="")
