"""The whole story of one URL: where it was found, what was asked and answered, and what became of it downstream.

What has a key is followed back to its URL: a window by its documents, a document, picture or sample by its page.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console
from rich.text import Text

from crawl.urls import canonical_url, without_parameters
from pipelines.errors import StageError
from pipelines.facts import Fact, Row, find_rows
from pipelines.folders import committed_folders, current_manifest
from pipelines.harmless import harmless
from pipelines.inspect.places import find_sample, locate, open_split
from pipelines.window_story import window_told, windows_told
from shards.committed import Committed
from shards.dataset import TripletDataset
from shards.object_path import AnyPath
from shards.triplet import rungs, triplet_key

MAX_TOLD = 5
"""Links, samples and windows told of, each, unless all are asked for; the rest is counted."""

MAX_SAID = 10_000
"""Characters of one fact that are printed."""

_KEY = re.compile(r"(?P<item>[0-9a-f]{32})(-k\d+-d\d+)?")
_ELSEWHERE = ("file:", "list:", "archive:")
"""Begins of what the ledger calls things that are not on the web."""


def tell(out: AnyPath, name: str, console: Console, is_whole: bool = False) -> bool:
    """Prints the story of a URL, or of what has a key, in the build in `out`; returns whether there is one.

    Args:
        out: the build's folder.
        name: URL, or key of a window, document, picture or sample.
        console: to print on.
        is_whole: whether every link, sample and window is told of, however many there are.

    Raises:
        StageError: nothing was crawled there, or `name` is neither an address nor a key.
    """
    known, most = False, None if is_whole else MAX_TOLD
    key = _KEY.fullmatch(name)
    for fact in key_story(out, key["item"], most) if key else story(out, name, most):
        known = known or fact.about in ("found on", "asked", "window")
        said = harmless(fact.said, console.encoding, MAX_SAID)
        console.print(Text.assemble((f"{fact.about:>11}  ", "bold"), said), soft_wrap=True)
    return known


def key_story(
    out: AnyPath, key: str, most: int | None = MAX_TOLD, windows: Callable[..., Iterator[Fact]] = windows_told
) -> Iterator[Fact]:
    """Yields what is in the window with a key, or else the story of the page or picture that was kept under it.

    Args:
        out: the build's folder.
        key: of the window, document or picture.
        most: links, samples and windows told of, each; None for all.
        windows: tells which windows hold a document, as `windows_told`: it reads the records of all.

    Raises:
        StageError: nothing was crawled there.
    """
    told = False
    for fact in window_told(out, key):
        told = True
        yield fact
    for stage, prefix in (("text", "documents-"), ("images", "images-")):
        manifest = current_manifest(out, stage)
        folder = out / stage / manifest.fingerprint if manifest else None
        for record in find_rows(folder, prefix, "key", key) if folder else ():
            told = True
            yield from story(out, record["url"], most, windows)
    if not told:
        yield Fact("never met", "no window, document, picture or sample here has that key")


def story(
    out: AnyPath, url: str, most: int | None = MAX_TOLD, windows: Callable[..., Iterator[Fact]] = windows_told
) -> Iterator[Fact]:
    """Yields what is known of `url`, in the order in which it happened; arguments as `key_story`.

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
    links = list(find_rows(folder, "links-", "to_url", address))
    known_as = without_parameters(address, tuple(crawl.configuration.get("drop_parameters", ())))
    if not links and known_as != address:
        yield Fact("known as", known_as)
        address, links = known_as, list(find_rows(folder, "links-", "to_url", known_as))
    yield from _links_told(links, most)
    yield from _redirects_told(find_rows(folder, "ledger-", "final_url", address), address)
    rows = list(find_rows(folder, "ledger-", "url", address))
    if not rows and not links:
        yield Fact("never met", "no page and no source of this crawl leads there")
    elif not rows:
        yield Fact("never asked", "no source of the recipe reaches there (its hosts, path, depth, or what it follows)")
    for row in rows:
        yield from _ledger_told(row, folder)
        if row["fate"] == "kept":
            yield from _downstream_told(out, row, most, windows)


