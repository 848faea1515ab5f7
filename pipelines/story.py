"""The whole story of one URL: where it was found, what was asked and answered, and what became of it downstream."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.text import Text

from crawl.urls import canonical_url, without_parameters
from pipelines.errors import StageError
from pipelines.folders import committed_folders, current_manifest
from shards.committed import Committed
from shards.shard import Shard, list_shards
from shards.triplet import parse_triplet_key

Row = dict[str, Any]

MAX_TOLD = 5
"""Links, redirects and samples told of, each; the rest is counted."""


_ELSEWHERE = ("file:", "list:", "archive:")
"""Begins of what the ledger calls things that are not on the web."""


class Fact(NamedTuple):
    """One line of a story: what it is about, and what there is to say."""

    about: str
    said: str


def tell(out: Path, url: str, console: Console) -> bool:
    """Prints the story of `url` in the build in `out`; returns whether there is one.

    Raises:
        StageError: nothing was crawled there, or `url` is no address.
    """
    known = False
    for fact in story(out, url):
        known = known or fact.about in ("found on", "asked")
        console.print(Text.assemble((f"{fact.about:>11}  ", "bold"), fact.said), soft_wrap=True)
    return known


def story(out: Path, url: str) -> Iterator[Fact]:
    """Yields what is known of `url`, in the order in which it happened.

    Raises:
        StageError: nothing was crawled there, or `url` is no address.
    """
    crawl = current_manifest(out, "crawl")
    if crawl is None:
        raise StageError(f"{out}: nothing was crawled there; give the folder of a build")
    address = canonical_url(url) or (url if url.startswith(_ELSEWHERE) else None)
    if address is None:
        raise StageError(f"{url!r} is no address; write it as https://example.org/page")
    folder = out / "crawl" / crawl.fingerprint
    yield Fact("URL", address)
    links = list(_rows(folder, "links-", "to_url", address))
    known_as = without_parameters(address, tuple(crawl.configuration.get("drop_parameters", ())))
    if not links and known_as != address:
        yield Fact("known as", known_as)
        address, links = known_as, list(_rows(folder, "links-", "to_url", known_as))
    yield from _links_told(links)
    yield from _redirects_told(_rows(folder, "ledger-", "final_url", address), address)
    rows = list(_rows(folder, "ledger-", "url", address))
    if not rows and not links:
        yield Fact("never met", "no page and no source of this crawl leads there")
    elif not rows:
        yield Fact("never asked", "no source of the recipe reaches there (its hosts, path, depth, or what it follows)")
    for row in rows:
        yield from _ledger_told(row, folder)
        if row["fate"] == "kept":
            yield from _downstream_told(out, row)


def _links_told(links: list[Row]) -> Iterator[Fact]:
    links.sort(key=lambda link: (link["depth"], link["from_url"]))
    for link in links[:MAX_TOLD]:
        where = link["from_url"] or "nowhere: the source begins with it"
        what = f"{link['kind']}, depth {link['depth']}, source {link['source']}"
        caption = f", {link['caption_source']} {link['caption']!r}" if link["caption"] else ""
        licence = f", licence {link['licence']} ({link['licence_url']})" if link["licence"] != "unknown" else ""
        extra = f", {link['extra']}" if link["extra"] != "{}" else ""
        yield Fact("found on", f"{where} ({what}{caption}{licence}{extra})")
    if len(links) > MAX_TOLD:
        yield Fact("", f"and on {len(links) - MAX_TOLD:,} more")


def _redirects_told(rows: Iterable[Row], address: str) -> Iterator[Fact]:
    for row in rows:
        if row["url"] != address:
            yield Fact("redirect", f"from {row['url']}")


def _ledger_told(row: Row, folder: Path) -> Iterator[Fact]:
    yield Fact("robots.txt", _robots_told(row["robots_rule"]))
    if row["fetched_at"]:
        again = f" in {row['attempts']} requests" if row["attempts"] > 1 else ""
        yield Fact("asked", f"{row['fetched_at']}{again}: status {row['status']}, {row['media_type'] or 'no type'}")
    else:
        yield Fact("asked", "never")
    yield Fact("opt-outs", row["opt_out"])
    if row["final_url"] != row["url"]:
        yield Fact("redirect", f"to {row['final_url']}")
    if row["sha256"]:
        yield Fact("content", f"{row['num_bytes']:,} bytes, SHA-256 {row['sha256']}")
    if row["unchanged_since"]:
        yield Fact("unchanged", f"since {row['unchanged_since']}")
    if row["warc_offset"] >= 0:
        yield Fact("stored", f"{(folder / row['warc_file']).resolve()}, offset {row['warc_offset']}")
    yield Fact("crawl", _fate_told(row))


def _robots_told(rule: str) -> str:
    told = {
        "none": "no rule covers it: allowed",
        "unknown": "never looked up",
        "unavailable": "could not be had, which means no, for now",
    }
    return told.get(rule, rule)


def _fate_told(row: Row) -> str:
    reason = f" ({row['reason']}{': ' if row['detail'] else ''}{row['detail']})" if row["reason"] else ""
    return f"{row['fate']}{reason}"


def _downstream_told(out: Path, row: Row) -> Iterator[Fact]:
    """What the later stages made of a URL that was kept."""
    stage, prefix, dataset = (
        ("images", "images-", "triplets") if row["kind"] == "image" else ("text", "documents-", "windows")
    )
    manifest = current_manifest(out, stage)
    if manifest is None:
        yield Fact(stage, "not built")
        return
    folder = out / stage / manifest.fingerprint
    for reject in _rows(folder, "rejects-", "key", row["url"]):
        yield Fact(stage, _fate_told(reject))
    for record in _rows(folder, prefix, "url", row["url"]):
        place = f"{folder / record['part']}, offset {record['offset']}" if stage == "images" else str(folder)
        yield Fact(stage, f"kept as {record['key']}, split {record['split']}, in {place}")
        if stage == "images":
            yield from _score_told(out, row["url"])
        yield from _samples_told(out, dataset, record["key"])


def _score_told(out: Path, url: str) -> Iterator[Fact]:
    manifest = current_manifest(out, "score")
    if manifest is None:
        return
    folder = out / "score" / manifest.fingerprint
    for reject in _rows(folder, "rejects-", "key", url):
        yield Fact("score", _fate_told(reject))
    for scored in _rows(folder, "scores-", "url", url):
        yield Fact("score", f"kept: {manifest.configuration['topic']} {scored['score']:.4f}, model {scored['model']}")


def _samples_told(out: Path, stage: str, key: str) -> Iterator[Fact]:
    if current_manifest(out, stage) is None:
        yield Fact(stage, "not built")
        return
    (committed,) = committed_folders(str(out / stage))
    places = list(_samples(committed, key))
    told = ", ".join(f"{sample} in {shard}" for shard, sample in places[:MAX_TOLD])
    more = f" and {len(places) - MAX_TOLD:,} more" if len(places) > MAX_TOLD else ""
    yield Fact(stage, f"{len(places):,} samples: {told}{more}" if places else "no sample")


def _samples(committed: Committed, item: str) -> Iterator[tuple[str, str]]:
    """The shard and the key of each sample made of a picture, or of a document."""
    for split in committed.manifest.splits:
        for files in list_shards(committed.store.where, committed.manifest, split):
            shard = Shard(committed.store, files)
            is_window = "tokens.npy" in shard.index.extensions
            for row, key in enumerate(shard.index.keys.astype(str).tolist()):
                if item in _documents(shard, row) if is_window else parse_triplet_key(key)[0] == item:
                    yield files.tar.path, key


def _documents(shard: Shard, row: int) -> set[str]:
    return {piece["key"] for piece in json.loads(shard.read(row, "json"))["documents"]}


def _rows(folder: Path, prefix: str, column: str, value: str) -> Iterator[Row]:
    """The rows of a stage's tables that have a value in a column; only that column is read of the others."""
    for path in sorted(folder.glob(f"{prefix}*.parquet")):
        if pc.any(pc.equal(pq.read_table(path, columns=[column])[column], value)).as_py():
            yield from pq.read_table(path, filters=[(column, "=", value)]).to_pylist()
