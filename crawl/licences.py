"""SPDX identifiers for the licences pictures are published under."""

import re

from crawl.records import UNKNOWN

_CC_URL = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/(?:licenses/(?P<terms>[a-z-]+)|publicdomain/(?P<tool>zero|mark))"
    r"/(?P<version>\d\.\d)(?:/|$)"
)
_CC_NAME = re.compile(
    r"CC[ -](?P<terms>BY(?:-NC)?(?:-ND|-SA)?)[ -](?P<version>\d\.\d)(?:[ -](?P<port>[A-Z]{2,3}))?", re.I
)
_CC0_NAME = re.compile(r"CC[ -]?(?:0|Zero)(?:[ -]1\.0)?", re.I)

_CC_TERMS = frozenset({"by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd"})


def spdx_of_url(url: str) -> str:
    """Return the SPDX identifier of a Creative Commons deed, "unknown" for any other URL.

    The public domain mark says that a work is free already and licenses nothing; SPDX has no identifier for it, so
    a reference of our own stands for it.

    >>> spdx_of_url("https://creativecommons.org/licenses/by-sa/4.0/")
    'CC-BY-SA-4.0'

    Source: SPDX License List 3.25; https://creativecommons.org/licenses/list.
    """
    match = _CC_URL.match(url.lower())
    if match is None:
        return UNKNOWN
    if match["tool"]:
        return {"zero": "CC0-1.0", "mark": "LicenseRef-public-domain"}[match["tool"]]
    return f"CC-{match['terms'].upper()}-{match['version']}" if match["terms"] in _CC_TERMS else UNKNOWN


def spdx_of_name(name: str) -> str:
    """Return the SPDX identifier of a licence's short name as Wikimedia Commons writes it, "unknown" for others.

    >>> spdx_of_name("CC BY-SA 3.0"), spdx_of_name("Public domain"), spdx_of_name("Attribution only")
    ('CC-BY-SA-3.0', 'LicenseRef-public-domain', 'unknown')
    """
    folded = " ".join(name.split())
    if match := _CC_NAME.fullmatch(folded):
        port = f"-{match['port'].upper()}" if match["port"] else ""
        return f"CC-{match['terms'].upper()}-{match['version']}{port}"
    if _CC0_NAME.fullmatch(folded):
        return "CC0-1.0"
    return "LicenseRef-public-domain" if folded.lower() == "public domain" else UNKNOWN
