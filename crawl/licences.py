"""SPDX identifiers for the licences pictures are published under."""

import re

from crawl.licence_subjects import speaks_of_a_picture
from crawl.records import UNKNOWN
from crawl.reserved_rights import reserves_all_rights

OTHER = "LicenseRef-other"
"""Stands for terms of one's own, or all rights reserved: known to be none that has an identifier."""

PUBLIC_DOMAIN = "LicenseRef-public-domain"

_CC_URL = re.compile(
    r"(?:https?:)?//(?:www\.)?creativecommons\.org/"
    r"(?:licenses/(?P<terms>[a-z-]+)|publicdomain/(?P<tool>zero|mark))/(?P<version>\d\.\d)(?![\d.])"
    r"(?:/(?P<port>[a-z]{2,3})(?![a-z]))?"
)
_CC_NAME = re.compile(
    r"\bCC[ -](?P<terms>BY(?:-NC)?(?:-ND|-SA)?)[ -](?P<version>\d\.\d)(?:[ -](?P<port>(?-i:[A-Z]{2,3}))\b)?", re.I
)
_CC0_NAME = re.compile(r"\bCC[ -]?(?:0|Zero)(?:[ -]1\.0)?(?![\d.])", re.I)
_CC_LONG_NAME = re.compile(
    r"\bCreative Commons[ :,-]+Attribution"
    r"(?P<nc>[ -]Non-?Commercial)?(?P<more>[ -](?:Share[ -]?Alike|No[ -]?Deriv\w*))?"
    r"[ ,]+(?:v\.? ?)?(?P<version>\d\.\d)",
    re.I,
)
_URL = re.compile(r"https?://[^\s<>\"')\]]+", re.I)

_CC_TERMS = frozenset({"BY", "BY-SA", "BY-NC", "BY-ND", "BY-NC-SA", "BY-NC-ND"})
_CC_VERSIONS = frozenset({"1.0", "2.0", "2.5", "3.0", "4.0"})
_CC_PORTED = frozenset(
    f"CC-{name}"
    for name in (
        *("BY-2.5-AU", "BY-3.0-AT", "BY-3.0-AU", "BY-3.0-DE", "BY-3.0-IGO", "BY-3.0-NL", "BY-3.0-US"),
        *("BY-NC-3.0-DE", "BY-NC-ND-3.0-DE", "BY-NC-ND-3.0-IGO", "BY-ND-3.0-DE"),
        *("BY-NC-SA-2.0-DE", "BY-NC-SA-2.0-FR", "BY-NC-SA-2.0-UK", "BY-NC-SA-3.0-DE", "BY-NC-SA-3.0-IGO"),
        *("BY-SA-2.0-UK", "BY-SA-2.1-JP", "BY-SA-3.0-AT", "BY-SA-3.0-DE", "BY-SA-3.0-IGO"),
    )
)
"""Licences fitted to the law of one country that have an identifier of their own."""

_CC_COUNTRIES = frozenset(
    "ar at au be bg br ca ch cl cn co cr cz de dk ec ee eg es fi fr ge gr gt hk hr hu ie igo il in it jp kr lu mk mt "
    "mx my nl no nz pe ph pl pr pt ro rs se sg si th tw ug uk us ve vn za".upper().split()
)
"""Source: https://creativecommons.org/licenses/list; all others are words that follow a licence's name."""

_EXAMPLES = "[CC0-1.0, CC-BY-4.0, CC-BY-SA-3.0]"

_OTHER_URLS = (
    (re.compile(r"https?://(?:www\.)?artlibre\.org/licen[cs]e/lal(?:/|$)"), "LAL-1.3"),
    (re.compile(r"https?://(?:www\.)?gnu\.org/(?:licenses|copyleft)/fdl-1\.2"), "GFDL-1.2"),
    (re.compile(r"https?://(?:www\.)?gnu\.org/(?:licenses|copyleft)/fdl-1\.3"), "GFDL-1.3"),
    (
        re.compile(r"https?://(?:www\.)?nationalarchives\.gov\.uk/doc/open-government-licence/version/3(?:/|$)"),
        "OGL-UK-3.0",
    ),
)
_SPDX_URL = re.compile(r"https?://spdx\.org/licenses/(?P<name>[A-Za-z0-9.-]+?)(?:\.html|\.json)?/?$")


