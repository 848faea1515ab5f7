"""What a recipe's sources lead to, counted without asking anybody: by lists, sizes and folders, or by their limits."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from crawl.damage import Damage
from crawl.list_text import ListError
from crawl.local_folder import read_folder
from crawl.stored_file import open_stored
from crawl.url_lists import ListSettings, read_url_list
from crawl.urls import host_of
from pipelines.errors import StageError, said
from pipelines.fetching import settings_of
from pipelines.plan.profile import Profile
from pipelines.recipe import Recipe
from pipelines.source_files import find_files
from pipelines.source_recipes import (
    CommonCrawlSource,
    FolderSource,
    SiteSource,
    Source,
    UrlsSource,
    WarcSource,
    WikimediaSource,
)
from shards.store import is_url

WARC_PAGE_BYTES = 32_000
"""Compressed bytes of WARC for each page: about what a page takes in Common Crawl's archives."""

API_FILES = 50
"""Files that an answer of MediaWiki's API lists."""

KINDS = ("page", "image")

Wanted = Counter[tuple[str, str]]
"""How many pages and pictures each host is asked for, by (host, "page" or "image")."""


@dataclass
class Asked:
    """What one source leads to.

    Attributes:
        name: in the recipe.
        wanted: of each host.
        more: further requests of each host: of APIs and indexes.
        pages: read from archives and folders.
        pictures: read from archives and folders.
        read_bytes: of those.
        is_limit: whether it is no count, but the most there can be.
        said: how it was counted.
    """

    name: str
    wanted: Wanted = field(default_factory=Counter)
    more: Counter[str] = field(default_factory=Counter)
    pages: int = 0
    pictures: int = 0
    read_bytes: int = 0
    is_limit: bool = False
    said: list[str] = field(default_factory=list)


def what_is_asked(recipe: Recipe, profile: Profile) -> list[Asked]:
    """What each source of a recipe leads to.

    Raises:
        StageError: a list or a folder of this machine is not there, or cannot be read.
    """
    return [_asked(name, source, recipe, profile) for name, source in recipe.crawl.sources.items()]


def _asked(name: str, source: Source, recipe: Recipe, profile: Profile) -> Asked:
    asked = Asked(name)
    if isinstance(source, SiteSource):
        _site(asked, source, recipe, profile)
    elif isinstance(source, UrlsSource):
        _list(asked, source, recipe, profile)
    elif isinstance(source, WarcSource):
        _archives(asked, source, profile)
    elif isinstance(source, FolderSource):
        _folder(asked, source)
    elif isinstance(source, CommonCrawlSource):
        _common_crawl(asked, source)
    else:
        _wikimedia(asked, source)
    return asked


def _site(asked: Asked, source: SiteSource, recipe: Recipe, profile: Profile) -> None:
    """As many pages of each host as the recipe allows, and as many pictures as pages were measured to lead to."""
    scope, crawl = source.scope(), recipe.crawl
    hosts = [*scope.hosts] if scope.hosts else []
    pictures = min(round(crawl.max_pages_per_host * profile.pictures_per_page), crawl.max_pictures_per_host)
    for host in (*hosts, *scope.domains):
        asked.wanted[host, "page"] = crawl.max_pages_per_host
        asked.wanted[host, "image"] = pictures
    asked.is_limit = True
    asked.said.append(
        f"{crawl.max_pages_per_host:,} pages, as the recipe allows, and {pictures:,} pictures of each host: "
        f"{', '.join((*hosts, *scope.domains))}"
    )
    if scope.domains:
        asked.said.append(f"{', '.join(scope.domains)}: counted as one host each; those below are not known")


def _list(asked: Asked, source: UrlsSource, recipe: Recipe, profile: Profile) -> None:
    """The rows of the lists, by host."""
    columns = ListSettings(source.url_column, source.caption_column, source.hash_column, source.hash_algorithm)
    settings = settings_of(recipe)
    num_rows = 0
    for path in _local_files(asked, source.files):
        try:
            for row in read_url_list(path, columns, lambda each: open_stored(each, settings)):
                if not isinstance(row, Damage):
                    asked.wanted[host_of(row.url), source.kind] += 1
                    num_rows += 1
        except (ListError, OSError) as error:
            raise StageError(f"plan: {said(error)}; check the files that the recipe names") from error
    asked.said.append(f"{num_rows:,} addresses; hosts: {len(asked.wanted):,}")
    if source.kind == "page":
        _follow(asked, source.follow, profile)


