"""One folder on its way to being rewritten without what was forgotten: what is to go, and what has come of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crawl.records import UNKNOWN
from pipelines.attribution import attribution_without
from pipelines.fates import Fates
from pipelines.tables import read_table, write_file, write_table
from pipelines.tombstones import Tombstones
from shards.attribution import NAME as ATTRIBUTION
from shards.forget import RedactedShard, link_file, redact_shard
from shards.manifest import Counts, FileEntry, Manifest
from shards.object_path import AnyPath
from shards.shard import ShardFiles
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX

Row = dict[str, Any]

SAID_BY_PAGE = {
    "page_url": "",
    "caption_source": "none",
    "licence": UNKNOWN,
    "licence_url": UNKNOWN,
    "author": UNKNOWN,
    "licence_method": UNKNOWN,
    "caption_language": UNKNOWN,
}
"""What a picture has from the page that it was found on, and what stands there when that page is forgotten."""


@dataclass
class Forgotten:
    """What is to go.

    Attributes:
        tombstones: of the build.
        urls: addresses of the records that went from a crawl, whatever covered them.
        documents: keys of the documents that went.
        crawls: what the fingerprint of each crawl has become.
    """

    tombstones: Tombstones
    urls: set[str] = field(default_factory=set)
    documents: set[str] = field(default_factory=set)
    crawls: dict[str, str] = field(default_factory=dict)

    def moved(self, warc_file: str) -> str:
        """Where a WARC file is found that a ledger names: one of an earlier snapshot lies in its successor now."""
        if "/" not in warc_file:
            return warc_file
        _, crawl, name = warc_file.split("/")
        return f"../{self.crawls.get(crawl, crawl)}/{name}"

    def cover(self, url: str, sha256: str = "") -> bool:
        """Whether the record of `url`, with this content, is to go; what is no address is covered by none."""
        return url.startswith(("http:", "https:", "file:")) and (url in self.urls or self.tombstones.cover(url, sha256))


@dataclass
class Redacted:
    """What a folder holds without what was forgotten.

    Attributes:
        counts: fates of the records that are left.
        files: entries of all files.
        splits: samples in each split, of a dataset.
        num_removed: records or samples that went.
        num_emptied: samples that lost what a page had said of them.
        rewritten: paths of files written anew.
    """

    counts: Counts
    files: list[FileEntry] = field(default_factory=list)
    splits: dict[str, int] = field(default_factory=dict)
    num_removed: int = 0
    num_emptied: int = 0
    rewritten: list[str] = field(default_factory=list)


@dataclass
class Redaction:
    """One folder's redaction: what it is, and what has come of it so far.

    Attributes:
        items: pictures and documents that samples were taken out for.
    """

    manifest: Manifest
    source: AnyPath
    target: AnyPath
    forgotten: Forgotten
    redacted: Redacted
    items: set[str] = field(default_factory=set)

    def entries(self, prefix: str, suffix: str = "") -> list[FileEntry]:
        """The files whose names begin and end so."""
        return [file for file in self.manifest.files if file.path.startswith(prefix) and file.path.endswith(suffix)]

    def link(self, entry: FileEntry) -> None:
        """Keeps a file as it is."""
        self.redacted.files.append(link_file(self.source, entry, self.target))

    def write(self, *entries: FileEntry) -> None:
        """Notes files that were written anew."""
        self.redacted.files += entries
        self.redacted.rewritten += [entry.path for entry in entries]

    def table(self, entry: FileEntry, change: Callable[[Row], Row | None]) -> list[Row]:
        """Rewrites a table if `change` changes or takes away a row of it; returns the rows that went."""
        table = read_table(str(self.source / entry.path))
        before = table.to_pylist()
        after = [change(dict(row)) for row in before]
        if after == before:
            self.link(entry)
            return []
        rows = [row for row in after if row is not None]
        self.write(write_table(self.target, entry.path, rows, table.schema))
        return [old for old, new in zip(before, after, strict=True) if new is None]

    def shard(self, tar: FileEntry) -> RedactedShard:
        """Rewrites a shard if it holds anything that is to go or to be emptied."""
        (index,) = self.entries(tar.path.removesuffix(TAR_SUFFIX), INDEX_SUFFIX)
        found = redact_shard(self.source, ShardFiles(tar, index), self.target, self.record)
        if found.is_touched:
            self.write(*found.files)
        else:
            self.redacted.files += found.files
        self.redacted.num_removed += found.num_removed
        self.redacted.num_emptied += found.num_emptied
        return found

    def record(self, record: Row) -> Row | None:
        """The JSON of a sample without what is forgotten; None where the sample goes."""
        pieces = record.get("documents")
        if pieces is not None:
            gone = [
                piece["key"]
                for piece in pieces
                if piece["key"] in self.forgotten.documents or self.forgotten.cover(piece["url"])
            ]
        else:
            gone = (
                [record.get("sample_id", record["url"])]
                if self.forgotten.cover(record["url"], record["sha256"])
                else []
            )
        self.items.update(gone)
        if gone:
            return None
        return record | unsaid(record) if self.forgotten.cover(record.get("page_url", "")) else record

    def settle(self, gone: Fates) -> None:
        """Takes the fates of records that went out of the counts."""
        counts = self.manifest.counts
        self.redacted.counts = Counts(
            counts.records_in - gone.total,
            counts.kept - gone.kept,
            _without(Counter(counts.rejected), gone.rejected),
            _without(Counter(counts.failed), gone.failed),
        )


def unsaid(record: Row) -> Row:
    """What stands in a record where its page said something, once that page is forgotten."""
    return {name: value for name, value in SAID_BY_PAGE.items() if name in record}


def _without(counts: Counter[str], gone: Counter[str]) -> dict[str, int]:
    return {reason: count - gone[reason] for reason, count in sorted(counts.items()) if count > gone[reason]}


def redact_attribution(work: Redaction) -> None:
    """Takes what is forgotten out of the list of authors."""
    for entry in work.entries(ATTRIBUTION):
        before = (work.source / entry.path).read_text("utf-8")
        after, records = attribution_without(before, work.forgotten.cover)
        if after == before:
            work.link(entry)
        else:
            work.write(write_file(work.target, entry.path, after.encode(), records))
