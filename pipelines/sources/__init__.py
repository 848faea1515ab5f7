"""The sources of a crawl: one module for each kind, all with the same door.

`links(source, job)` yields what the source names, as link rows found nowhere; whatever is behind them is asked for,
or read, by the crawl itself. `links` may ask an API, and raises `StageError` where that cannot be had.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from crawl.records import LinkRow
from pipelines.sources import site, wikimedia
from pipelines.stages import Job

_LINKS: dict[str, Callable[[Any, Job], Iterator[LinkRow]]] = {
    "site": site.links,
    "wikimedia": wikimedia.links,
}


def source_links(name: str, job: Job) -> Iterator[LinkRow]:
    """Yields the links that the recipe's source of this name begins with.

    Raises:
        StageError: it cannot be read, or names nothing.
    """
    source = job.recipe.crawl.sources[name]
    for link in _LINKS[source.source](source, job):
        yield replace(link, source=name)
