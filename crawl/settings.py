"""Everything that decides how a crawl behaves, with polite defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from crawl.content_coding import MAX_EXPANSION
from crawl.opt_outs import ALL_RESPECTED, OptOuts
from crawl.records import Kind, LinkRow
from crawl.urls import TRACKING_PARAMETERS, is_within

PRODUCT = "seedbed"
"""Product token: what robots.txt and robots directives call this crawler."""


@dataclass(frozen=True, slots=True)
class HostSpent:
    """What a host has been asked for in earlier rounds: pages and pictures that took at least one request."""

    pages: int = 0
    pictures: int = 0


MAX_SITEMAP_DEPTH = 2
"""Indexes that a sitemap may be listed in, within one another. Source: sitemaps.org allows one."""

MAX_SITEMAPS_PER_HOST = 1_000
"""Sitemaps asked of one host in a round."""

MAX_SITEMAP_BYTES = 16 * 2**20
"""Of a sitemap, as sent and decoded. Source: the protocol's limit was 10 MB until 2016; it is 50 MB now."""

Follow = Literal["nothing", "pictures", "links"]


@dataclass(frozen=True, slots=True)
class Scope:
    """How far one source of a crawl reaches.

    Attributes:
        hosts: hosts whose pages are asked for, each with and without "www."; None is any host.
        domains: domains whose pages are asked for, on every host below them too.
        path_prefix: path under which pages are asked for.
        picture_hosts: hosts whose pictures are asked for; None is any host.
        max_depth: links a page may be away from the nearest of those that the source names.
        sitemaps: whether the sitemaps that the robots.txt of its hosts name are read too.
        follow: what is asked for besides what the source names: what its pages show, what they link to as well, or
            nothing.
    """

    hosts: tuple[str, ...] | None = ()
    domains: tuple[str, ...] = ()
    path_prefix: str = "/"
    picture_hosts: tuple[str, ...] | None = None
    max_depth: int = 10
    sitemaps: bool = False
    follow: Follow = "links"

    def covers(self, link: LinkRow) -> bool:
        """Return whether what a link leads to is to be asked for."""
        if link.kind == "sitemap":
            return self.sitemaps and link.depth <= MAX_SITEMAP_DEPTH
        if link.kind == "image":
            is_followed = link.depth == 0 or self.follow != "nothing"
            return is_followed and (self.picture_hosts is None or is_within(link.to_url, self.picture_hosts))
        if link.depth > 0 and (self.follow != "links" or link.depth > self.max_depth):
            return False
        return self.hosts is None or is_within(link.to_url, self.hosts, self.path_prefix, self.domains)


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """How hosts are asked, what is asked for, and where to stop.

    Attributes:
        contact: address or URL at which whoever runs this crawl can be reached; sent with each request.
        scopes: how far each source reaches, by its name.
        max_pages_per_host: pages asked of one host over all rounds.
        max_pictures_per_host: pictures asked of one host over all rounds.
        max_urls_per_host: URLs asked of one host in one round; the rest stays due.
        round_time_s: seconds after which a round begins no further request; the rest stays due.
        num_hosts: hosts asked at the same time.
        delay_s: seconds between the end of one request to a host and the start of the next.
        response_time_multiple: pauses are at least so many times as long as the host took to answer, up to
            `max_delay_s`. Heritrix waits five times as long, but never less than three seconds.
        connections_per_address: requests that one process has under way at one time to hosts that share an address;
            hosts in `allow_hosts` and `connect_to` are whoever runs the crawl's own concern.
        max_delay_s: longest delay accepted from robots.txt or Retry-After.
        max_attempts: requests made for one URL before giving up on a fault that may pass.
        max_redirects: redirects followed for one URL; browsers follow 20. Source: Fetch Standard, 4.3.
        connect_timeout_s: seconds for a connection, TLS included.
        timeout_s: seconds for a request from beginning to end, a body that drips included.
        max_header_bytes: bytes of status line and headers. Source: between what Node (16 KiB) and what curl (300 KiB)
            accept; many servers send no more than 8 KiB, but policies of content security can be longer.
        max_page_bytes: bytes of a page, as sent and decoded. Measured: the largest of 494 real pages has 1.5 MB; a
            page of so many takes up to 17 times as much memory while it is read.
        max_picture_bytes: bytes of a picture, as sent and decoded.
        max_expansion: decoded bytes for each byte sent, see `crawl.content_coding.MAX_EXPANSION`.
        picture_width: width in pixels wanted of a picture that is offered in several.
        opt_outs: which opt-outs are respected.
        site_opt_outs: whether each origin is asked for its tdmrep.json and ai.txt, so far as they are respected.
        drop_parameters: parameters that no URL is known by, see `crawl.urls.without_parameters`.
        allow_hosts: hosts that may have any address, private ones included, and any port.
        allow_ports: ports that are asked on all other hosts.
        connect_to: host to "address:port": the connection goes there, URL and Host header stay.
    """

    contact: str
    scopes: Mapping[str, Scope] = field(default_factory=dict, hash=False)
    max_pages_per_host: int = 1_000
    max_pictures_per_host: int = 10_000
    max_urls_per_host: int = 1_000
    round_time_s: float = 900.0
    num_hosts: int = 64
    delay_s: float = 1.0
    response_time_multiple: float = 2.0
    connections_per_address: int = 4
    max_delay_s: float = 60.0
    max_attempts: int = 3
    max_redirects: int = 10
    connect_timeout_s: float = 10.0
    timeout_s: float = 30.0
    max_header_bytes: int = 64 * 1024
    max_page_bytes: int = 3 * 2**20
    max_picture_bytes: int = 32 * 2**20
    max_expansion: float = MAX_EXPANSION
    picture_width: int = 512
    opt_outs: OptOuts = ALL_RESPECTED
    site_opt_outs: bool = True
    drop_parameters: tuple[str, ...] = TRACKING_PARAMETERS
    allow_hosts: tuple[str, ...] = ()
    allow_ports: tuple[int, ...] = (80, 443)
    connect_to: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Check the contact, which becomes part of a header.

        Raises:
            ValueError: it is empty or holds anything but printable ASCII.
        """
        if not self.contact.strip() or not (self.contact.isascii() and self.contact.isprintable()):
            raise ValueError(f"contact {self.contact!r}: give an e-mail address or URL in printable ASCII")

    @property
    def user_agent(self) -> str:
        """What is sent as User-Agent, such as "seedbed/0.1.0 (+https://trees.example/crawler)"."""
        return f"{PRODUCT}/{_installed_version()} (+{self.contact})"

    def budget(self, kind: Kind) -> int:
        """Return how many URLs of a kind one host is asked for over all rounds."""
        budgets = {"page": self.max_pages_per_host, "image": self.max_pictures_per_host}
        return budgets.get(kind, MAX_SITEMAPS_PER_HOST)

    def sources_of(self, host: str) -> list[str]:
        """Return the sources that want to read the sitemaps of a host."""
        url = f"http://{host}/" if ":" not in host else f"http://[{host}]/"
        return [
            name
            for name, scope in self.scopes.items()
            if scope.sitemaps and (scope.hosts is None or is_within(url, scope.hosts, domains=scope.domains))
        ]

    def max_bytes(self, kind: Kind) -> int:
        """Return how many bytes an answer of a kind may have."""
        limits = {"page": self.max_page_bytes, "image": self.max_picture_bytes}
        return limits.get(kind, MAX_SITEMAP_BYTES)


def is_wanted(link: LinkRow, settings: FetchSettings) -> bool:
    """Return whether what a link leads to is to be asked for: whether the source that led to it reaches there.

    A picture whose page speaks against its use is not.
    """
    scope = settings.scopes.get(link.source)
    return scope is not None and link.opt_out == "none" and scope.covers(link)


def _installed_version() -> str:
    try:
        return version(PRODUCT)
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0"
