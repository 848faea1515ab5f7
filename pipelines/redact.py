"""A committed folder written anew without what was forgotten, stage by stage; files that hold none of it are linked.

What goes: the record of a forgotten address, file or host, with its WARC record, picture, document and samples, and
every window with words of it. What was found on a forgotten page stays, but loses what the page said of it.
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crawl.blots import copy_without
from crawl.records import UNKNOWN, LedgerRow, LinkRow, target_of
from crawl.visit import Asked, unasked
from pipelines.attribution import attribution_without
from pipelines.fates import Fates
from pipelines.segments import file_entry
from pipelines.tables import read_table, write_file, write_table
from pipelines.tombstones import FILE as TOMBSTONES
from pipelines.tombstones import Tombstones
from shards.attribution import NAME as ATTRIBUTION
from shards.describe import describing_files
from shards.forget import RedactedShard, forget_words, link_file, redact_shard
from shards.index import decode_index
from shards.manifest import Counts, FileEntry, Manifest, atomic_open
from shards.shard import ShardFiles
from shards.tar import BLOCK_BYTES, sample_bytes
from shards.tokenizer import TOKENIZER_NAME, WordTokenizer, load_tokenizer
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX, split_of

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


def redact_folder(manifest: Manifest, source: Path, target: Path, forgotten: Forgotten) -> Redacted:
    """Writes what `source` holds into `target`, without what is forgotten, and notes what that was in `forgotten`.

    Raises:
        DatasetError: a shard of it is damaged.
        WarcError: a WARC file of it is damaged.
    """
    target.mkdir(parents=True, exist_ok=True)
    work = _Work(manifest, source, target, forgotten, Redacted(manifest.counts))
    stages: dict[str, Callable[[_Work], None]] = {
        "crawl": _redact_crawl,
        "images": _redact_images,
        "score": _redact_score,
        "text": _redact_text,
    }
    stages.get(manifest.stage, _redact_dataset)(work)
    return work.redacted


@dataclass
class _Work:
    """One folder's redaction: what it is, and what has come of it so far.

    Attributes:
        items: pictures and documents that samples were taken out for.
    """

    manifest: Manifest
    source: Path
    target: Path
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
        return record | _unsaid(record) if self.forgotten.cover(record.get("page_url", "")) else record

    def settle(self, gone: Fates) -> None:
        """Takes the fates of records that went out of the counts."""
        counts = self.manifest.counts
        self.redacted.counts = Counts(
            counts.records_in - gone.total,
            counts.kept - gone.kept,
            _without(Counter(counts.rejected), gone.rejected),
            _without(Counter(counts.failed), gone.failed),
        )


def _unsaid(record: Row) -> Row:
    return {name: value for name, value in SAID_BY_PAGE.items() if name in record}


def _without(counts: Counter[str], gone: Counter[str]) -> dict[str, int]:
    return {reason: count - gone[reason] for reason, count in sorted(counts.items()) if count > gone[reason]}


def _redact_crawl(work: _Work) -> None:
    """The ledger's rows become those of addresses never asked, their WARC records are blotted out, links emptied."""
    # A payload that an earlier snapshot holds is blotted out there, where its own row is.
    blots: dict[str, list[int]] = {}
    fates = Fates()
    ledgers = work.entries("ledger-")
    for entry in ledgers:
        for row in read_table(str(work.source / entry.path), ("url", "sha256")).to_pylist():
            if work.forgotten.cover(row["url"], row["sha256"]):
                work.forgotten.urls.add(row["url"])

    def forget_row(row: Row) -> Row:
        if row["url"] in work.forgotten.urls and row["reason"] != "forgotten":
            if row["warc_offset"] >= 0 and "/" not in row["warc_file"]:
                blots.setdefault(row["warc_file"], []).append(row["warc_offset"])
            work.redacted.num_removed += 1
            row = _never_asked(LedgerRow(**row))
        row["warc_file"] = work.forgotten.moved(row["warc_file"])
        fates.add(row["fate"], row["reason"])
        return row

    def forget_link(row: Row) -> Row | None:
        if work.forgotten.cover(row["to_url"]):
            return None
        if not work.forgotten.cover(row["from_url"]):
            return row
        told = {name: row[name] for name in ("to_url", "kind", "depth", "source")}
        return asdict(LinkRow(from_url="", **told))

    for entry in ledgers:
        work.table(entry, forget_row)
    for entry in work.entries("links-"):
        work.table(entry, forget_link)
    for entry in work.entries("", ".warc.gz"):
        if entry.path not in blots:
            work.link(entry)
            continue
        with atomic_open(work.target / entry.path) as file:
            copy_without(work.source / entry.path, file, blots[entry.path])
        work.write(file_entry(work.target, entry.path, entry.records - len(blots[entry.path])))
    work.redacted.counts = Counts(fates.total, **fates.to_json())


