r"""One spelling for each URL, read as browsers read it.

The canonical form of a URL is the serialisation of the URL Standard (https://url.spec.whatwg.org/), through `ada-url`,
without its fragment:

* scheme and host in lower case, the host in Punycode, an IPv4 address in any spelling as four decimal numbers;
* no port where it is the scheme's own, 80 or 443; a closing dot of the host stays, as it is part of the name;
* dots resolved in the path, `\` read as `/`, an empty path as `/`; spaces and what is not ASCII percent-encoded;
* percent-encodings as they were written, and no two URLs taken for one because their paths or queries look alike;
* parameters of the query in their order and with their bytes, but for those that only track who came from where:
  `without_parameters` takes them out, as a crawl's `drop_parameters` say, wherever a URL is met.
"""

import fnmatch
import functools
import re
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import unquote

import ada_url

MAX_URL_LENGTH = 8000
"""Longest URL accepted, in characters. Source: RFC 9110, section 4.1 (recommended minimum for recipients)."""

TRACKING_PARAMETERS = (
    "utm_*", "gclid", "gclsrc", "gbraid", "wbraid", "dclid", "srsltid",  # Google Analytics, Ads, Merchant Center
    "fbclid", "igshid", "msclkid", "twclid", "ttclid", "li_fat_id", "yclid", "ysclid", "_openstat", "rb_clickid",
    "mc_cid", "mc_eid", "mkt_tok", "oly_anon_id", "oly_enc_id", "vero_conv", "vero_id", "wickedid", "__s",
    "_hsenc", "_hsmi", "__hssc", "__hstc", "__hsfp", "hsctatracking", "ml_subscriber", "ml_subscriber_hash",
)  # fmt: skip
"""Parameters that tell where a visitor came from and never what is shown; `*` stands for any characters.

Source: what browsers take out of URLs themselves (Firefox's query stripping, Brave's query filter), and what the
services that add them document; names that some sites select content by ("ref", "source", "s_cid") are not among them.
"""

_PORTS = {"http:": 80, "https:": 443}
"""Ports of the schemes, where a URL names none."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def canonical_url(url: str, base: str | None = None) -> str | None:
    r"""Return the URL as browsers would ask for it, without fragment, or None where it is not for us.

    Not for us are schemes other than http and https, hosts that do not parse, URLs that carry a user name or
    password (they are nobody's to use), and URLs longer than `MAX_URL_LENGTH`.

    Args:
        url: absolute or relative reference as found, `\` for `/` included.
        base: URL to resolve a relative reference against.

    >>> canonical_url("img\\Oak 1.jpg", "HTTP://Trees.example:80/walk/")
    'http://trees.example/walk/img/Oak%201.jpg'
    >>> canonical_url("mailto:gardener@trees.example") is None
    True
    """
    if len(url) > MAX_URL_LENGTH:
        return None
    try:
        parsed = ada_url.URL(_LONE_SURROGATE.sub("\ufffd", url), base)
    except ValueError:
        return None
    if parsed.protocol not in ("http:", "https:") or parsed.username or parsed.password:
        return None
    parsed.hash = ""
    href: str = parsed.href
    return href if len(href) <= MAX_URL_LENGTH else None


def canonical_host(name: str) -> str | None:
    """Return a host's name or IP address as `host_of` gives it, None where it is none.

    >>> canonical_host("Bäume.example"), canonical_host("::1"), canonical_host("trees.example:8080")
    ('xn--bume-loa.example', '::1', None)
    """
    url = canonical_url(f"http://[{name}]/" if ":" in name else f"http://{name}/")
    return host_of(url) if url is not None and url == f"{origin_of(url)}/" and host_of(url) else None


def without_parameters(url: str, patterns: tuple[str, ...] = TRACKING_PARAMETERS) -> str:
    """Return a canonical URL without the parameters of its query whose names match a pattern; the rest is untouched.

    Args:
        url: canonical URL.
        patterns: names, upper and lower case being one; `*` stands for any characters, `?` for one.

    >>> without_parameters("http://trees.example/list?b=2&utm_source=mail&a=%31")
    'http://trees.example/list?b=2&a=%31'
    >>> without_parameters("http://trees.example/?fbclid=1")
    'http://trees.example/'
    """
    head, mark, query = url.partition("?")
    if not mark or not patterns:
        return url
    dropped = _names_like(patterns)
    parameters = query.split("&")
    kept = [each for each in parameters if not dropped.fullmatch(unquote(each.partition("=")[0]).lower())]
    if len(kept) == len(parameters):
        return url
    return f"{head}?{'&'.join(kept)}" if kept else head


@functools.lru_cache
def _names_like(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(pattern.lower()) for pattern in patterns))


class _Parts(NamedTuple):
    """What a canonical URL is made of, see `host_of`, `origin_of` and `port_of`; `path` is without query."""

    host: str
    origin: str
    port: int
    path: str


@functools.lru_cache(maxsize=1024)
def _parts_of(url: str) -> _Parts:
    """Return the parts of a canonical URL; each is asked for its parts a dozen times within a moment."""
    parsed = ada_url.URL(url)
    hostname: str = parsed.hostname
    host = hostname.removeprefix("[").removesuffix("]").removesuffix(".")
    port = int(parsed.port) if parsed.port else _PORTS.get(parsed.protocol, 0)
    return _Parts(host, f"{parsed.protocol}//{parsed.host}", port, parsed.pathname)


def host_of(url: str) -> str:
    """Return the host of a canonical URL: no port, no brackets, no closing dot.

    >>> host_of("https://trees.example.:8080/oak")
    'trees.example'
    """
    return _parts_of(url).host


def origin_of(url: str) -> str:
    """Return scheme, host and port of a canonical URL, which share one robots.txt.

    >>> origin_of("https://trees.example:8443/oak?age=90")
    'https://trees.example:8443'
    """
    return _parts_of(url).origin


def port_of(url: str) -> int:
    """Return the port of a canonical URL, 80 or 443 where it names none."""
    return _parts_of(url).port


def is_within(url: str, hosts: Collection[str], path_prefix: str = "/", domains: Collection[str] = ()) -> bool:
    """Return whether a canonical URL lies on one of the hosts, or below one of the domains, and under the path.

    A host stands for itself with and without a leading "www.", a domain for itself and every host below it.

    >>> is_within("http://www.trees.example/walk/1", ["trees.example"], "/walk/")
    True
    >>> is_within("http://old.trees.example/", [], domains=["trees.example"])
    True
    """
    host, path = _parts_of(url).host, _parts_of(url).path
    if not path.startswith(path_prefix):
        return False
    bare = host.removeprefix("www.")
    return any(bare == named.lower().removeprefix("www.") for named in hosts) or any(
        host == domain or host.endswith(f".{domain}") for domain in domains
    )
