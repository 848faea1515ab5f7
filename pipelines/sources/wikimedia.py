"""Wikimedia Commons: what its API lists by category."""

import functools
from collections.abc import Iterator

from crawl.api import request_json
from crawl.http import FetchError
from crawl.records import LinkRow
from crawl.wikimedia import WikimediaSettings, discover
from pipelines.errors import StageError
from pipelines.fetching import fetch_settings
from pipelines.held import HeldOnDisk
from pipelines.nothing_fetched import would_do
from pipelines.source_recipes import WikimediaSource
from pipelines.stages import Job


def links(source: WikimediaSource, job: Job) -> Iterator[LinkRow]:
    """Yields the pictures and articles that the API lists.

    Raises:
        StageError: the API could not be had, or knows nothing of the categories.
    """
    wanted = WikimediaSettings(**source.model_dump(exclude={"source"}))
    get = functools.partial(request_json, settings=fetch_settings(job), held=HeldOnDisk(job.folder))
    num_found = 0
    try:
        for link in discover(wanted, get):
            num_found += 1
            yield link
    except FetchError as error:
        raise StageError(f"crawl: {wanted.api}: {error}; {would_do(error.reason)}") from error
    if not num_found:
        categories = ", ".join(wanted.categories)
        raise StageError(f"crawl: {wanted.api} lists no picture under {categories}; check the source's categories")
