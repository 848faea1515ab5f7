"""Lists of addresses, with captions and whatever else their columns hold."""

import functools
from collections.abc import Iterator

from crawl.damage import Damage
from crawl.list_text import ListError
from crawl.records import LinkRow
from crawl.stored_file import open_stored
from crawl.url_lists import ListSettings, read_url_list
from pipelines.errors import StageError, said
from pipelines.fetching import fetch_settings
from pipelines.held import HeldOnDisk
from pipelines.source_files import find_files
from pipelines.source_recipes import UrlsSource
from pipelines.stages import Job


def links(source: UrlsSource, job: Job) -> Iterator[LinkRow | Damage]:
    """Yields a link to each address, and each row that holds none.

    Raises:
        StageError: a list cannot be read, or lacks a column.
    """
    settings = ListSettings(
        url_column=source.url_column,
        caption_column=source.caption_column,
        hash_column=source.hash_column,
        hash_algorithm=source.hash_algorithm,
        extra_columns=tuple(source.columns),
    )
    open_file = functools.partial(open_stored, settings=fetch_settings(job), held=HeldOnDisk(job.folder))
    for path in find_files(source.files):
        try:
            for row in read_url_list(path, settings, open_file):
                yield (
                    row
                    if isinstance(row, Damage)
                    else _link(row.url, row.caption, row.extra, row.expected_hash, source)
                )
        except (ListError, OSError) as error:
            raise StageError(f"crawl: {said(error)}") from error


def _link(url: str, caption: str, extra: str, expected_hash: str, source: UrlsSource) -> LinkRow:
    return LinkRow(
        from_url="",
        to_url=url,
        kind=source.kind,
        caption=caption,
        caption_source="list" if caption else "none",
        extra=extra,
        expected_hash=expected_hash,
    )
