"""Pages to clean, real ones, as two WARC files: `articles` holds news pages, most of which are worth keeping; `mixed`
the same beside many pages that are not.
"""

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from crawl.encoding import decode_page
from crawl.main_text import extract_main_text
from crawl.page_tree import parse_page
from tests.bench.photographs import MissingError

ARTICLES = "pages/article-extraction.tar.gz"
SITES = ("sites/greeneville-walks.tar.gz", "sites/treeid.tar.gz", "sites/gwhs-arboretum.tar.gz")
NUM_COPIES = 60
"""Of each page of the small sites, which are mostly too short, lists, or repeat themselves."""


def make_prose(data: Path, folder: Path) -> None:
    """Writes `articles.warc.gz` and `mixed.warc.gz` into a folder, unless they are there.

    Raises:
        MissingError: there is nothing to make them from.
    """
    if (folder / "rules.count").exists():
        return
    missing = [name for name in (ARTICLES, *SITES) if not (data / name).exists()]
    if missing:
        raise MissingError(f"{data / missing[0]} is not there")
    folder.mkdir(parents=True, exist_ok=True)
    articles = list(_pages(data / ARTICLES))
    others = [page for name in SITES for page in _pages(data / name)]
    texts = [
        extract_main_text(tree, "") for page in articles if (tree := parse_page(decode_page(page, None))) is not None
    ]
    (folder / "texts").write_text("\0".join(text.replace("\0", " ") for text in texts), "utf-8")
    _write(folder / "articles.warc.gz", articles)
    _write(folder / "mixed.warc.gz", articles + others * NUM_COPIES)
    for name, count in (("articles", len(articles)), ("mixed", len(articles) + len(others) * NUM_COPIES)):
        (folder / f"{name}.count").write_text(str(count))
    (folder / "rules.count").write_text(str(len(texts)))


def _pages(archive: Path) -> Iterator[bytes]:
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None and member.name.lower().endswith((".html", ".htm")):
                yield file.read()
            elif file is not None and member.name.endswith(".html.gz"):
                yield gzip.decompress(file.read())


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
