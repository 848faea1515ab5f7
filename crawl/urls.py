"""One spelling for each URL, read as browsers read it.

Source: URL Standard (https://url.spec.whatwg.org/), through `ada-url`.
"""

import re
from collections.abc import Collection

import ada_url

MAX_URL_LENGTH = 8000
"""Longest URL accepted, in characters. Source: RFC 9110, section 4.1 (recommended minimum for recipients)."""

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


def host_of(url: str) -> str:
    """Return the host of a canonical URL: no port, no brackets, no closing dot.

    >>> host_of("https://trees.example.:8080/oak")
    'trees.example'
    """
    hostname: str = ada_url.URL(url).hostname
    return hostname.removeprefix("[").removesuffix("]").removesuffix(".")


def origin_of(url: str) -> str:
    """Return scheme, host and port of a canonical URL, which share one robots.txt.

    >>> origin_of("https://trees.example:8443/oak?age=90")
    'https://trees.example:8443'
    """
    parsed = ada_url.URL(url)
    return f"{parsed.protocol}//{parsed.host}"


def port_of(url: str) -> int:
    """Return the port of a canonical URL, 80 or 443 where it names none."""
    parsed = ada_url.URL(url)
    return int(parsed.port) if parsed.port else {"http:": 80, "https:": 443}[parsed.protocol]


def is_within(url: str, hosts: Collection[str], path_prefix: str = "/", domains: Collection[str] = ()) -> bool:
    """Return whether a canonical URL lies on one of the hosts, or below one of the domains, and under the path.

    A host stands for itself with and without a leading "www.", a domain for itself and every host below it.

    >>> is_within("http://www.trees.example/walk/1", ["trees.example"], "/walk/")
    True
    >>> is_within("http://old.trees.example/", [], domains=["trees.example"])
    True
    """
    if not ada_url.URL(url).pathname.startswith(path_prefix):
        return False
    host = host_of(url)
    bare = host.removeprefix("www.")
    return any(bare == named.lower().removeprefix("www.") for named in hosts) or any(
        host == domain or host.endswith(f".{domain}") for domain in domains
    )