def _archives(asked: Asked, source: WarcSource, profile: Profile) -> None:
    files = _local_files(asked, source.files)
    asked.read_bytes = sum(Path(path).stat().st_size for path in files)
    asked.pages = round(asked.read_bytes / WARC_PAGE_BYTES)
    asked.said.append(f"{len(files):,} files, {asked.read_bytes / 1e9:,.3f} GB; {WARC_PAGE_BYTES:,} bytes a page")
    if source.follow != "nothing":
        asked.said.append("what its pages lead to is not counted: their hosts are not known")


def _folder(asked: Asked, source: FolderSource) -> None:
    try:
        for file in read_folder(Path(source.path)):
            if not isinstance(file, Damage):
                asked.pictures += file.kind == "image"
                asked.pages += file.kind == "page"
                asked.read_bytes += file.num_bytes
    except (OSError, ValueError) as error:
        raise StageError(f"plan: {said(error)}; check the source's path") from error
    asked.said.append(f"{asked.pictures:,} pictures, {asked.pages:,} texts, {asked.read_bytes / 1e9:,.3f} GB")


def _common_crawl(asked: Asked, source: CommonCrawlSource) -> None:
    asked.pages = source.max_records
    asked.read_bytes = source.max_records * WARC_PAGE_BYTES
    asked.more[host_of(source.data)] = source.max_records
    asked.more[host_of(source.index)] = 1 + len(source.urls) * max(len(source.crawls), 1)
    asked.is_limit = True
    asked.said.append(f"{source.max_records:,} records, the most that the recipe allows")
    if source.follow != "nothing":
        asked.said.append("what its pages lead to is not counted: their hosts are not known")


def _wikimedia(asked: Asked, source: WikimediaSource) -> None:
    asked.wanted["upload.wikimedia.org", "image"] = source.max_files
    for wiki in source.wikis:
        asked.wanted[wiki, "page"] = source.max_articles // len(source.wikis)
    asked.more[host_of(source.api)] = source.max_categories + -(-source.max_files // API_FILES)
    asked.is_limit = True
    asked.said.append(f"{source.max_files:,} files and {source.max_articles:,} articles, as the recipe allows")


def _follow(asked: Asked, follow: str, profile: Profile) -> None:
    """Adds what listed pages lead to, as far as that can be guessed."""
    if follow == "nothing":
        return
    for (host, kind), count in list(asked.wanted.items()):
        if kind == "page":
            asked.wanted[host, "image"] += round(count * profile.pictures_per_page)
    asked.said.append(f"{profile.pictures_per_page:.1f} pictures a page, on its own host")
    if follow == "links":
        asked.said.append("pages that they link to are not counted: nobody knows how many")


def _local_files(asked: Asked, patterns: list[str]) -> list[str]:
    """The files of this machine; of others it is said that they were not looked at."""
    far = [pattern for pattern in patterns if is_url(pattern)]
    if far:
        asked.said.append(f"not counted, for they are not on this machine: {', '.join(far)}")
    return find_files([pattern for pattern in patterns if not is_url(pattern)], "plan")


def requests_of_hosts(asked: list[Asked], recipe: Recipe) -> Counter[str]:
    """How often each host is asked, within the recipe's budgets, its robots.txt and other files of a site included."""
    crawl = recipe.crawl
    budgets = {"page": crawl.max_pages_per_host, "image": crawl.max_pictures_per_host}
    requests: Counter[str] = Counter()
    for (host, kind), count in wanted_of_hosts(asked).items():
        requests[host] += min(count, budgets[kind])
    for host in requests:
        requests[host] += 3 if crawl.site_opt_outs else 1
    for each in asked:
        requests.update(each.more)
    return requests


def wanted_of_hosts(asked: list[Asked]) -> Wanted:
    """What all sources together want of each host."""
    wanted: Wanted = Counter()
    for each in asked:
        wanted.update(each.wanted)
    return wanted


def fetched_of(asked: list[Asked], recipe: Recipe) -> Iterator[tuple[str, int]]:
    """How many pages and pictures are fetched from each host, within the recipe's budgets."""
    budgets = {"page": recipe.crawl.max_pages_per_host, "image": recipe.crawl.max_pictures_per_host}
    for (_, kind), count in wanted_of_hosts(asked).items():
        yield kind, min(count, budgets[kind])
