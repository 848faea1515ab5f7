"""The sources of a crawl, as a recipe names them: any number of each, mixed freely, under names of one's own.

    sources:
      walk: {source: site, seeds: ["https://trees.example/walk/"]}
      listed: {source: urls, files: [photographs.parquet], caption_column: text}
      archive: {source: warc, files: ["crawl-*.warc.gz"]}

How far each reaches beyond what it names itself stands in its `crawl.settings.Scope`.
"""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from crawl.settings import Follow, Scope
from crawl.urls import canonical_url, host_of
from pipelines.section import Section
from pipelines.web_names import Address, FolderAddress, Host

Kind = Literal["page", "image"]
HashAlgorithm = Literal["md5", "sha1", "sha256"]


class SiteSource(Section):
    """Web sites, from their seeds on along the links."""

    source: Literal["site"]
    seeds: list[str] = Field(default=[], description="where to begin")
    hosts: list[Host] = Field([], description="whose pages are followed; neither these nor domains: those of the seeds")
    domains: list[Host] = Field([], description="followed with every host below them")
    path_prefix: str = Field("/", pattern=r"^/", description="only pages below this path are followed")
    picture_hosts: list[Host] | None = Field(None, description="where pictures may lie; none given: anywhere")
    max_depth: int = Field(10, ge=0, description="links followed from a seed")
    sitemaps: bool = Field(True, description="whether the sitemaps that robots.txt names are read too")

    @field_validator("seeds")
    @classmethod
    def _seeds_can_be_fetched(cls, seeds: list[str]) -> list[str]:
        for seed in seeds:
            if canonical_url(seed) is None:
                raise ValueError(f"{seed!r} is not an address to fetch; write it as https://example.org/")
        return seeds

    @model_validator(mode="after")
    def _begins_somewhere(self) -> Self:
        if not self.seeds:
            raise ValueError("source 'site' needs at least one address under seeds")
        return self

    def scope(self) -> Scope:
        """How far it reaches."""
        seeds = sorted({host_of(seed) for seed in self.canonical_seeds()})
        return Scope(
            hosts=tuple(self.hosts or ([] if self.domains else seeds)),
            domains=tuple(self.domains),
            path_prefix=self.path_prefix,
            picture_hosts=None if self.picture_hosts is None else tuple(self.picture_hosts),
            max_depth=self.max_depth,
            sitemaps=self.sitemaps,
        )

    def canonical_seeds(self) -> list[str]:
        """The seeds as they are asked for."""
        return [url for url in map(canonical_url, self.seeds) if url is not None]


class UrlsSource(Section):
    """Lists of addresses: txt, csv, tsv, json, jsonl or parquet, gzipped or not, local or behind a URL."""

    source: Literal["urls"]
    files: list[str] = Field(min_length=1, description="paths, URLs, or patterns such as lists/*.parquet")
    kind: Kind = Field("image", description="whether the addresses are those of pictures or of pages")
    url_column: str = Field("url", min_length=1)
    caption_column: str | None = None
    columns: list[str] = Field([], description="further columns that are carried along")
    hash_column: str | None = Field(None, description="of the file's hash, in hex, which is verified")
    hash_algorithm: HashAlgorithm = "sha256"
    follow: Follow = Field("nothing", description="pictures, or links too, where the addresses are of pages")

    def scope(self) -> Scope:
        """How far it reaches: links are followed on any host."""
        return Scope(hosts=None, follow=self.follow)


class WarcSource(Section):
    """Web archives: WARC 1.0, 1.1 and ARC, gzipped or not, local or behind a URL."""

    source: Literal["warc"]
    files: list[str] = Field(min_length=1, description="paths, URLs, or patterns such as archive/*.warc.gz")
    split_bytes: int = Field(64 * 2**20, ge=4096, description="of a file that one worker reads on its own")
    follow: Follow = Field("nothing", description="pictures, or links too: what is not in the archive is then fetched")

    def scope(self) -> Scope:
        """How far it reaches."""
        return Scope(hosts=None, follow=self.follow)


class CommonCrawlSource(Section):
    """Records of Common Crawl, looked up in its index and fetched one by one."""

    source: Literal["commoncrawl"]
    urls: tuple[str, ...] = Field(min_length=1, description="what to look for, such as trees.example")
    match: Literal["exact", "prefix", "host", "domain"] = Field("domain", description="what each of them stands for")
    crawls: tuple[str, ...] = Field((), description="such as CC-MAIN-2026-21; none is the newest")
    media_types: tuple[str, ...] = Field(("text/html",), description="none is any")
    languages: tuple[str, ...] = Field((), description="ISO 639-3, such as eng; none is any")
    max_records: int = Field(10_000, ge=1)
    follow: Follow = Field("nothing", description="pictures, or links too: they are fetched from their own hosts")
    index: Address = Field("https://index.commoncrawl.org/collinfo.json", description="the list of crawls")
    data: FolderAddress = Field("https://data.commoncrawl.org/", description="where the archives lie")

    def scope(self) -> Scope:
        """How far it reaches."""
        return Scope(hosts=None, follow=self.follow)


class FolderSource(Section):
    """Pictures and text on disk; `NAME.txt` or `NAME.json` beside a picture is its caption."""

    source: Literal["folder"]
    path: str = Field(min_length=1)

    def scope(self) -> Scope:
        """How far it reaches: nothing in it is followed."""
        return Scope(hosts=(), follow="nothing")


class WikimediaSource(Section):
    """Pictures of Wikimedia Commons, and Wikipedia's articles that show them, by category through the MediaWiki API."""

    source: Literal["wikimedia"]
    categories: tuple[str, ...] = Field(min_length=1, description="category names, without 'Category:'")
    max_category_depth: int = Field(1, ge=0, le=10)
    max_categories: int = Field(200, ge=1)
    max_files: int = Field(500, ge=1)
    max_articles: int = Field(100, ge=0)
    wikis: tuple[Host, ...] = Field(
        default=("en.wikipedia.org",), description="Wikipedias whose articles use the files"
    )
    thumbnail_width: int = Field(640, ge=64, le=4096, description="pixels; the API makes the smaller copy")
    api: Address = Field("https://commons.wikimedia.org/w/api.php", description="the API's address")

    def scope(self) -> Scope:
        """How far it reaches: to what the API lists."""
        return Scope(hosts=self.wikis, follow="nothing")


Source = Annotated[
    SiteSource | UrlsSource | WarcSource | CommonCrawlSource | FolderSource | WikimediaSource,
    Field(discriminator="source"),
]


def check_names(names: Collection[str]) -> None:
    """Checks that there are sources, and that their names can stand in file names.

    Raises:
        ValueError: there are none, or a name cannot.
    """
    if not names:
        raise ValueError("no source is named; write one as in walk: {source: site, seeds: ['https://example.org/']}")
    for name in names:
        if not (name.isascii() and name.replace("-", "").isalnum() and len(name) <= 32):
            raise ValueError(f"source {name!r}: name it with up to 32 letters, digits and hyphens")
