"""A whole build of any size, made without fetching: tables, virtual triplets and windows, by the writers of a build.

It takes seconds for 100,000 pictures, since nothing is decoded or judged. What crawled text would say may be given, so
that hostile strings stand in captions, titles, texts, addresses and authors.
"""

import functools
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crawl.records import LEDGER_SCHEMA, LINK_SCHEMA, LedgerRow, LinkRow, Visit, ledger_columns, link_columns
from crawl.warc import write_info, write_visit
from pipelines.fates import Fates, Reject
from pipelines.images import IMAGE_SCHEMA, RECORD_FIELDS
from pipelines.segments import file_entry
from pipelines.tables import write_file, write_rejects, write_table
from pipelines.text import DOCUMENT_SCHEMA
from pipelines.text_recipe import TextConfig
from shards.manifest import (
    FileEntry,
    atomic_open,
)
from shards.tar import sample_bytes
from shards.tokenizer import TOKENIZER_NAME, WordTokenizer, build_vocabulary, split_words
from shards.triplet import PROVENANCE, TripletSpec, encode_virtual, extensions, picture_key, record_bytes
from shards.window import EXTENSIONS, Piece, WindowSpec, encode_window, num_windows, place_pieces
from shards.writer import order_hash, write_shard
from tests.tiny_datasets import Sample, draw_tree
from tests.virtual_pages import PICTURES_PER_PAGE, Page, make_pages
from tests.virtual_stage import Stage

SIDE, STEPS, CONTEXT = 16, 5, 32
LICENCES = ("CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0", "unknown")
TIME = "2026-11-01T12:00:00Z"
_NOTHING: Mapping[str, Any] = {"string": "", "int64": 0, "double": 0.0}