def _never_asked(row: LedgerRow) -> Row:
    """The ledger row of an address that a later crawl would write, which leaves it alone."""
    target = target_of(LinkRow(from_url="", to_url=row.url, kind=row.kind, depth=row.depth, source=row.source))
    return asdict(unasked(target, "rejected", "forgotten", TOMBSTONES, Asked()).row)


def _redact_images(work: _Work) -> None:
    gone = _redact_rejects(work)
    for tar in work.entries("part-", TAR_SUFFIX):
        number = tar.path.removeprefix("part-").removesuffix(TAR_SUFFIX)
        (table,) = work.entries(f"images-{number}.")
        shard = work.shard(tar)
        if shard.is_touched:
            index = work.target / f"part-{number}{INDEX_SUFFIX}"
            places = _places(index) if shard.files else {}
            gone.kept += len(work.table(table, functools.partial(_moved, work, places)))
        else:
            work.link(table)
    _redact_attribution(work)
    work.settle(gone)


def _redact_attribution(work: _Work) -> None:
    """Takes what is forgotten out of the list of authors."""
    for entry in work.entries(ATTRIBUTION):
        before = (work.source / entry.path).read_text("utf-8")
        after, records = attribution_without(before, work.forgotten.cover)
        if after == before:
            work.link(entry)
        else:
            work.write(write_file(work.target, entry.path, after.encode(), records))


def _moved(work: _Work, places: Mapping[str, tuple[int, int]], row: Row) -> Row | None:
    """The table's row of a picture that stands elsewhere in its part now; None where the picture went."""
    if row["key"] not in places:
        return None
    said = {**_unsaid(row), "caption": ""} if work.forgotten.cover(row["page_url"]) else {}
    offset, length = places[row["key"]]
    return row | said | {"offset": offset, "length": length}


def _places(index: Path) -> dict[str, tuple[int, int]]:
    """Where each sample of a shard begins, its first header included, and how many bytes it takes."""
    found = decode_index(index.read_bytes())
    firsts = (found.offsets[:, 0] - BLOCK_BYTES).tolist()
    sizes = map(sample_bytes, found.lengths.tolist())
    return dict(zip(found.keys.astype(np.str_).tolist(), zip(firsts, sizes, strict=True), strict=True))


def _redact_score(work: _Work) -> None:
    gone = _redact_rejects(work)
    for entry in work.entries("scores-"):
        removed = work.table(entry, lambda row: None if work.forgotten.cover(row["url"]) else row)
        work.redacted.num_removed += len(removed)
        gone.kept += len(removed)
    work.settle(gone)


def _redact_text(work: _Work) -> None:
    gone = _redact_rejects(work)

    def forget_document(row: Row) -> Row | None:
        return None if work.forgotten.cover(row["url"], row["sha256"]) else row

    for entry in work.entries("documents-"):
        removed = work.table(entry, forget_document)
        work.forgotten.documents |= {row["key"] for row in removed}
        work.redacted.num_removed += len(removed)
        gone.kept += len(removed)
    work.settle(gone)


def _redact_rejects(work: _Work) -> Fates:
    """Takes out what was turned away; returns its fates."""

    def forget_reject(row: Row) -> Row | None:
        if work.forgotten.cover(row["key"]):
            return None
        return row | {"detail": TOMBSTONES} if work.forgotten.cover(row["detail"]) else row

    gone = Fates()
    for entry in work.entries("rejects-"):
        for row in work.table(entry, forget_reject):
            gone.add(row["fate"], row["reason"])
            work.redacted.num_removed += 1
    return gone


def _redact_dataset(work: _Work) -> None:
    splits: Counter[str] = Counter()
    for tar in work.entries("", TAR_SUFFIX):
        splits[split_of(tar.path)] += tar.records - work.shard(tar).num_removed
    work.redacted.splits = {split: splits[split] for split in work.manifest.splits}
    work.settle(Fates(kept=len(work.items)))
    kept = {entry.path: entry.sha256 for entry in work.manifest.files}
    texts = describing_files(work.manifest.configuration, work.redacted.splits, work.redacted.files)
    for name, text in texts.items():
        if kept.get(name) == hashlib.sha256(text.encode()).hexdigest():
            work.link(*work.entries(name))
        else:
            work.write(write_file(work.target, name, text.encode(), records=0))
    for entry in work.entries(TOKENIZER_NAME):
        _redact_tokenizer(work, entry)
    _redact_attribution(work)


def _redact_tokenizer(work: _Work, entry: FileEntry) -> None:
    """Blanks the words that stood only in windows that went."""
    tokenizer = load_tokenizer(work.source)
    if not work.redacted.num_removed or not isinstance(tokenizer, WordTokenizer):
        work.link(entry)
        return
    context = work.manifest.configuration["spec"]["context"]
    left = forget_words(work.target, work.redacted.files, tokenizer, context)
    if left is tokenizer:
        work.link(entry)
    else:
        work.write(write_file(work.target, entry.path, left.to_json().encode(), entry.records))