def _links_told(links: list[Row], most: int | None) -> Iterator[Fact]:
    links.sort(key=lambda link: (link["depth"], link["from_url"]))
    for link in links[:most]:
        where = link["from_url"] or "nowhere: the source begins with it"
        what = f"{link['kind']}, depth {link['depth']}, source {link['source']}"
        caption = f", {link['caption_source']} {link['caption']!r}" if link["caption"] else ""
        licence = f", licence {link['licence']} ({link['licence_url']})" if link["licence"] != "unknown" else ""
        extra = f", {link['extra']}" if link["extra"] != "{}" else ""
        yield Fact("found on", f"{where} ({what}{caption}{licence}{extra})")
    if len(links) > len(links[:most]):
        yield Fact("", f"and on {len(links[most:]):,} more")


def _redirects_told(rows: Iterable[Row], address: str) -> Iterator[Fact]:
    for row in rows:
        if row["url"] != address:
            yield Fact("redirect", f"from {row['url']}")


def _ledger_told(row: Row, folder: AnyPath) -> Iterator[Fact]:
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


def _downstream_told(
    out: AnyPath, row: Row, most: int | None, windows: Callable[..., Iterator[Fact]]
) -> Iterator[Fact]:
    """What the later stages made of a URL that was kept."""
    stage, prefix = ("images", "images-") if row["kind"] == "image" else ("text", "documents-")
    manifest = current_manifest(out, stage)
    if manifest is None:
        yield Fact(stage, "not built")
        return
    folder = out / stage / manifest.fingerprint
    for reject in find_rows(folder, "rejects-", "key", row["url"]):
        yield Fact(stage, _fate_told(reject))
        if reject["reason"] == "near_duplicate":
            twins = find_rows(folder, prefix, "key", reject["detail"].partition(",")[0])
            yield from (Fact("instead", twin["url"]) for twin in twins)
    for record in find_rows(folder, prefix, "url", row["url"]):
        if stage == "images":
            place = f"{folder / record['part']}, offset {record['offset']}"
            yield Fact(stage, f"kept as {record['key']}, split {record['split']}, in {place}")
            yield from _score_told(out, row["url"])
            yield from _samples_told(out, record["key"], most)
        else:
            what = f"{record['num_words']:,} words, language {record['language']}"
            yield Fact(stage, f"kept as {record['key']}, split {record['split']}, {what}, in {folder}")
            yield from windows(out, record["key"], most)


def _score_told(out: AnyPath, url: str) -> Iterator[Fact]:
    manifest = current_manifest(out, "score")
    if manifest is None:
        return
    folder = out / "score" / manifest.fingerprint
    for reject in find_rows(folder, "rejects-", "key", url):
        yield Fact("score", _fate_told(reject))
    for scored in find_rows(folder, "scores-", "url", url):
        yield Fact("score", f"kept: {manifest.configuration['topic']} {scored['score']:.4f}, model {scored['model']}")


def _samples_told(out: AnyPath, picture: str, most: int | None) -> Iterator[Fact]:
    if current_manifest(out, "triplets") is None:
        yield Fact("triplets", "not built")
        return
    (committed,) = committed_folders(str(out / "triplets"))
    places = list(_samples(committed, picture))
    told = ", ".join(f"{sample} in {shard}" for shard, sample in places[:most])
    more = f" and {len(places[most:]):,} more" if len(places) > len(places[:most]) else ""
    yield Fact("triplets", f"{len(places):,} samples: {told}{more}" if places else "no sample")


def _samples(committed: Committed, picture: str) -> Iterator[tuple[str, str]]:
    """The shard and the key of each sample made of a picture, in the order of the shards; of a virtual one itself."""
    for split, count in committed.manifest.splits.items():
        dataset = open_split(committed.store.where, split) if count else None
        if not isinstance(dataset, TripletDataset):
            continue
        keys = [picture] if dataset.is_virtual else [triplet_key(picture, *rung) for rung in rungs(dataset.spec)]
        found = sorted((number, key) for key in keys if (number := find_sample(dataset, key)) is not None)
        for number, key in found:
            yield dataset.shards.files[locate(dataset, number).shard].tar.path, key
