"""The `ATTRIBUTION` of a stage: written from the tables of clean pictures, and without what is forgotten."""

from collections.abc import Callable, Iterable

from crawl.records import UNKNOWN
from pipelines.tables import read_table, write_file
from shards.attribution import NAME, Credit, attribution_text, credits_in
from shards.manifest import FileEntry
from shards.object_path import AnyPath


def write_attribution(folder: AnyPath, tables: Iterable[AnyPath]) -> FileEntry:
    """Writes into `folder` whose pictures stand in `tables` (`images-*.parquet`)."""
    credits_: set[Credit] = set()
    for table in tables:
        columns = read_table(str(table), Credit._fields)
        credits_.update(map(Credit._make, zip(*(columns[name].to_pylist() for name in Credit._fields), strict=True)))
    return write_file(folder, NAME, attribution_text(credits_).encode(), records=len(credits_))


def attribution_without(text: str, is_forgotten: Callable[[str], bool]) -> tuple[str, int]:
    """The text without the pictures that are forgotten, and without what forgotten pages said; and its lines.

    Args:
        text: of an `ATTRIBUTION`.
        is_forgotten: whether the record of an address is to go.
    """
    left = []
    for credit in credits_in(text):
        if not is_forgotten(credit.url):
            left.append(Credit(UNKNOWN, UNKNOWN, credit.url, "") if is_forgotten(credit.page_url) else credit)
    return attribution_text(left), len(left)
