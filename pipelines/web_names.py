"""Hosts and addresses as recipes name them: checked at the edge, and brought into the form that URLs have."""

from typing import Annotated

from pydantic import AfterValidator

from crawl.urls import canonical_host, canonical_url


def _host(name: str) -> str:
    host = canonical_host(name)
    if host is None:
        raise ValueError(f"{name!r} is no host; write it as trees.example, without https:// and without a port")
    return host


def _address(text: str) -> str:
    url = canonical_url(text)
    if url is None:
        raise ValueError(f"{text!r} is not an address to fetch; write it as https://example.org/")
    return url


def _folder(url: str) -> str:
    if not url.endswith("/"):
        raise ValueError(f"{url!r} is the address of no folder; give it a slash at its end")
    return url


Host = Annotated[str, AfterValidator(_host)]
"""A host's name or IP address, such as "Bäume.example", which becomes "xn--bume-loa.example"."""

Address = Annotated[str, AfterValidator(_address)]
"""A URL that can be asked for."""

FolderAddress = Annotated[Address, AfterValidator(_folder)]
"""A URL under which others lie: it ends with a slash."""
