"""Pages to clean, real ones, as two WARC files: `articles` holds news pages, most of which are worth keeping; `mixed`
the same beside a handbook in English and in French and the pages of crawls and small sites, each once.

Of `mixed` French prose alone is wanted, one page in eight: most pages of a crawl are in another language than the one
that is looked for, and others are shops, lists, menus, programs, pages of a few words.
"""

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from crawl.archived_answer import read_answer
from crawl.encoding import decode_page
from crawl.main_text import extract_main_text
from crawl.page_tree import parse_page
from crawl.warc_reader import ArchiveRecord, scan
from tests.bench.photographs import MissingError
from tests.bench.prose import MAX_BYTES

ARTICLES = "pages/article-extraction.tar.gz"
OTHERS = (
    "sites/debian-handbook-en-fr.tar.gz",
    "warc/warc-samples.tar.gz",
    "sites/treeid.tar.gz",
    "sites/gwhs-arboretum.tar.gz",
)


def make_prose(data: Path, folder: Path) -> None:
    """Writes `articles.warc.gz` and `mixed.warc.gz` into a folder, unless they are there.

    Raises:
        MissingError: there is nothing to make them from.
    """
    if (folder / "rules.count").exists():
        return
    missing = [name for name in (ARTICLES, *OTHERS) if not (data / name).exists()]
    if missing:
        raise MissingError(f"{data / missing[0]} is not there")
    folder.mkdir(parents=True, exist_ok=True)
    articles = list(_pages(data / ARTICLES))
    mixed = list(dict.fromkeys([*articles, *(page for name in OTHERS for page in _pages(data / name))]))
    texts = [
        extract_main_text(tree, "") for page in articles if (tree := parse_page(decode_page(page, None))) is not None
    ]
    (folder / "texts").write_text("\0".join(text.replace("\0", " ") for text in texts), "utf-8")
    _write(folder / "articles.warc.gz", articles)
    _write(folder / "mixed.warc.gz", mixed)
    for name, pages in (("articles", articles), ("mixed", mixed)):
        (folder / f"{name}.count").write_text(str(len(pages)))
    (folder / "rules.count").write_text(str(len(texts)))


def _pages(archive: Path) -> Iterator[bytes]:
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None and member.name.lower().endswith((".html", ".htm")):
                yield file.read()
            elif file is not None and member.name.endswith(".warc.gz"):
                yield from _archived(file.read())
            elif file is not None and member.name.endswith(".html.gz"):
                yield gzip.decompress(file.read())


def _archived(archive: bytes) -> Iterator[bytes]:
    """The pages in a WARC file, as far as it is whole."""
    with io.BytesIO(archive) as file, io.BytesIO(archive) as again:
        for found in scan(file, 0, len(archive)):
            if isinstance(found, ArchiveRecord) and found.kind == "response":
                body = read_answer(again, found.place, MAX_BYTES, gzipped=True).body
                if body and b"<html" in body[:2_000].lower():
                    yield body


def _write(path: Path, pages: list[bytes]) -> None:
    aside = path.with_suffix(".aside")
    with aside.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for number, page in enumerate(pages):
            http = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], "HTTP/1.1")
            record = writer.create_warc_record(
                f"https://bench.example/{number}",
                "response",
                io.BytesIO(page),
                http_headers=http,
                warc_headers_dict={
                    "WARC-Identified-Payload-Type": "text/html"
                },  # without it datatrove passes over many
            )
            writer.write_record(record)
    aside.rename(path)
