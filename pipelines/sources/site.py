"""Web sites: they begin at their seeds."""

from collections.abc import Iterator

from crawl.records import LinkRow
from pipelines.source_recipes import SiteSource
from pipelines.stages import Job


def links(source: SiteSource, job: Job) -> Iterator[LinkRow]:
    """Yields a link to each seed."""
    for seed in source.canonical_seeds():
        yield LinkRow(from_url="", to_url=seed, kind="page")
