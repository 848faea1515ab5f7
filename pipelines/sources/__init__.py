"""The sources of a crawl: one module for each kind, behind two doors.

What must be asked for comes as links: `links(source, job)` yields what a source names, as link rows found nowhere.
What can be read where it lies comes as records: `open_archive(source, job)` says how (see `pipelines.archives`). Both
may ask an API, and raise `StageError` where that cannot be had.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from crawl.damage import Damage
from crawl.records import LinkRow
from crawl.urls import without_parameters
from pipelines.archives import Archive
from pipelines.sources import commoncrawl, local_folder, site, urls, warc, wikimedia
from pipelines.stages import Job

_LINKS: dict[str, Callable[[Any, Job], Iterator[LinkRow | Damage]]] = {
    "site": site.links,
    "urls": urls.links,
    "wikimedia": wikimedia.links,
}
_ARCHIVES: dict[str, Callable[[Any, Job], Archive]] = {
    "commoncrawl": commoncrawl.open_archive,
    "folder": local_folder.open_archive,
    "warc": warc.open_archive,
}


def source_links(name: str, job: Job) -> Iterator[LinkRow | Damage]:
    """Yields the links that the recipe's source of this name begins with, and what it holds that is none.

    Raises:
        StageError: it cannot be read, or names nothing.
    """
    source = job.recipe.crawl.sources[name]
    if source.source in _LINKS:
        dropped = tuple(job.recipe.crawl.drop_parameters)
        for link in _LINKS[source.source](source, job):
            if isinstance(link, LinkRow):
                yield replace(link, source=name, to_url=without_parameters(link.to_url, dropped))
            else:
                yield link


def holds_records(name: str, job: Job) -> bool:
    """Whether the recipe's source of this name holds records that can be read where they lie."""
    return job.recipe.crawl.sources[name].source in _ARCHIVES


def open_archive(name: str, job: Job) -> Archive:
    """How the recipe's source of this name is read, which holds records.

    Raises:
        StageError: it cannot be read.
    """
    source = job.recipe.crawl.sources[name]
    return _ARCHIVES[source.source](source, job)
