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
from crawl.warc_reader import Span
from pipelines.archives import Archive, Listed
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
        for link in _LINKS[source.source](source, job):
            yield _known_as(link, name, job) if isinstance(link, LinkRow) else link


def holds_records(name: str, job: Job) -> bool:
    """Whether the recipe's source of this name holds records that can be read where they lie."""
    return job.recipe.crawl.sources[name].source in _ARCHIVES


def open_archive(name: str, job: Job) -> Archive:
    """How the recipe's source of this name is read, which holds records.

    Raises:
        StageError: it cannot be read.
    """
    source = job.recipe.crawl.sources[name]
    archive = _ARCHIVES[source.source](source, job)

    def records(part: str) -> Iterator[Listed | Span]:
        for found in archive.records(part):
            yield found if isinstance(found, Span) else replace(found, link=_known_as(found.link, name, job))

    return archive._replace(records=records)


def _known_as(link: LinkRow, name: str, job: Job) -> LinkRow:
    """What the source of some name offers, under the URL that the crawl knows it by."""
    is_web = link.to_url.startswith(("http:", "https:"))
    dropped = tuple(job.recipe.crawl.drop_parameters) if is_web else ()
    return replace(link, source=name, to_url=without_parameters(link.to_url, dropped))