def spdx_of_url(url: str) -> str:
    """Return the SPDX identifier of a licence by its address, "unknown" for any other URL.

    Creative Commons, the Free Art Licence, the GNU FDL and the Open Government Licence have one. The public domain mark
    says that a work is free already and licenses nothing; SPDX has no identifier for it, so a reference of our own
    stands for it.

    >>> spdx_of_url("https://creativecommons.org/licenses/by-sa/4.0/")
    'CC-BY-SA-4.0'

    Source: SPDX License List 3.25; https://creativecommons.org/licenses/list.
    """
    lower = url.strip().lower()
    if match := _CC_URL.match(lower):
        return _of_deed(match)
    for pattern, identifier in _OTHER_URLS:
        if pattern.match(lower):
            return identifier
    match = _SPDX_URL.match(url.strip())
    return spdx_of_name(match["name"].replace("CC0-1.0", "CC0")) if match else UNKNOWN


def spdx_of_name(name: str) -> str:
    """Return the SPDX identifier of a licence's short name as Wikimedia Commons writes it, "unknown" for others.

    >>> spdx_of_name("CC BY-SA 3.0"), spdx_of_name("Public domain"), spdx_of_name("Attribution only")
    ('CC-BY-SA-3.0', 'LicenseRef-public-domain', 'unknown')
    """
    folded = " ".join(name.split())
    match = _CC_NAME.fullmatch(folded.upper())
    if match and (match["port"] is None or match["port"] in _CC_COUNTRIES):
        return _of_name(match)
    if _CC0_NAME.fullmatch(folded):
        return "CC0-1.0"
    return PUBLIC_DOMAIN if folded.lower() == "public domain" else UNKNOWN


def wanted_licences(names: object) -> str | tuple[str, ...]:
    """Return a recipe's wish, "any", "known" or a list of licences, each by its SPDX identifier and only once.

    >>> wanted_licences(["cc by-sa 4.0", "CC0"])
    ('CC-BY-SA-4.0', 'CC0-1.0')

    Raises:
        ValueError: it is none of them, or names a licence that no picture is known by.
    """
    if names in ("any", "known"):
        return str(names)
    if not isinstance(names, list | tuple) or not names:
        raise ValueError(f"should be any, known, or a list of licences such as {_EXAMPLES}")
    found = {name: _spdx_of_spelling(str(name)) for name in map(str, names)}
    for name, identifier in found.items():
        if identifier == UNKNOWN:
            raise ValueError(f"'{name[:40]}' is no licence that pictures are known by; those are such as {_EXAMPLES}")
    return tuple(dict.fromkeys(found.values()))


def _spdx_of_spelling(name: str) -> str:
    others = (PUBLIC_DOMAIN, *(identifier for _, identifier in _OTHER_URLS))
    listed = {identifier.lower(): identifier for identifier in others}
    return listed.get(name.strip().lower()) or spdx_of_name(name)


def spdx_in_text(text: str) -> frozenset[str]:
    """Return the licences that a text gives a picture, by address or by name; `OTHER` where it reserves all rights.

    >>> sorted(spdx_in_text("Photo: Ann, CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/deed.fr)"))
    ['CC-BY-4.0']
    """
    words = _URL.sub(lambda url: " " * len(url[0]), text)
    named = [(match, spdx_of_url(match[0])) for match in _URL.finditer(text)]
    named += [(match, _of_name(match)) for match in _CC_NAME.finditer(words)]
    named += [(match, _of_long_name(match)) for match in _CC_LONG_NAME.finditer(words)]
    named += [(match, "CC0-1.0") for match in _CC0_NAME.finditer(words)]
    found = {licence for match, licence in named if speaks_of_a_picture(words[: match.start()], words[match.end() :])}
    if reserves_all_rights(words):
        found.add(OTHER)
    if spdx_of_name(words) == PUBLIC_DOMAIN:
        found.add(PUBLIC_DOMAIN)
    return frozenset(found - {UNKNOWN})


def _of_deed(match: re.Match[str]) -> str:
    if match["tool"]:
        return {"zero": "CC0-1.0", "mark": PUBLIC_DOMAIN}[match["tool"]]
    return _creative_commons(match["terms"], match["version"], match["port"])


def _of_name(match: re.Match[str]) -> str:
    return _creative_commons(match["terms"], match["version"], match["port"])


def _of_long_name(match: re.Match[str]) -> str:
    more = (match["more"] or "").lower()
    terms = "BY" + ("-NC" if match["nc"] else "") + ("-SA" if "share" in more else "-ND" if more else "")
    return _creative_commons(terms, match["version"], None)


def _creative_commons(terms: str, version: str, port: str | None) -> str:
    """The identifier of a licence, that of its country where it has one; "unknown" where there is no such licence."""
    licence = f"CC-{terms.upper()}-{version}"
    if port and (ported := f"{licence}-{port.upper()}") in _CC_PORTED:
        return ported
    return licence if terms.upper() in _CC_TERMS and version in _CC_VERSIONS else UNKNOWN