def write_virtual_build(
    out: Path,
    pictures: int = 100_000,
    windows: int = 100_000,
    planted: Sequence[str] = (),
    is_stored: bool = False,
    one_of: int = 20,
) -> Path:
    """Writes a build with this many virtual pictures (five samples each) and windows, near enough; returns its folder.

    Args:
        out: the build's folder.
        pictures: about how many are fetched.
        windows: about how many there are.
        planted: strings that stand in titles, captions, texts, authors and addresses of the first pages, one a page.
        one_of: of so many pictures one is turned away.
        is_stored: whether the files themselves are there too, in WARC files and in parts, at 0.3 ms a picture.
    """
    count = -(-pictures // PICTURES_PER_PAGE)
    pages = [*make_pages(count, max(8, windows * CONTEXT // count - 1), planted)]
    crawl = _write_crawl(out, pages, is_stored)
    images, rows = _write_images(out, pages, crawl, is_stored, one_of)
    _write_triplets(out, rows, images)
    text, documents = _write_text(out, pages, crawl)
    _write_windows(out, documents, text)
    return out


def _pixels(number: int) -> NDArray[np.uint8]:
    """A small tree with its number in its first pixel, so that no two are the same."""
    pixels = _trees()[number % len(_trees())].copy()
    pixels[0, 0] = number >> 16 & 255, number >> 8 & 255, number & 255
    return pixels


@functools.cache
def _trees() -> list[NDArray[np.uint8]]:
    return [draw_tree(seed, SIDE) for seed in range(200)]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def _numbers(page: Page) -> range:
    return range(page.number * PICTURES_PER_PAGE, (page.number + 1) * PICTURES_PER_PAGE)


def _write_crawl(out: Path, pages: Sequence[Page], is_stored: bool) -> Stage:
    stage = Stage(out, "crawl")
    rows: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    name = "crawl-00000.warc.gz"
    with atomic_open(stage.folder / name) as warc:
        write_info(warc, name)
        for visit in _visits(pages, is_stored):
            row = ledger_columns(visit.row)
            if is_stored and visit.payload is not None:
                row |= {"warc_file": name, "warc_offset": write_visit(warc, visit)}
            rows.append(row)
            links += map(link_columns, visit.links)
    fates = Fates()
    for row in rows:
        fates.add(row["fate"], row["reason"])
    tables = [write_table(stage.folder, "ledger-00000.parquet", rows, LEDGER_SCHEMA)]
    tables.append(write_table(stage.folder, "links-00000.parquet", links, LINK_SCHEMA))
    with (stage.folder / name).open("rb") as file:
        tables.append(file_entry(file, name, len(rows) if is_stored else 0))
    stage.commit(tables, fates)
    stage.places = {row["url"]: (row["warc_file"], row["warc_offset"]) for row in rows}
    return stage


def _visits(pages: Iterable[Page], is_stored: bool) -> Iterator[Visit]:
    for page in pages:
        html = f"<title>{page.title}</title><p>{page.text}</p>".encode()
        links = (_link(page, number) for number in _numbers(page))
        yield _visit(page.url, page.host, "page", "text/html", html, tuple(links))
        for number in _numbers(page):
            payload = _png(_pixels(number)) if is_stored else str(number).encode()
            yield _visit(page.picture_url(number), page.host, "image", "image/png", payload, ())
    yield _lost("https://trees-00.example/forbidden", "rejected", "robots_disallowed")
    yield _lost("https://trees-01.example/gone", "failed", "http_404")


def _visit(url: str, host: str, kind: Any, media_type: str, payload: bytes, links: tuple[LinkRow, ...]) -> Visit:
    digest, head = hashlib.sha256(payload).hexdigest(), f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n\r\n"
    answer = ("kept", "", "", 200, media_type, len(payload), digest, "", -1, TIME, 1, "none", "none", 1, "walk")
    return Visit(LedgerRow(url, url, host, kind, *answer), payload, head.encode(), links)  # type: ignore[arg-type]


def _lost(url: str, fate: Any, reason: str) -> Visit:
    row = _visit(url, "trees-00.example", "page", "", b"", ()).row
    return Visit(replace(row, fate=fate, reason=reason, status=0, sha256="", num_bytes=0), None, b"", ())


def _link(page: Page, number: int) -> LinkRow:
    caption = page.captions[number % PICTURES_PER_PAGE]
    return LinkRow(
        page.url, page.picture_url(number), "image", caption, "alt", author=page.author, depth=2, source="walk"
    )


def _write_images(
    out: Path, pages: Sequence[Page], crawl: Stage, is_stored: bool, one_of: int
) -> tuple[Stage, list[dict[str, Any]]]:
    """The images stage, and the rows of its table; of planted pages one picture of five is turned away."""
    stage = Stage(out, "images", crawl)
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    for page in pages:
        for number in _numbers(page):
            if number % one_of == one_of - 1 or (page.is_planted and number % 5 == 4):
                rejects.append(_turned_away(page.picture_url(number), number, rows[-1]["key"]))
            else:
                rows.append(_image_row(page, number, crawl.places[page.picture_url(number)]))
    rows.sort(key=lambda row: order_hash(row["key"]))
    files = _write_part(stage, rows) if is_stored else []
    table = write_table(stage.folder, "images-000000.parquet", rows, IMAGE_SCHEMA)
    files += [table, *write_rejects(stage.folder, "duplicates-0000", rejects)]
    stage.commit(files, Fates.of(rejects, kept=len(rows)), configuration={"filters": {"one_of": one_of}})
    return stage, rows


def _turned_away(url: str, number: int, twin: str) -> Reject:
    known = (
        ("rejected", "near_duplicate", f"{twin}, 4 bits of 256 apart"),
        ("rejected", "extreme_aspect", "1:7.5, at most 1:3"),
        ("rejected", "flat", "3 colours"),
        ("failed", "broken_image", "cannot identify the file"),
    )
    return Reject(url, *known[number // 20 % len(known)])


def _image_row(page: Page, number: int, place: tuple[str, int]) -> dict[str, Any]:
    pixels = _pixels(number)
    key = picture_key(pixels)
    licence = LICENCES[number % len(LICENCES)]
    known = {name: kind() for name, kind in RECORD_FIELDS.items()} | {
        **{"key": key, "caption": page.captions[number % PICTURES_PER_PAGE], "caption_source": "alt"},
        **{"url": page.picture_url(number), "page_url": page.url, "sha256": hashlib.sha256(key.encode()).hexdigest()},
        **{"licence": licence, "licence_url": f"https://licences.example/{licence}", "author": page.author},
        **{"licence_method": "rel_license", "warc_file": place[0], "warc_offset": place[1], "fetched_at": TIME},
        **{"robots_rule": "none", "opt_out": "none", "width": SIDE, "height": SIDE, "tree_score": number % 101 / 100},
        **{"original_width": 640, "original_height": 480 + number % 100, "format": "png", "num_bytes": 1000 + number},
        **{"cluster": key, "split": page.split, "status": "success", "exif": "{}", "caption_language": "en"},
        **{"perceptual_hash": hashlib.sha256(pixels.tobytes()).hexdigest(), "filters": "format,pixels,side,aspect"},
    }
    return known | {"number": number, "part": "part-000000.tar", "offset": 0, "length": 0}


def _write_part(stage: Stage, rows: list[dict[str, Any]]) -> list[FileEntry]:
    """The part with the pictures themselves, in the order of the table, which learns where each stands."""

    def samples() -> Iterator[Sample]:
        offset = 0
        for row in rows:
            record = record_bytes({name: row[name] for name in RECORD_FIELDS})
            content = {"png": _png(_pixels(row["number"])), "txt": row["caption"].encode(), "json": record}
            length = sample_bytes([len(each) for each in content.values()])
            row.update(offset=offset, length=length)
            offset += length
            yield row["key"], content

    return write_shard(stage.folder / "part-000000.tar", samples(), ("png", "txt", "json"))


def _write_triplets(out: Path, rows: Sequence[dict[str, Any]], images: Stage) -> None:
    spec, stage = TripletSpec(SIDE, steps=STEPS, mode="virtual", seed=11), Stage(out, "triplets", images)

    def sample(row: dict[str, Any]) -> Sample:
        provenance = {name: row[name] for name in PROVENANCE} | {"width": row["original_width"]}
        return encode_virtual(spec, row["key"], _pixels(row["number"]), caption=row["caption"], provenance=provenance)

    keys = [(row["split"], row["key"], functools.partial(sample, row)) for row in rows]
    stage.commit_dataset(keys, extensions(spec), spec.to_json(), Fates(kept=len(rows)))


def _write_text(out: Path, pages: Sequence[Page], crawl: Stage) -> tuple[Stage, list[dict[str, Any]]]:
    """The text stage, and its documents; one page of 25 without plants has too few words."""
    stage, rows, rejects = Stage(out, "text", crawl), [], []
    for page in pages:
        if page.number % 25 == 24 and not page.is_planted:
            rejects.append(Reject(page.url, "rejected", "too_few_words", "12, at least 50"))
            continue
        known: dict[str, Any] = {each.name: _NOTHING[str(each.type)] for each in DOCUMENT_SCHEMA}
        key = hashlib.sha256(page.text.encode()).hexdigest()[:32]
        known |= {"key": key, "url": page.url, "title": page.title, "text": page.text, "author": page.author}
        known |= {"num_words": len(page.text.split()), "language": "en", "private_data": "{}", "licence": "unknown"}
        known |= {"licence_url": "unknown", "cluster": key, "split": page.split, "fetched_at": TIME}
        warc_file, warc_offset = crawl.places[page.url]
        rows.append(
            known | {"robots_rule": "none", "opt_out": "none", "warc_file": warc_file, "warc_offset": warc_offset}
        )
    rows.sort(key=lambda row: order_hash(row["key"]))
    table = write_table(stage.folder, "documents-000000.parquet", rows, DOCUMENT_SCHEMA)
    files = [table, *write_rejects(stage.folder, "duplicates-0000", rejects)]
    stage.commit(files, Fates.of(rejects, kept=len(rows)), configuration=TextConfig().configuration())
    return stage, rows


def _write_windows(out: Path, documents: Sequence[Mapping[str, Any]], text: Stage) -> None:
    stage = Stage(out, "windows", text)
    words = Counter(word for row in documents if row["split"] == "train" for word in split_words(row["text"]))
    tokenizer = WordTokenizer(build_vocabulary(words, 600))
    spec = WindowSpec.of(tokenizer, CONTEXT, CONTEXT)
    encoded = tokenizer.to_json().encode()
    tokens = write_file(stage.folder, TOKENIZER_NAME, encoded, records=tokenizer.vocab_size)
    samples = [each for split in ("train", "val", "test") for each in _windows(spec, split, tokenizer, documents)]
    keys = [(split, key, functools.partial(lambda sample: sample, (key, members))) for split, key, members in samples]
    stage.commit_dataset(keys, EXTENSIONS, spec.to_json(), Fates(kept=len(documents)), [tokens])


def _windows(
    spec: WindowSpec, split: str, tokenizer: WordTokenizer, documents: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, Mapping[str, bytes]]]:
    chosen = [row for row in documents if row["split"] == split]
    ids = [np.append(tokenizer.encode(row["text"]), tokenizer.eos_id).astype(spec.dtype) for row in chosen]
    if not ids:
        return
    stream = np.concatenate(ids)
    pieces: list[list[Piece]] = [[] for _ in range(num_windows(len(stream), CONTEXT, CONTEXT))]
    start = 0
    for row, each in zip(chosen, ids, strict=True):
        for place in place_pieces(start, len(each), CONTEXT, CONTEXT, len(stream)):
            pieces[place.window].append(Piece(row["key"], row["url"], place.start, place.length, place.offset))
        start += len(each)
    for number, parts in enumerate(pieces):
        at = number * CONTEXT
        yield split, *encode_window(spec, split, at, parts, stream[at : at + CONTEXT + 1])
