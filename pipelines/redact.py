"""A committed folder written anew without what was forgotten, stage by stage; files that hold none of it are linked.

What goes: the record of a forgotten address, file or host, with its WARC record, picture, document and samples, and
every window with words of it. What was found on a forgotten page stays, but loses what the page said of it.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict

import numpy as np

from crawl.blots import copy_without
from crawl.records import LedgerRow, LinkRow, target_of
from crawl.visit import Asked, unasked
from pipelines.copies import open_file
from pipelines.fates import Fates
from pipelines.redact_dataset import redact_dataset
from pipelines.redaction import Forgotten, Redacted, Redaction, Row, redact_attribution, unsaid
from pipelines.segments import file_entry
from pipelines.tables import read_table
from pipelines.tombstones import FILE as TOMBSTONES
from shards.index import decode_index
from shards.manifest import Counts, Manifest, atomic_open
from shards.object_path import AnyPath
from shards.tar import BLOCK_BYTES, sample_bytes
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX


def redact_folder(manifest: Manifest, source: AnyPath, target: AnyPath, forgotten: Forgotten) -> Redacted:
    """Writes what `source` holds into `target`, without what is forgotten, and notes what that was in `forgotten`.

    Raises:
        DatasetError: a shard of it is damaged.
        WarcError: a WARC file of it is damaged.
    """
    target.mkdir(parents=True, exist_ok=True)
    work = Redaction(manifest, source, target, forgotten, Redacted(manifest.counts))
    stages: dict[str, Callable[[Redaction], None]] = {
        "crawl": _redact_crawl,
        "images": _redact_images,
        "score": _redact_score,
        "text": _redact_text,
    }
    stages.get(manifest.stage, redact_dataset)(work)
    return work.redacted


def _redact_crawl(work: Redaction) -> None:
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
        path = work.source / entry.path
        with open_file(path, is_final=True) as source, atomic_open(work.target / entry.path) as file:
            copy_without(source, file, blots[entry.path], str(path))
            written = file_entry(file, entry.path, entry.records - len(blots[entry.path]))
        work.write(written)
    work.redacted.counts = Counts(fates.total, **fates.to_json())


def _never_asked(row: LedgerRow) -> Row:
    """The ledger row of an address that a later crawl would write, which leaves it alone."""
    target = target_of(LinkRow(from_url="", to_url=row.url, kind=row.kind, depth=row.depth, source=row.source))
    return asdict(unasked(target, "rejected", "forgotten", TOMBSTONES, Asked()).row)


def _redact_images(work: Redaction) -> None:
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
    redact_attribution(work)
    work.settle(gone)


def _moved(work: Redaction, places: Mapping[str, tuple[int, int]], row: Row) -> Row | None:
    """The table's row of a picture that stands elsewhere in its part now; None where the picture went."""
    if row["key"] not in places:
        return None
    said = {**unsaid(row), "caption": ""} if work.forgotten.cover(row["page_url"]) else {}
    offset, length = places[row["key"]]
    return row | said | {"offset": offset, "length": length}


def _places(index: AnyPath) -> dict[str, tuple[int, int]]:
    """Where each sample of a shard begins, its first header included, and how many bytes it takes."""
    found = decode_index(index.read_bytes())
    firsts = (found.offsets[:, 0] - BLOCK_BYTES).tolist()
    sizes = map(sample_bytes, found.lengths.tolist())
    return dict(zip(found.keys.astype(np.str_).tolist(), zip(firsts, sizes, strict=True), strict=True))


def _redact_score(work: Redaction) -> None:
    gone = _redact_rejects(work)
    for entry in work.entries("scores-"):
        removed = work.table(entry, lambda row: None if work.forgotten.cover(row["url"]) else row)
        work.redacted.num_removed += len(removed)
        gone.kept += len(removed)
    work.settle(gone)


def _redact_text(work: Redaction) -> None:
    gone = _redact_rejects(work)

    def forget_document(row: Row) -> Row | None:
        return None if work.forgotten.cover(row["url"], row["sha256"]) else row

    for entry in work.entries("documents-"):
        removed = work.table(entry, forget_document)
        work.forgotten.documents |= {row["key"] for row in removed}
        work.redacted.num_removed += len(removed)
        gone.kept += len(removed)
    work.settle(gone)


def _redact_rejects(work: Redaction) -> Fates:
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
